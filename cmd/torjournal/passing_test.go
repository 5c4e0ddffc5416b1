package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"torjournal/tor/testnet"
)

// Commands of every form, sent at once, have the same replies of a real tor,
// byte for byte, whether they go to its own port or to torjournal's.
func TestPipelinedCommandsHaveTorsOwnReplies(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{Torrc: []string{"ContactInfo somebody"}})
	addr, journal := freePort(t), journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr)
	r.attached()
	atTor := func() *wire { return dialWireCookie(t, tor.ControlAddr, tor.CookieFile) }
	config := configText(atTor())
	script := strings.Join([]string{
		"SETCONF ContactInfo=somebody", // as it was
		"GETINFO version config-file config-text",
		"getinfo VERSION", "GETINFO", "GETINFO nothing version nothing/either", "GETINFO config/names config/defaults", "GETINFO fingerprint",
		"GETINFO circuit-status stream-status", "GETINFO status/bootstrap-phase ns/id/nonsense",
		"GETCONF ContactInfo contactinfo SocksPort", "GETCONF Nonsense MoreNonsense", "GETCONF",
		`SETCONF ContactInfo="a \"quoted\" \\ word" Nickname=x`, "GETCONF ContactInfo", "SETCONF Nonsense=1", `SETCONF ContactInfo="open`, "RESETCONF ContactInfo",
		"+LOADCONF\r\n" + config + "ContactInfo somebody else\r\n.", "GETCONF ContactInfo",
		"+LOADCONF\r\n" + config + "Nonsense \x01\xff\tword\r\n..dotted\r\n.", "GETCONF ContactInfo",
		"+POSTDESCRIPTOR purpose=general cache=no\r\nrouter \x00\xff\xfe \rodd\r\n..\r\n. \r\n650 BW 1 1\r\n250 OK\r\n\r\n" + strings.Repeat("long ", 50_000) + "\r\n.",
		"+POSTDESCRIPTOR purpose=nonsense\r\n.", "POSTDESCRIPTOR", "+HSPOST x=y\r\nx\r\n.", "+nonsense a b\r\nc\r\n.", "Nonsense \xff\x01 word", "", " ", "\t",
		"MAPADDRESS 0.0.0.0=torproject.example 1.2.3.4=5.6.7.8 a=b=c nothing", "MAPADDRESS", "EXTENDCIRCUIT", "EXTENDCIRCUIT 0 nonsense", "CLOSECIRCUIT 999999 IfUnused",
		"ATTACHSTREAM 1 2 HOP=x", "REDIRECTSTREAM 1 x", "CLOSESTREAM 1 2", "SIGNAL", "SIGNAL nonsense", "USEFEATURE nonsense", "USEFEATURE EXTENDED_EVENTS verbose_names",
		"ADD_ONION NONSENSE:x Port=80", "DEL_ONION x", "ONION_CLIENT_AUTH_VIEW", "HSFETCH x", "RESOLVE", "TAKEOWNERSHIP", "DROPOWNERSHIP", "AUTHCHALLENGE", "SETEVENTS nonsense", "SETEVENTS",
		"MAPADDRESS 1.2.3.4=1.2.3.4", "QUIT", "GETINFO version",
	}, "\r\n") + "\r\n"
	script += "GETINFO version\n"
	want, got := all(atTor(), script), all(dialWire(t, addr, journal), script)
	// The address that stands for torproject.example is another each time.
	want, got = withoutMapped(want), withoutMapped(got)
	if want != got {
		at := differ(got, want)
		t.Errorf("torjournal says something else from byte %d of %d on:\ngot  %.300q\nwant %.300q", at, len(want), got[at:], want[at:])
	}
	if len(want) < 10_000 || strings.Count(want, "\r\n250 OK\r\n") < 10 {
		t.Errorf("tor said little: %q", want)
	}
}

// configText is tor's configuration as +LOADCONF takes it.
func configText(w *wire) string {
	w.write("GETINFO config-text\r\n")
	var text strings.Builder
	for line := w.line(); line != "250 OK"; line = w.line() {
		if line != "." && line != "250+config-text=" {
			text.WriteString(line + "\r\n")
		}
	}
	return text.String()
}

// all sends a script at once and returns what is said until the stream ends.
func all(w *wire, script string) string {
	w.t.Helper()
	go func() { _, _ = io.WriteString(w.sock, script) }()
	_ = w.sock.SetReadDeadline(time.Now().Add(patience))
	said, err := io.ReadAll(w.in)
	if err != nil {
		w.t.Fatalf("%v after %d bytes: %.500q", err, len(said), said[max(0, len(said)-500):])
	}
	return string(said)
}

func withoutMapped(said string) string {
	before, after, found := strings.Cut(said, "=torproject.example")
	if !found {
		return said
	}
	return before[:strings.LastIndexByte(before, '-')] + after
}
