package control

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// exchange is a command of a recorded conversation and tor's reply.
type exchange struct{ command, reply string }

// readRecorded reads a conversation; cmd/torjournal's conversations_test.go
// says how it is written, and records it from a real tor.
func readRecorded(t *testing.T, file string) (talk []exchange) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for l := range strings.Lines(string(text)) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		switch kind {
		case "C:":
			talk = append(talk, exchange{command: rest})
			continue
		case "S:":
			talk[len(talk)-1].reply += rest + "\r\n"
		case "S=":
			talk[len(talk)-1].reply = last[talk[len(talk)-1].command]
		case "#":
			continue
		default:
			t.Fatalf("%s: line %q", file, l)
		}
		x := talk[len(talk)-1]
		last[x.command] = x.reply
	}
	return talk
}

// TestRecordedConversations plays what nyx, stem and txtorcon said against a
// tor that answers as the recorded one did: each reply arrives as tor wrote
// it, also where the controller waits for none of them, and tor hears each
// command as it was sent.
func TestRecordedConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) { playRecorded(t, readRecorded(t, file), false) })
		t.Run(name+"/pipelined", func(t *testing.T) { playRecorded(t, readRecorded(t, file), true) })
	}
}

func playRecorded(t *testing.T, talk []exchange, pipelined bool) {
	cookie := []byte("0123456789abcdef0123456789abcdef")
	file := filepath.Join(t.TempDir(), "cookie")
	if err := os.WriteFile(file, cookie, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Access{CookieFile: file})
	var mu sync.Mutex
	next := 0
	r.tor.replies = func(cmd string) string {
		mu.Lock()
		defer mu.Unlock()
		for ; next < len(talk); next++ {
			if talk[next].command+"\r\n" == cmd {
				next++
				return talk[next-1].reply
			}
			if !answeredHere(talk[next].command) {
				break
			}
		}
		t.Errorf("tor heard %q out of turn", cmd)
		return "510 not in the recording\r\n"
	}
	p, begun := r.dial(), false
	var sent, want strings.Builder
	for _, x := range talk {
		switch {
		case strings.HasPrefix(x.command, "AUTHCHALLENGE"):
			begun = true
			p.authenticate(cookie)
		case strings.HasPrefix(x.command, "AUTHENTICATE"):
		case x.command == "PROTOCOLINFO 1" && !begun:
			p.send(x.command + "\r\n")
			p.expect("250-PROTOCOLINFO 1", "250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="+quote(file), `250-VERSION Tor="0.4.9.11"`, "250 OK")
		case x.command == "PROTOCOLINFO 1": // the same again, of another server than the recorded one
		default:
			sent.WriteString(x.command + "\r\n")
			want.WriteString(amendedReply(x))
			if !pipelined {
				p.send(sent.String())
				p.expectText(x.command, want.String())
				sent.Reset()
				want.Reset()
			}
		}
	}
	if pipelined {
		go func() { _, _ = p.sock.Write([]byte(sent.String())) }()
		p.expectText("all commands at once", want.String())
	}
}

// answeredHere reports whether tor never hears of a command.
func answeredHere(cmd string) bool {
	verb, _, _ := strings.Cut(cmd, " ")
	return verb == "PROTOCOLINFO" || verb == "AUTHCHALLENGE" || verb == "AUTHENTICATE" || verb == "SETEVENTS"
}

// amendedReply is what is to come of tor's reply: ours to features/names, the
// only key that is amended for who has tor's cookie and no more.
func amendedReply(x exchange) string {
	if x.command != "GETINFO features/names" {
		return x.reply
	}
	line, rest, _ := strings.Cut(x.reply, "\r\n")
	return line + (&conn{}).amendment("features/names") + "\r\n" + rest
}

// authenticate goes through SAFECOOKIE.
func (p *peer) authenticate(cookie []byte) {
	p.t.Helper()
	answer := p.challenge(cookie, []byte("nonce of the controller"))
	if _, err := hex.DecodeString(answer); err != nil {
		p.t.Fatal(err)
	}
	p.send("AUTHENTICATE " + answer + "\r\n")
	p.expect("250 OK")
}

// expectText reads a whole text.
func (p *peer) expectText(what, text string) {
	p.t.Helper()
	for l := range strings.Lines(text) {
		if got := p.line(); got != l {
			p.t.Fatalf("%s:\ngot  %q\nwant %q", what, got, l)
		}
	}
}
