"""What a tor did for onion services and their clients, with python3-stem.

Reads lines {"t": time, "raw": event} from standard input. Prints, as one JSON
string, the rows that `query onions --json` has of one session without snapshots.
Availability is found by going from one moment at which something changed to the
next.
"""
import collections
import datetime
import json
import sys

import stem.response
from stem.response import ControlMessage

MET = {
    "HS_SERVICE_INTRO": "HSSI_ESTABLISHED",
    "HS_SERVICE_REND": "HSSR_JOINED",
    "HS_CLIENT_INTRO": "HSCI_DONE",
    "HS_CLIENT_REND": "HSCR_JOINED",
}
FOREVER = 1 << 62
KEPT = 3 * 3600 * 1000000


def micros(text):
    at = datetime.datetime.strptime(text[:26].rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f")
    return (at - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)


def stamp(us):
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def relay(fingerprint, nickname):
    return "$" + fingerprint + ("~" + nickname if nickname else "")


class Onion:
    def __init__(self, role, address):
        self.role, self.address = role, address
        self.rank = None  # when it is first named
        self.told = []
        self.transfers = collections.OrderedDict()  # by directory: asked, ok, failed, waiting, reason, last, name
        self.sums = [0, 0, 0]
        self.reasons = collections.Counter()
        self.circuits = {"intro": [], "rend": []}
        self.streams = []
        self.signs, self.described, self.found, self.uploaded = [], None, False, []


onions, circuits, streams, order, at = {}, {}, {}, 0, 0


def onion(role, address, rank):
    o = onions.setdefault((role, address), Onion(role, address))
    o.rank = rank if o.rank is None else min(o.rank, rank)
    return o


def describe(ev):
    reason = getattr(ev, "reason", None)
    service = ev.action in ("CREATED", "UPLOAD", "UPLOADED") or reason == "UPLOAD_REJECTED"
    o = onion("service" if service else "client", ev.address, (order, 0))
    o.told.append(at)
    if service:
        o.signs.append(at)
        o.described = o.described or at
    if ev.directory_fingerprint:
        d = o.transfers.setdefault(ev.directory_fingerprint, [0, 0, 0, 0, "", 0, ""])
        d[5] = at
        d[6] = max(d[6], relay(ev.directory_fingerprint, ev.directory_nickname), key=len)
        if ev.action in ("UPLOAD", "REQUESTED"):
            d[0] += 1
            d[3] += 1
            o.sums[0] += 1
        elif ev.action in ("UPLOADED", "RECEIVED"):
            d[1] += 1
            d[3] -= d[3] > 0
            o.sums[1] += 1
        elif ev.action == "FAILED":
            d[2] += 1
            d[3] -= d[3] > 0
            d[4] = reason
            o.sums[2] += 1
            o.reasons[reason] += 1
    if ev.action == "UPLOADED":
        o.uploaded.append(at)


def circuit(ev, minor):
    c = circuits.get(ev.id)
    if c is None:
        c = circuits[ev.id] = {"id": ev.id, "rank": None, "launched": False, "created": FOREVER, "uses": [], "ended": None, "failed": False, "path": [], "why": ("", "")}
    if not minor and c["rank"] is None:
        c["rank"] = (order, 0)
    if ev.path:
        c["path"] = ev.path
    if ev.created:
        c["created"] = min(c["created"], (ev.created - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1))
    if not minor and ev.status == "LAUNCHED":
        c["launched"] = True
    if not minor and ev.status in ("FAILED", "CLOSED"):
        if not c["failed"]:
            c["ended"] = at
            c["why"] = (ev.reason or "", ev.remote_reason or "")
        c["failed"] = c["failed"] or ev.status == "FAILED"
    purpose, uses = ev.purpose, c["uses"]
    last = uses[-1] if uses else None
    if purpose in MET:
        if last is None or last["left"] or last["purpose"] != purpose:
            if last and not last["left"]:
                last["left"] = at
            last = {"purpose": purpose, "since": at, "address": None, "state": "", "met": None, "left": None}
            uses.append(last)
        last["address"] = ev.rend_query or last["address"]
        last["state"] = ev.hs_state or last["state"]
        if ev.hs_state == MET[purpose] and last["met"] is None:
            last["met"], last["change"], last["relay"] = at, minor, relay(*c["path"][-1]) if c["path"] else ""
    elif purpose and last and not last["left"] and not c["failed"] and purpose != "MEASURE_TIMEOUT":
        last["left"] = at


def stream(ev):
    s = streams.get(ev.id)
    if s is None:
        host = (ev.target_address or "").lower()
        if ev.status != "NEW" or not host.endswith(".onion"):
            return
        o = onion("client", host[: -len(".onion")].split(".")[-1], (order, 0))
        s = streams[ev.id] = {"of": o, "end": None}
        o.streams.append(s)
    if s["end"] is None:
        s["of"].told.append(at)
        if ev.status in ("SUCCEEDED", "FAILED", "CLOSED"):
            reason = (ev.reason or "") + ("/" + ev.remote_reason if ev.remote_reason else "")
            s["end"] = (ev.status, reason)


for line in sys.stdin:
    rec = json.loads(line)
    order, at = order + 1, micros(rec["t"])
    kind = rec["raw"].split(" ", 2)[1].strip()
    if kind not in ("CIRC", "CIRC_MINOR", "HS_DESC", "STREAM"):
        continue
    ev = ControlMessage.from_str(rec["raw"])
    stem.response.convert("EVENT", ev)
    if kind == "HS_DESC":
        describe(ev)
    elif kind == "STREAM":
        stream(ev)
    else:
        circuit(ev, kind == "CIRC_MINOR")
end = at

for c in circuits.values():
    if c["rank"] is None:
        continue  # only mentioned
    for use in c["uses"]:
        if use["address"] is None:
            continue
        o = onion("service" if "SERVICE" in use["purpose"] else "client", use["address"], c["rank"])
        use["end"] = use["left"] or c["ended"]
        use["how"] = "ok" if use["met"] else "unused" if use["left"] else "failed" if c["ended"] else "open"
        o.told += [t for t in (use["since"], use["end"], use["met"] if use["met"] and use["change"] else None) if t]
        o.signs.append(use["since"])
        o.found = o.found or not c["launched"]
        o.circuits["intro" if "INTRO" in use["purpose"] else "rend"].append((c, use))


def meetings(list_):
    how = collections.Counter(use["how"] for _, use in list_)
    out = collections.OrderedDict(attempted=len(list_), ok=how["ok"], failed=how["failed"], unused=how["unused"], open=how["open"])
    why = collections.Counter((use["state"],) + c["why"] for c, use in list_ if use["how"] == "failed")
    by = [[("state", k[0]), ("reason", k[1]), ("remote_reason", k[2]), ("count", n)] for k, n in sorted(why.items(), key=lambda x: (-x[1], x[0]))]
    if by:
        out["failed_by"] = [collections.OrderedDict(p for p in pairs if p[1]) for pairs in by]
    return out


def available(o):
    """Returns how much is known, and of that when it was available, in µs."""
    intros = [(u["met"] if u["change"] or c["launched"] else min(c["created"], u["met"]), u["end"] or FOREVER, c, u) for c, u in o.circuits["intro"] if u["met"]]
    until = end
    if intros and all(i[1] < FOREVER for i in intros):
        _, last, c, u = max(intros, key=lambda i: i[1])
        if not u["left"] and c["why"] == ("FINISHED", "") and max(o.signs) <= last:
            until = last
    begin = min(o.signs)
    sure = begin + KEPT if o.found else o.described if o.described else FOREVER
    if o.found and o.uploaded:
        sure = min(sure, o.uploaded[0])
    if o.described is None:
        sure = FOREVER
    moments = {begin, until, sure}
    for i in intros:
        moments |= {i[0], i[1]}
    for t in o.uploaded:
        moments |= {t, t + KEPT}
    moments = sorted(t for t in moments if begin <= t <= until)
    known = up = 0
    for a, b in zip(moments, moments[1:]):
        met = any(i[0] <= a < i[1] for i in intros)
        there = any(t <= a < t + KEPT for t in o.uploaded)
        if not met or there or a >= sure:
            known += b - a
        if met and there:
            up += b - a
    return known, up


def percent(n, of):
    p = n * 10000 // of / 100
    return int(p) if p == int(p) else p


rows = []
for o in sorted(onions.values(), key=lambda o: (o.role != "service", o.rank, o.address)):
    row = collections.OrderedDict(role=o.role, address=o.address, first=stamp(min(o.told)), last=stamp(max(o.told)))
    if any(o.sums):
        t = row["uploads" if o.role == "service" else "fetches"] = collections.OrderedDict(
            asked=o.sums[0], ok=o.sums[1], failed=o.sums[2], unanswered=sum(d[3] for d in o.transfers.values()))
        if o.reasons:
            t["reasons"] = collections.OrderedDict(sorted(o.reasons.items()))
        row["hsdirs"] = []
        for d in o.transfers.values():
            dir_ = collections.OrderedDict(relay=d[6], asked=d[0], ok=d[1], failed=d[2], unanswered=d[3])
            if d[4]:
                dir_["last_reason"] = d[4]
            dir_["last"] = stamp(d[5])
            row["hsdirs"].append(dir_)
    if o.circuits["intro"]:
        row["introductions"] = meetings(o.circuits["intro"])
    points = []
    for c, use in sorted(o.circuits["intro"], key=lambda x: x[0]["rank"]):
        if o.role != "service" or not use["met"]:
            continue
        p = collections.OrderedDict(relay=use["relay"], session=1, circuit=c["id"])
        if use["change"]:
            p["established"] = stamp(use["met"])
        if use["end"]:
            p["ended"] = stamp(use["end"])
            if use["change"]:
                p["life_ms"] = (use["end"] - use["met"]) // 1000
        p["outcome"] = "closed" if use["end"] else "open"
        if not use["left"] and use["end"]:
            p.update((k, w) for k, w in zip(("reason", "remote_reason"), c["why"]) if w)
        points.append(p)
    if points:
        row["intro_points"] = points
    if o.circuits["rend"]:
        row["rendezvous"] = meetings(o.circuits["rend"])
    if o.streams:
        ends = collections.Counter(s["end"][0] if s["end"] else "" for s in o.streams)
        decided = len(o.streams) - ends[""]
        row["connections"] = collections.OrderedDict(
            asked=len(o.streams), ok=ends["SUCCEEDED"], failed=ends["FAILED"], given_up=ends["CLOSED"], open=ends[""])
        why = collections.Counter(s["end"][1] for s in o.streams if s["end"] and s["end"][0] == "FAILED")
        if why:
            row["connections"]["reasons"] = collections.OrderedDict(sorted(why.items()))
        if decided:
            row["availability"] = percent(ends["SUCCEEDED"], decided)
    if o.role == "service":
        known, up = available(o)
        if known:
            row.update((("known_ms", known // 1000), ("up_ms", up // 1000), ("availability", percent(up, known))))
    rows.append(json.dumps(row, separators=(",", ":")) + "\n")
print(json.dumps("".join(rows)))
