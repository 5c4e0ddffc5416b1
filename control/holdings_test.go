package control

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestHoldings follows what ends with a connection through the commands that
// make and end it.
func TestHoldings(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	made := 0
	r.tor.replies = func(cmd string) string {
		switch word := strings.Fields(cmd); strings.ToUpper(word[0]) {
		case "ADD_ONION":
			if strings.Contains(cmd, "bad") {
				return "512 Invalid VIRTPORT/TARGET\r\n"
			}
			made++
			return fmt.Sprintf("250-ServiceID=onion%d\r\n250-PrivateKey=ED25519-V3:secret\r\n250 OK\r\n", made)
		case "DEL_ONION":
			if len(word) < 2 || word[1] == "strange" {
				return "552 Unknown Onion Service id\r\n"
			}
			return "250 OK\r\n"
		case "DROPOWNERSHIP":
			return "250 OK\r\n"
		}
		return torReply(cmd)
	}
	p, other := r.login(), r.login()
	for _, tt := range []struct{ cmd, want string }{
		{"GETINFO version", "false []"},
		{"ADD_ONION NEW:BEST Port=80", "false [onion1]"},
		{"add_onion NEW:BEST flags=DiscardPK,detach Port=80", "false [onion1]"},
		{"ADD_ONION NEW:BEST Port=bad", "false [onion1]"},
		{"ADD_ONION NEW:BEST Flags=DiscardPK Port=80", "false [onion1 onion3]"},
		{"TAKEOWNERSHIP", "true [onion1 onion3]"},
		{"DEL_ONION strange", "true [onion1 onion3]"},
		{"DEL_ONION onion1", "true [onion3]"},
		{"DROPOWNERSHIP", "false [onion3]"},
		{"takeownership", "true [onion3]"},
	} {
		p.send(tt.cmd + "\r\n")
		p.upToReply()
		infos := r.srv.Connections()
		if got := fmt.Sprint(infos[0].OwnsTor, infos[0].Onions); got != tt.want {
			t.Errorf("after %s: %s, want %s", tt.cmd, got, tt.want)
		}
		if infos[1].OwnsTor || len(infos[1].Onions) > 0 {
			t.Errorf("after %s the other connection has %v", tt.cmd, infos[1].Onions)
		}
	}
	other.send("GETINFO journal/status\r\n")
	if got := other.line(); !strings.HasSuffix(got, " OWNERS=1 ONIONS=1\r\n") {
		t.Errorf("%q", got)
	}
	p.send("GETINFO journal/size\r\n") // so it outlives tor, and what it held does not
	p.upToReply()
	r.tor.lose()
	until(t, "the end of what tor held", func() bool {
		owns, onions := r.srv.Connections()[0].OwnsTor, r.srv.Connections()[0].Onions
		return !owns && len(onions) == 0
	})
}

// TestHoldingsOfTheDead: what tor granted on a connection that has ended
// meanwhile is not held by it.
func TestHoldingsOfTheDead(t *testing.T) {
	up := &stubUp{done: make(chan struct{})}
	var h holdings
	w, note := h.of(command{verb: "TAKEOWNERSHIP"}, io.Discard)
	fmt.Fprint(w, "250 OK\r\n")
	w, noteOnion := h.of(command{verb: "ADD_ONION", args: "NEW:BEST Port=80"}, io.Discard)
	fmt.Fprint(w, "250-ServiceID=onion1\r\n250 OK\r\n")
	close(up.done)
	h.drop()
	note(up)
	noteOnion(up)
	if owns, onions, by := h.list(); owns || len(onions) > 0 || by != nil {
		t.Errorf("held: %v %v by %v", owns, onions, by)
	}
}
