"""What circuits met with at each relay, with python3-stem.

Reads lines {"t": time, "raw": event} from standard input. Prints for each
relay: circuits, as first hop, as last one of a built circuit, built,
extensions, the middle one of their times in ms.
"""
import collections
import datetime
import json
import sys

import stem.response
from stem.response import ControlMessage


def when(text):
    return datetime.datetime.strptime(text[:26].rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f")


names = {}


def relay(hop):
    """A relay is known by its fingerprint: tor may learn the nickname later."""
    fingerprint, nickname = hop
    if nickname:
        names["$" + fingerprint] = "$" + fingerprint + "~" + nickname
    return "$" + fingerprint


def named(group):
    return " ".join(names.get(word, word) for word in group.split(" "))


paths, built, failed, circuits, steps = {}, set(), {}, [], {}
times = collections.defaultdict(list)
for line in sys.stdin:
    rec = json.loads(line)
    kind = rec["raw"].split(" ", 2)[1].strip()
    if kind not in ("CIRC", "CIRC_MINOR"):
        continue
    at = when(rec["t"])
    ev = ControlMessage.from_str(rec["raw"])
    stem.response.convert("EVENT", ev)
    if ev.path:
        paths[ev.id] = [relay(hop) for hop in ev.path]
    if kind == "CIRC_MINOR":
        if ev.event == "CANNIBALIZED":
            steps[ev.id] = at
        continue
    if ev.id not in circuits:
        circuits.append(ev.id)
    if ev.status == "LAUNCHED":
        steps[ev.id] = at
    elif ev.status == "EXTENDED":
        if ev.id in steps and ev.path:
            times[relay(ev.path[-1])].append((at - steps[ev.id]) // datetime.timedelta(milliseconds=1))
        steps[ev.id] = at
    elif ev.status == "BUILT":
        built.add(ev.id)
    elif ev.status == "FAILED":
        failed.setdefault(ev.id, len(paths.get(ev.id, [])))
    elif ev.status == "CLOSED":
        steps.pop(ev.id, None)

out = collections.defaultdict(lambda: [0, 0, 0, 0, 0, 0])
for circ in circuits:
    path = paths.get(circ, [])
    reached = path[: failed[circ] + 1] if circ in failed else path
    for r in set(reached):
        out[r][0] += 1
        out[r][1] += path[0] == r
        out[r][2] += circ in built and path[-1] == r
        out[r][3] += circ in built
for r, ms in times.items():
    ms.sort()
    out[r][4:] = [len(ms), ms[-(-len(ms) // 2) - 1]]
print(json.dumps({named(r): n for r, n in out.items()}))
