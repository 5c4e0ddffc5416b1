"""How long circuits took to build, with python3-stem.

Reads lines {"t": time, "raw": event} from standard input, prints one object.
"""
import datetime
import json
import sys

import stem.response
from stem.response import ControlMessage


def when(text):
    return datetime.datetime.strptime(text[:26].rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f")


launched, built, timed_out, purpose, learned = {}, {}, {}, {}, {}
learning = False
for line in sys.stdin:
    rec = json.loads(line)
    kind = rec["raw"].split(" ", 2)[1].strip()
    if kind not in ("CIRC", "CIRC_MINOR", "BUILDTIMEOUT_SET"):
        continue
    at = when(rec["t"])
    ev = ControlMessage.from_str(rec["raw"])
    stem.response.convert("EVENT", ev)
    if kind == "BUILDTIMEOUT_SET":
        learning = ev.set_type == "RESET" or learning and ev.set_type != "COMPUTED"
        continue
    if ev.purpose:
        purpose[ev.id] = str(ev.purpose)
    if kind == "CIRC_MINOR":
        continue
    if ev.status == "LAUNCHED" and ev.id not in launched:
        launched[ev.id], learned[ev.id] = at, learning
    elif ev.status == "BUILT":
        built.setdefault(ev.id, at)
    elif ev.status == "FAILED" and str(ev.reason) == "TIMEOUT" and ev.id not in built:
        timed_out[ev.id] = True

times, left = [], 0
for circ in built:
    if circ not in launched:
        continue
    if learned[circ] or purpose.get(circ) == "MEASURE_TIMEOUT" or circ in timed_out:
        left += 1
    else:
        times.append((built[circ] - launched[circ]) // datetime.timedelta(milliseconds=1))
times.sort()


def rank(percent):
    return times[max(1, -(-percent * len(times) // 100)) - 1] if times else 0


print(json.dumps({
    "circuits": len(times), "learning": left, "min": times[0] if times else 0, "max": times[-1] if times else 0,
    "mean": sum(times) // len(times) if times else 0, "p50": rank(50), "p90": rank(90), "p99": rank(99),
}))
