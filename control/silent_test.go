package control

import (
	"strings"
	"testing"
)

// TestSilentCommand: a command that tor says nothing to holds up none behind
// it, and one that it refuses gets the refusal, once.
func TestSilentCommand(t *testing.T) {
	n := &notebook{}
	r := newRig(t, Access{NoAuth: true}, withNotebook(n))
	r.tor.replies = func(cmd string) string {
		const quit = "\r\n.\r\nQUIT\r\n"
		switch {
		case strings.HasPrefix(cmd, "+hspost SERVER=") && strings.HasSuffix(cmd, quit):
			return "552 Server \"x\" not found\r\n"
		case strings.HasPrefix(cmd, "+HSPOST HSADDRESS="):
			return "512 Malformed onion address\r\n"
		case strings.HasSuffix(cmd, quit):
			return "250 closing connection\r\n"
		}
		return torReply(cmd)
	}
	p := r.login()
	p.send("+HSPOST\r\nfoo\r\n.\r\nGETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
	p.send("+hspost SERVER=x\r\nfoo\r\n.\r\n+HSPOST HSADDRESS=x\r\n.\r\nGETINFO uptime\r\n")
	p.expect(`552 Server "x" not found`, "512 Malformed onion address", "250-uptime=30", "250 OK")
	if r.tor.open() != 1 {
		t.Errorf("%d upstream connections are open", r.tor.open())
	}
	n.expect(t, "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=HSPOST",
		"650 JOURNAL COMMAND PHASE=SENT CONN=1 N=2 PEER=127 VERB=HSPOST ARGS=SERVER=x",
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=2 VERB=HSPOST CODE=552 MS=",
		"650 JOURNAL COMMAND PHASE=SENT CONN=1 N=3 PEER=127 VERB=HSPOST ARGS=HSADDRESS=[scrubbed]",
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=3 VERB=HSPOST CODE=512 MS=")
	r.tor.lose()
	p = r.login()
	p.send("+HSPOST\r\n.\r\n")
	p.expect("551 There is no tor to answer this: 127.0.0.1:9051 refuses connections: is tor running?")
	p.closed()
}
