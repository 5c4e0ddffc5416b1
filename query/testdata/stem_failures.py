"""Counts failed circuits by what they have in common, with python3-stem.

Reads lines {"t": time, "raw": event} from standard input. Prints an object:
for each way to count, a list of [group, circuits, failed, low, high].
"""
import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict

import stem.response
from stem.response import ControlMessage


class Circuit:
    path = ()
    named = False
    failed = None  # hops, reason, remote reason, purpose
    purpose = ""
    begun = None


names = {}


def relay(hop):
    """A relay is known by its fingerprint: tor may learn the nickname later."""
    fingerprint, nickname = hop
    if nickname:
        names["$" + fingerprint] = "$" + fingerprint + "~" + nickname
    return "$" + fingerprint


def named(group):
    return " ".join(names.get(word, word) for word in group.split(" "))


circuits = OrderedDict()
for line in sys.stdin:
    rec = json.loads(line)
    kind = rec["raw"].split(" ", 2)[1].strip()
    if kind not in ("CIRC", "CIRC_MINOR"):
        continue
    ev = ControlMessage.from_str(rec["raw"])
    stem.response.convert("EVENT", ev)
    c = circuits.setdefault(ev.id, Circuit())
    if ev.path:
        c.path = tuple(relay(hop) for hop in ev.path)
    if ev.purpose:
        c.purpose = str(ev.purpose)
    if kind == "CIRC_MINOR":
        continue
    c.named = True
    if c.begun is None:
        c.begun = rec["t"]
        if ev.status != "LAUNCHED" and ev.created:
            c.begun = min(c.begun, ev.created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    if ev.status == "FAILED" and c.failed is None:
        c.failed = (len(c.path), str(ev.reason or ""), str(ev.remote_reason or ""), c.purpose)

rows = [c for c in circuits.values() if c.named]
of, bad = defaultdict(Counter), defaultdict(Counter)


def tally(by, group, failed):
    of[by][group] += 1
    bad[by][group] += bool(failed)


for c in rows:
    hops = c.failed[0] if c.failed else len(c.path)
    tally("guard", c.path[0] if c.path else "?", c.failed)
    tally("hour", c.begun[:13], c.failed)
    tally("purpose", c.failed[3] if c.failed else c.purpose, c.failed)
    if c.failed:
        tally("reason", c.failed[1] + "/" + c.failed[2], True)
    ends = ("client",) + c.path
    for i in range(hops):
        tally("position", str(i + 1), False)
        tally("link", ends[i] + " " + ends[i + 1], False)
        tally("link", ends[i] + " ?", False)
    if c.failed:
        tally("position", str(hops + 1), True)
        beyond = ends[hops + 1] if hops + 1 < len(ends) else "?"
        tally("link", ends[hops] + " ?", beyond == "?")
        if beyond != "?":
            tally("link", ends[hops] + " " + beyond, True)
    for r in set(c.path[: hops + 1]):
        at = c.failed and r in (ends[hops] if hops else None, ends[hops + 1] if hops + 1 < len(ends) else None)
        tally("relay", r, at)

of["reason"] = Counter({g: len(rows) for g in of["reason"]})


def wilson(k, n):
    z = 1.959963984540054
    # The roots of (p - k/n)^2 = z^2 p (1 - p) / n.
    a, b, c = 1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2
    root = math.sqrt(max(0, b * b - 4 * a * c))
    return max(0, (-b - root) / (2 * a)), min(1, (-b + root) / (2 * a))


out = {}
for by in ("link", "relay", "guard", "position", "reason", "purpose", "hour"):
    out[by] = []
    for group in sorted(of[by]):
        if not bad[by][group] and by not in ("position", "purpose", "hour"):
            continue
        low, high = wilson(bad[by][group], of[by][group])
        out[by].append([named(group), of[by][group], bad[by][group], low, high])
print(json.dumps(out))
