package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"torjournal/tor/testnet"
)

// wire is a controller that speaks for itself, line by line, and sees when its
// stream ends.
type wire struct {
	t    *testing.T
	sock net.Conn
	in   *bufio.Reader
}

// dialWire connects to torjournal's control port and shows its own cookie.
func dialWire(t *testing.T, addr, journal string) *wire {
	t.Helper()
	return dialWireCookie(t, addr, journal+".cookie")
}

func dialWireCookie(t *testing.T, addr, cookieFile string) *wire {
	t.Helper()
	network := "tcp"
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		network, addr = "unix", path
	}
	sock, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	w := &wire{t: t, sock: sock, in: bufio.NewReader(sock)}
	cookie, err := os.ReadFile(cookieFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.ask("AUTHENTICATE " + hex.EncodeToString(cookie)); got != "250 OK" {
		t.Fatalf("AUTHENTICATE: %q", got)
	}
	return w
}

// ask sends a command and returns the last line of its reply.
func (w *wire) ask(command string) string {
	w.t.Helper()
	w.write(command + "\r\n")
	for {
		line := w.line()
		if len(line) > 3 && line[3] == ' ' && !strings.HasPrefix(line, "650") {
			return line
		}
	}
}

func (w *wire) write(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.sock, text); err != nil {
		w.t.Fatalf("%.60s: %v", text, err)
	}
}

func (w *wire) line() string {
	w.t.Helper()
	_ = w.sock.SetReadDeadline(time.Now().Add(patience))
	line, err := w.in.ReadString('\n')
	if err != nil {
		w.t.Fatalf("read: %v after %q", err, line)
	}
	return strings.TrimRight(line, "\r\n")
}

// news is the next line that does not tell of commands: those that only ask
// are told of by the minute.
func (w *wire) news() string {
	w.t.Helper()
	for {
		if line := w.line(); !strings.HasPrefix(line, "650 JOURNAL COMMAND ") {
			return line
		}
	}
}

// ended expects the end of the stream, and nothing before it.
func (w *wire) ended() {
	w.t.Helper()
	_ = w.sock.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
		w.t.Fatalf("expected the end of the stream, got %q, %v", rest, err)
	}
}

const newOnion = "ADD_ONION NEW:ED25519-V3 Flags=DiscardPK Port=8333,127.0.0.1:8333"

// What bitcoind does, and lnd: an onion service, and whenever the stream ends
// another connection, until the service is there again. While tor is away such
// a connection is refused what it asks for and ended, since nothing else makes
// bitcoind try again.
func TestBitcoindGetsItsOnionBack(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr)
	r.attached()

	bitcoind, ours := dialWire(t, addr, journal), dialWire(t, addr, journal)
	if got := ours.ask("SETEVENTS JOURNAL"); got != "250 OK" {
		t.Fatal(got)
	}
	if got := bitcoind.ask(newOnion); got != "250 OK" {
		t.Fatal(got)
	}
	if err := tor.Kill(); err != nil {
		t.Fatal(err)
	}
	bitcoind.ended()
	if got := ours.news(); !strings.HasPrefix(got, "650 JOURNAL SOURCE_LOST ") {
		t.Errorf("who uses what is ours reads of the loss, not %q", got)
	}
	// Again before tor is back.
	bitcoind = dialWire(t, addr, journal)
	if got := bitcoind.ask(newOnion); !strings.HasPrefix(got, "551 There is no tor to answer this: ") {
		t.Errorf("without tor: %q", got)
	}
	bitcoind.ended()
	if got := ours.ask(newOnion); !strings.HasPrefix(got, "551 There is no tor to answer this: ") {
		t.Errorf("without tor: %q", got)
	}

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tor.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if got := ours.news(); !strings.HasPrefix(got, "650 JOURNAL SOURCE_RESTORED ") {
		t.Errorf("who stayed reads of tor's return, not %q", got)
	}
	bitcoind = dialWire(t, addr, journal)
	for _, w := range []*wire{bitcoind, ours} {
		if got := w.ask(newOnion); got != "250 OK" {
			t.Errorf("when tor is back: %q", got)
		}
	}
}

// With --on-source-loss keep everybody stays and is told why there is no answer.
func TestControllersAreKeptWithoutTor(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr, "--on-source-loss", "keep")
	r.attached()
	w := dialWire(t, addr, journal)
	if got := w.ask("GETINFO version"); got != "250 OK" {
		t.Fatal(got)
	}
	if err := tor.Kill(); err != nil {
		t.Fatal(err)
	}
	r.await("tor is lost", func() bool { return !r.status().Source.Attached })
	for range 2 {
		if got := w.ask("GETINFO version"); !strings.HasPrefix(got, "551 ") {
			t.Errorf("without tor: %q", got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tor.Start(ctx); err != nil {
		t.Fatal(err)
	}
	r.attached()
	if got := w.ask("GETINFO version"); got != "250 OK" {
		t.Errorf("when tor is back: %q", got)
	}
}

// What ends with a controller's connection is in status, and named in the log
// when the recorder stops.
func TestHoldingsAreTold(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr)
	r.attached()
	w := dialWire(t, addr, journal)
	detached := strings.Replace(newOnion, "DiscardPK", "DiscardPK,Detach", 1)
	for _, command := range []string{newOnion, detached, "TAKEOWNERSHIP"} {
		if got := w.ask(command); got != "250 OK" {
			t.Fatalf("%s: %q", command, got)
		}
	}
	c := r.status().Connections[0]
	if !c.OwnsTor || len(c.Onions) != 1 || len(c.Onions[0]) != 56 {
		t.Fatalf("status: %+v", c)
	}
	out, _ := torjournal(t, 0, "status", "--journal", journal)
	if !strings.Contains(out, "owns tor, which ends with it; onion services that end with it: "+c.Onions[0]) {
		t.Errorf("torjournal status: %s", out)
	}
	second := dialWire(t, addr, journal)
	if got := second.ask(newOnion); got != "250 OK" {
		t.Fatal(got)
	}
	r.stop()
	for _, want := range []string{"tor ends now", c.Onions[0], "onion services end now"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, r.log)
		}
	}
	select {
	case <-tor.Exited():
	case <-time.After(patience):
		t.Error("tor lives on without its owner")
	}
}

// Who has taken ownership of tor takes it along, through torjournal too, and
// nobody else does.
func TestOwnershipOfTorEndsWithItsConnection(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr)
	r.attached()

	owner, other := dialWire(t, addr, journal), dialWire(t, addr, journal)
	for _, command := range []string{"TAKEOWNERSHIP", "DROPOWNERSHIP"} {
		if got := other.ask(command); got != "250 OK" {
			t.Fatalf("%s: %q", command, got)
		}
	}
	if got := owner.ask("TAKEOWNERSHIP"); got != "250 OK" {
		t.Fatal(got)
	}
	_ = other.sock.Close()
	third := dialWire(t, addr, journal)
	r.await("the connection that gave ownership back is gone", func() bool { return len(r.status().Connections) == 2 })
	if got := third.ask("GETINFO version"); got != "250 OK" || tor.PID() == 0 {
		t.Fatalf("tor ended with a connection that does not own it: %q", got)
	}
	_ = owner.sock.Close()
	select {
	case <-tor.Exited():
	case <-time.After(patience):
		t.Fatal("tor lives on without its owner")
	}
	third.ended()
}
