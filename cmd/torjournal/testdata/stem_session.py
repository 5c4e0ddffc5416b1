"""A controller as users write them, with stem: everything it does with tor.

usage: stem_session.py PORT PASSWORD_PORT PASSWORD SOCKET SOCKS_PORT OTHER_SOCKS_PORT WEB_PORT

It prints what it saw, without what differs from one time to the next, so that
what it prints on tor and on torjournal can be compared.
"""
import socket
import struct
import sys
import threading
import time

import stem
import stem.connection
from stem.control import Controller, EventType

port, password_port, password, path, socks, other_socks, web = sys.argv[1:]
socks, other_socks, web = int(socks), int(other_socks), int(web)

PATIENCE = 120  # seconds; no measure of speed
ONE_TRY = 20  # seconds after which a page is asked for again


def say(*words):
    print(*words, flush=True)


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise SystemExit("waited in vain for " + what)
        time.sleep(0.02)


def outcome(f, *args, **kw):
    """The first line of what f raises, or ok."""
    try:
        f(*args, **kw)
        return "ok"
    except (stem.ControllerError, stem.connection.AuthenticationFailure) as exc:
        return type(exc).__name__ + ": " + str(exc).splitlines()[0]


def fetch(socks_port, host, page_port, seen=None):
    """The page at host, through Tor; None if it does not come."""
    try:
        with socket.create_connection(("127.0.0.1", socks_port), timeout=ONE_TRY) as s:
            if seen:
                seen(s.getsockname()[1])
            s.sendall(b"\x05\x01\x00")
            if s.recv(2) != b"\x05\x00":
                return None
            name = host.encode()
            s.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", page_port))
            if s.recv(10)[1:2] != b"\x00":
                return None
            s.sendall(b"GET / HTTP/1.0\r\nHost: %s:%d\r\n\r\n" % (name, page_port))
            page = b""
            while True:
                part = s.recv(4096)
                if not part:
                    return page.decode()
                page += part
    except OSError:
        return None


def ways_in():
    with Controller.from_port(port=int(port)) as c:
        methods = [str(m) for m in c.get_protocolinfo().auth_methods if m != stem.connection.AuthMethod.PASSWORD]
        say("methods", *sorted(methods))
        c.authenticate()
        say("by cookie", c.is_authenticated(), c.get_version())
        c.reconnect()
        say("again", c.is_authenticated())
    with Controller.from_port(port=int(password_port)) as c:
        say("wrong password", outcome(stem.connection.authenticate_password, c, "no " + password))
    with Controller.from_port(port=int(password_port)) as c:
        c.authenticate(password=password)
        say("by password", c.is_authenticated())
    with Controller.from_socket_file(path) as c:
        c.authenticate()
        say("on a socket", c.is_authenticated())


def listeners(c):
    seen = {t: threading.Event() for t in EventType}
    for t in sorted(EventType):
        say("listener", t, outcome(c.add_event_listener, lambda e, t=t: seen[t].set(), t))
    return seen


def infos(c):
    names = [line.split(" ")[0] for line in c.get_info("info/names").splitlines()]
    for key in sorted(n for n in names if "*" not in n and not n.startswith(("journal/", "history/"))):
        parts = c.msg("GETINFO " + key).content()
        say("info", key, parts[-1][0], parts[-1][2] if parts[-1][0] != "250" else "")
    say("info", outcome(c.get_info, "no-such-key"), outcome(c.get_info, ["version", "no-such-key"]))
    say("info", sorted(c.get_info(["version", "config-file", "traffic/read"])))
    say("hundred", len(c.msg("GETINFO" + " version" * 100).content()))


def documents(c):
    routers = sorted(r.nickname for r in c.get_network_statuses())
    say("ns/all", *routers)
    say("md/all", len(list(c.get_microdescriptors())))
    say("ns/id", c.get_network_status("exit0").nickname)
    return routers


