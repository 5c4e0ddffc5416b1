"""A controller as users write them, with stem, on torjournal's control port.

usage: stem_session.py PORT
"""
import sys
import threading

from stem.control import Controller, EventType

port = int(sys.argv[1])
seen = {"BW": threading.Event(), "CIRC": threading.Event(), "CONF_CHANGED": threading.Event(), "SIGNAL": threading.Event()}


def listener(name):
    return lambda event: seen[name].set()


with Controller.from_port(port=port) as c:
    c.authenticate()  # by the cookie that PROTOCOLINFO names
    c.add_event_listener(listener("BW"), EventType.BW)
    c.add_event_listener(listener("CIRC"), EventType.CIRC)
    c.add_event_listener(listener("CONF_CHANGED"), EventType.CONF_CHANGED)
    c.add_event_listener(listener("SIGNAL"), EventType.SIGNAL)

    version = c.get_info("version")
    names = c.get_info("events/names").split()
    assert "JOURNAL" in names and "CIRC" in names, names
    last = c.get_info("journal/last")
    assert last.startswith("SEQ="), last

    c.set_conf("MaxCircuitDirtiness", "777")
    assert c.get_conf("MaxCircuitDirtiness") == "777"
    c.signal("NEWNYM")
    c.signal("DUMP")
    circuit = c.new_circuit(await_build=True)
    status = [x.status for x in c.get_circuits() if x.id == circuit]
    assert status == ["BUILT"], status
    c.close_circuit(circuit)

    for name, event in seen.items():
        assert event.wait(30), "no %s event" % name
    print("stem", version, "circuit", circuit)
