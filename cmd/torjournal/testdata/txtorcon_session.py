"""A controller as users write them, with txtorcon: a model of the whole state,
kept up by events.

usage: txtorcon_session.py PORT SOCKS_PORT WEB_PORT

It prints what it saw, without what differs from one time to the next.
"""
import socket
import struct
import sys

import txtorcon
from twisted.internet import defer, endpoints, task, threads

port, socks, web = map(int, sys.argv[1:])


def say(*words):
    print(*words, flush=True)


@defer.inlineCallbacks
def until(reactor, what, condition):
    for _ in range(6000):  # two minutes; no measure of speed
        got = condition()
        if got:
            return got
        yield task.deferLater(reactor, 0.02, lambda: None)
    raise SystemExit("waited in vain for " + what)


def fetch():
    """The first bytes of a page through Tor, and the connection, still open."""
    s = socket.create_connection(("127.0.0.1", socks), timeout=120)
    s.sendall(b"\x05\x01\x00")
    s.recv(2)
    s.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack(">H", web))
    reply = s.recv(10)
    s.sendall(b"GET / HTTP/1.1\r\nHost: txtorcon.example\r\n\r\n")
    return reply[1], s.recv(4096), s


@defer.inlineCallbacks
def built(state, reactor):
    path = [state.routers_by_name[n][0] for n in ("middle1", "exit2", "exit3")]
    while True:
        circuit = yield state.build_circuit(path, using_guards=False)
        try:
            yield circuit.when_built()
            return circuit
        except Exception as exc:
            print("a circuit was not built, trying again:", exc, file=sys.stderr)


@defer.inlineCallbacks
def main(reactor):
    tor = yield txtorcon.connect(reactor, endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port))
    say("connected", tor.version, tor.protocol.is_owned)
    config = yield tor.get_config()
    say("config", sorted(config.config)[:3], len(config.config))
    state = yield tor.create_state()
    say("routers", sorted(n for n in state.routers_by_name if not n.startswith("$")))
    say("guards", len(state.entry_guards) > 0, "pid", state.tor_pid > 0)
    known = yield tor.protocol.get_info("circuit-status")
    ids = {int(line.split()[0]) for line in known["circuit-status"].splitlines() if line.strip()}
    yield until(reactor, "the circuits that tor tells of", lambda: ids & set(state.circuits))

    circuit = yield built(state, reactor)
    say("circuit", circuit.state, [r.name for r in circuit.path], state.circuits[circuit.id] is circuit)
    code, page, sock = yield threads.deferToThread(fetch)
    stream = yield until(reactor, "the stream", lambda: [
        s for s in state.streams.values() if s.state == "SUCCEEDED" and s.target_port == web and s.circuit])
    say("stream", code, page.splitlines()[0].decode(), len(stream) > 0)
    sock.close()
    yield until(reactor, "the end of the stream", lambda: not [s for s in state.streams.values() if s.target_port == web])
    yield circuit.close()
    yield until(reactor, "the end of the circuit", lambda: circuit.id not in state.circuits)
    say("closed", circuit.state)

    config.MaxCircuitDirtiness = 779
    yield config.save()
    got = yield tor.protocol.get_conf("MaxCircuitDirtiness")
    say("conf", got)
    yield tor.protocol.queue_command("RESETCONF MaxCircuitDirtiness")
    yield tor.protocol.signal("NEWNYM")
    onion = yield txtorcon.EphemeralOnionService.create(
        reactor, config, ["80 127.0.0.1:%d" % web], private_key=txtorcon.DISCARD, await_all_uploads=False)
    say("onion", len(onion.hostname))
    yield onion.remove()
    try:
        yield tor.protocol.queue_command("NO_SUCH_COMMAND")
    except txtorcon.TorProtocolError as exc:
        say("refused", exc.code, exc.text)
    yield tor.protocol.quit()
    say("quit")


task.react(main)
