"""Logs a tor's events with stem, one line each, until a NOTICE says "end"."""
import sys
import threading
import time

from stem.control import Controller, EventType

done = threading.Event()


def log(event):
    raw = event.raw_content().strip()
    out.write("%f %s\n" % (time.time(), raw))
    if raw == "650 NOTICE end":
        done.set()


with open(sys.argv[2], "w") as out, Controller.from_socket_file(sys.argv[1]) as tor:
    tor.authenticate()
    tor.add_event_listener(log, *(t for t in EventType if t not in ("AUTHDIR_NEWDESCS", "TB_EMPTY")))
    done.wait()
