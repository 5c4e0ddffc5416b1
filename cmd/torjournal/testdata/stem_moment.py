"""Asks torjournal how tor stood at a time, with stem, and prints its circuits.

usage: stem_moment.py PORT TIME
"""
import sys

from stem import InvalidArguments, OperationFailed
from stem.control import Controller
from stem.response import ControlMessage

port, when = sys.argv[1:]

with Controller.from_port(port=int(port)) as controller:
    controller.authenticate()
    key = "history/circuit-status@" + when
    told = controller.get_info([key, "version", "history/stream-status@" + when])
    assert told["version"] == controller.get_info("version"), told
    for line in told[key].splitlines():
        # as stem's own get_circuits() reads circuit-status
        circ = ControlMessage.from_str("650 CIRC %s\r\n" % line, "EVENT", normalize=True)
        print(circ.id, circ.status, ",".join(fingerprint for fingerprint, _ in circ.path))
    try:
        controller.get_info("history/circuit-status@tea")
        raise AssertionError("tea is no time")
    except OperationFailed as error:
        assert error.code == "512" and "stands a time without blanks" in str(error), error
    try:
        controller.get_info("history/nothing@1h")
        raise AssertionError("there is no such key")
    except InvalidArguments:
        pass