def settings(c):
    c.set_conf("MaxCircuitDirtiness", "777")
    say("conf", c.get_conf("MaxCircuitDirtiness"), c.get_conf("maxcircuitdirtiness"))
    say("conf", outcome(c.set_conf, "NoSuchOption", "1"), outcome(c.set_conf, "MaxCircuitDirtiness", "never"))
    c.reset_conf("MaxCircuitDirtiness")
    c.set_options([("ContactInfo", "a b # c"), ("MaxCircuitDirtiness", "778")])
    say("conf", repr(c.get_conf("ContactInfo")), sorted(c.get_conf_map("SocksPort")))
    say("loadconf", outcome(c.load_conf, c.get_info("config-text")), c.get_conf("MaxCircuitDirtiness"))
    c.reset_conf("ContactInfo", "MaxCircuitDirtiness")
    say("resolve", c.msg("RESOLVE stem.example").is_ok())  # answered by an ADDRMAP event
    say("map", sorted(c.map_address({"1.2.3.4": "127.0.0.1"}).items()))
    for s in ("NEWNYM", "DUMP", "no such signal"):
        say("signal", s, outcome(c.signal, s))


def circuits(c):
    def build():
        try:
            return c.new_circuit(path=["middle0", "exit1", "exit0"], await_build=True)
        except stem.CircuitExtensionFailed:
            return None

    circuit = until("a circuit", build)
    path = [nick for _, nick in c.get_circuit(circuit).path]
    say("circuit", *path)

    def attach(stream):
        if stream.status == "NEW" and stream.source_port in mine:
            attached.append((stream.id, outcome(c.attach_stream, stream.id, circuit)))

    attached, mine = [], set()
    c.set_conf("__LeaveStreamsUnattached", "1")
    c.add_event_listener(attach, EventType.STREAM)
    page = until("a page", lambda: fetch(socks, "127.0.0.1", web, mine.add))
    c.remove_event_listener(attach)
    c.reset_conf("__LeaveStreamsUnattached")
    say("attached", attached[-1][1], page.splitlines()[-1])
    say("stream", outcome(c.attach_stream, "999999", circuit), outcome(c.close_stream, "999999"))
    c.close_circuit(circuit)
    until("the end of the circuit", lambda: circuit not in [x.id for x in c.get_circuits()])
    say("circuit", outcome(c.close_circuit, "999999"), outcome(c.extend_circuit, "999999", "exit0"))
    return circuit


def onions(c):
    onion = c.create_ephemeral_hidden_service({80: web}, await_publication=True)
    say("onion", len(onion.service_id), onion.private_key_type, len(onion.private_key), onion.service_id in c.list_ephemeral_hidden_services())
    page = until("a page from the onion", lambda: fetch(other_socks, onion.service_id + ".onion", 80))
    say("onion says", page.splitlines()[-1] == "This is %s.onion." % onion.service_id or page)
    say("descriptor", type(until("a descriptor", lambda: descriptor(c, onion.service_id))).__name__)
    say("onion removed", c.remove_ephemeral_hidden_service(onion.service_id), c.list_ephemeral_hidden_services())

    # Those that are not detached have the life of their connection.
    dying = Controller.from_socket_file(path)
    dying.authenticate()
    brief = dying.create_ephemeral_hidden_service({80: web}, discard_key=True)
    lasting = dying.create_ephemeral_hidden_service({80: web}, detached=True)
    say("on another connection", c.list_ephemeral_hidden_services(), c.list_ephemeral_hidden_services(detached=True) == [lasting.service_id])
    known = "GETINFO hs/service/desc/id/%s"
    until("its descriptor", lambda: c.msg(known % brief.service_id).is_ok())
    dying.close()
    until("its end", lambda: not c.msg(known % brief.service_id).is_ok())
    say("detached", c.remove_ephemeral_hidden_service(lasting.service_id))


def descriptor(c, service):
    try:
        return c.get_hidden_service_descriptor(service, await_result=True, timeout=ONE_TRY)
    except (stem.DescriptorUnavailable, stem.Timeout):
        return None


ways_in()
with Controller.from_port(port=int(port)) as c:
    c.authenticate()
    seen = listeners(c)
    infos(c)
    routers = documents(c)
    settings(c)
    circuit = circuits(c)
    onions(c)
    for t in ("BW", "CIRC", "CIRC_MINOR", "CIRC_BW", "STREAM", "STREAM_BW", "CONN_BW", "CELL_STATS", "HS_DESC", "HS_DESC_CONTENT",
              "ADDRMAP", "SIGNAL", "CONF_CHANGED", "DEBUG", "INFO", "NOTICE"):
        until("an event of type " + t, seen[t].is_set)
        say("seen", t)
print("built circuit", circuit, file=sys.stderr)
