"""Counts with python3-stem what a recorded tor's circuits and streams did.

Reads lines {"t": time, "raw": event} from standard input, prints one object.
It knows nothing of torjournal: events are parsed by stem, and counted.
"""
import collections
import datetime
import json
import sys

import stem
import stem.response
from stem.response import ControlMessage


def when(text):
    return datetime.datetime.strptime(text[:26].rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f")


def ms(begin, end):
    return (end - begin) // datetime.timedelta(milliseconds=1)


class Circuit:
    def __init__(self):
        self.launched = self.built = self.failed = self.purpose = None
        self.path = []
        self.read = self.written = 0
        self.named = False


class Stream:
    def __init__(self):
        self.new = self.succeeded = self.failed = None
        self.status = None
        self.read = self.written = 0


circuits = collections.OrderedDict()
streams = collections.OrderedDict()
orconns = {}  # by id: the first word that ended it, or the last one, and the reason
guards = {}  # by fingerprint and layer: last word, ups, downs
progress = []

for line in sys.stdin:
    rec = json.loads(line)
    kind = rec["raw"].split(" ", 2)[1].strip()
    if kind not in ("CIRC", "CIRC_MINOR", "CIRC_BW", "STREAM", "STREAM_BW", "ORCONN", "GUARD", "STATUS_CLIENT"):
        continue
    at = when(rec["t"])
    ev = ControlMessage.from_str(rec["raw"])
    try:
        stem.response.convert("EVENT", ev)
    except stem.ProtocolError:  # tor tells of a guard without a name, stem takes none
        if kind != "GUARD":
            raise
        _, _, _, name, ev.status = rec["raw"].split()
        ev.endpoint_fingerprint = name[1:].split("~")[0]
    if kind == "CIRC":
        c = circuits.setdefault(ev.id, Circuit())
        c.named = True
        if ev.path:
            c.path = [fp for fp, _ in ev.path]
        if ev.purpose:
            c.purpose = ev.purpose
        if ev.status == "LAUNCHED":
            c.launched = c.launched or at
        elif ev.status == "BUILT":
            c.built = c.built or at
        elif ev.status == "FAILED" and not c.failed:
            c.failed = (str(ev.reason), len(ev.path or []), at)
    elif kind == "CIRC_MINOR":
        c = circuits.setdefault(ev.id, Circuit())
        if ev.purpose:
            c.purpose = ev.purpose
    elif kind == "CIRC_BW":
        c = circuits.setdefault(ev.id, Circuit())
        c.read += ev.read
        c.written += ev.written
    elif kind == "STREAM":
        s = streams.setdefault(ev.id, Stream())
        s.status = str(ev.status)
        if ev.status in ("NEW", "NEWRESOLVE"):
            s.new = s.new or at
        elif ev.status == "SUCCEEDED":
            s.succeeded = s.succeeded or at
        elif ev.status == "FAILED":
            s.failed = s.failed or str(ev.reason)
    elif kind == "ORCONN":
        if orconns.get(ev.id, ("",))[0] not in ("FAILED", "CLOSED"):
            orconns[ev.id] = (str(ev.status), str(ev.reason or ""))
    elif kind == "GUARD":
        status = str(ev.status)
        key = (ev.endpoint_fingerprint, status.endswith("_L2"))
        _, ups, downs = guards.get(key, ("", 0, 0))
        guards[key] = (status, ups + (status == "UP"), downs + (status == "DOWN"))
    elif kind == "STATUS_CLIENT":
        if ev.action == "BOOTSTRAP":
            progress.append(int(ev.keyword_args["PROGRESS"]))
    else:
        s = streams.setdefault(ev.id, Stream())
        # The specification's order is written, then read, as seen by the
        # application; stem calls them by these names too.
        s.written += ev.written
        s.read += ev.read

rows = [c for c in circuits.values() if c.named]
told = [s for s in streams.values() if s.status]
count = lambda seq: dict(collections.Counter(seq))
print(json.dumps({
    "circuits": len(rows),
    "launched": sum(1 for c in rows if c.launched),
    "built": sum(1 for c in rows if c.built),
    "failed": count(c.failed[0] for c in rows if c.failed),
    "purposes": count(str(c.purpose) for c in rows if c.purpose),
    "circuit_read": sum(c.read for c in rows),
    "circuit_written": sum(c.written for c in rows),
    "build_ms": sum(ms(c.launched, c.built) for c in rows if c.launched and c.built),
    "streams": len(told),
    "opened": sum(1 for s in told if s.new),
    "succeeded": sum(1 for s in told if s.succeeded),
    "stream_failed": count(s.failed for s in told if s.failed),
    "stream_status": count(s.status for s in told),
    "stream_read": sum(s.read for s in told),
    "stream_written": sum(s.written for s in told),
    "orconns": count(status for status, _ in orconns.values()),
    "orconn_reasons": count(reason for _, reason in orconns.values() if reason),
    "guards": count(status for status, _, _ in guards.values()),
    "guard_ups": sum(ups for _, ups, _ in guards.values()),
    "guard_downs": sum(downs for _, _, downs in guards.values()),
    "bootstrap": count(str(p) for p in progress),
    "connect_ms": sum(ms(s.new, s.succeeded) for s in told if s.new and s.succeeded),
}))
