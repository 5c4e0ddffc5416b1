package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// freePort returns a loopback address nothing listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// loneTor starts a tor on DisableNetwork 1.
func loneTor(t *testing.T, opts testnet.TorOptions) *testnet.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tor, err := testnet.StartTor(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tor.Close() })
	return tor
}

// ownCookie are the credentials of a controller that shows torjournal's own
// cookie, as PROTOCOLINFO names it.
var ownCookie = controlport.Credentials{}

// A subscriber on tor and one on torjournal receive the same bytes, and
// commands through torjournal do in tor what they say.
func TestSubscribersOfTorAndOfTorjournalReceiveTheSameBytes(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	port := freePort(t)
	r := startRecorder(t, journalIn(t), "--attach", tor.ControlAddr, "--control", port)
	r.attached()

	const types = "BW NOTICE SIGNAL CONF_CHANGED"
	atTor := subscribe(t, tor.ControlAddr, controlport.Credentials{}, types)
	atUs := subscribe(t, port, ownCookie, types)
	for i := range 20 {
		atUs.must(t, fmt.Sprintf("SETCONF MaxCircuitDirtiness=%d", 601+i))
		atUs.must(t, "SIGNAL DUMP")
	}
	dumped := func(s *subscriber) func(string) bool { // tor tells of a signal when it acts on it, not when it replies
		return func(string) bool { return strings.Count(strings.Join(s.received(), ""), "650 SIGNAL DUMP\r\n") == 20 }
	}
	atTor.awaitEvent(t, "20 SIGNAL DUMP from tor", dumped(atTor))
	atUs.awaitEvent(t, "20 SIGNAL DUMP from torjournal", dumped(atUs))
	atUs.must(t, `SETCONF ContactInfo="the last one"`)
	last := func(wire string) bool { return strings.Contains(wire, "the last one") }
	atTor.awaitEvent(t, "the last CONF_CHANGED from tor", last)
	atUs.awaitEvent(t, "the last CONF_CHANGED from torjournal", last)
	bw := func(wire string) bool { return strings.HasPrefix(wire, "650 BW ") }
	atUs.awaitEvent(t, "BW", bw)

	// Each began to listen in its own second: BW lines before the first
	// SETCONF, and after the last, may differ in number.
	want, got := settings(atTor.received()), settings(atUs.received())
	if want != got {
		t.Errorf("torjournal's subscriber received\n%s\ntor's own\n%s", got, want)
	}
	if n := strings.Count(got, "650 SIGNAL DUMP\r\n"); n != 20 {
		t.Errorf("%d of 20 SIGNAL DUMP arrived", n)
	}
	if rep := atTor.must(t, "GETCONF MaxCircuitDirtiness"); !strings.Contains(fmt.Sprint(rep), "620") {
		t.Errorf("SETCONF through torjournal did not reach tor: %v", rep)
	}
}

// settings returns the bytes from the first CONF_CHANGED to the last.
func settings(wires []string) string {
	isConf := func(w string) bool { return strings.HasPrefix(w, "650-CONF_CHANGED") }
	first := slices.IndexFunc(wires, isConf)
	if first < 0 {
		return ""
	}
	last := len(wires) - 1
	for !isConf(wires[last]) {
		last--
	}
	var kept []string
	for _, w := range wires[first : last+1] {
		if !strings.HasPrefix(w, "650 BW ") { // compared below, whole seconds shift
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, "")
}

// Bandwidth events too are tor's own bytes, in tor's order.
func TestBandwidthIsToldByteForByte(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	port := freePort(t)
	r := startRecorder(t, journalIn(t), "--attach", tor.ControlAddr, "--control", port)
	r.attached()
	atUs := subscribe(t, port, ownCookie, "BW SIGNAL")
	atTor := subscribe(t, tor.ControlAddr, controlport.Credentials{}, "BW SIGNAL")
	for range 3 { // a SIGNAL before and after a second's BW marks its place
		before := len(atTor.received())
		atTor.must(t, "SIGNAL DUMP")
		atTor.awaitEvent(t, "another second", func(string) bool {
			got := atTor.received()
			return slices.ContainsFunc(got[min(before, len(got)):], func(w string) bool { return strings.HasPrefix(w, "650 BW ") })
		})
	}
	atTor.must(t, "SIGNAL RELOAD")
	mark := func(wire string) bool { return wire == "650 SIGNAL RELOAD\r\n" }
	atTor.awaitEvent(t, "the mark at tor", mark)
	atUs.awaitEvent(t, "the mark at torjournal", mark)
	from := "650 SIGNAL DUMP\r\n"
	want, got := strings.Join(atTor.received(), ""), strings.Join(atUs.received(), "")
	want = want[strings.Index(want, from):strings.Index(want, "650 SIGNAL RELOAD")]
	got = got[strings.Index(got, from):strings.Index(got, "650 SIGNAL RELOAD")]
	if want != got || strings.Count(got, "650 BW ") < 3 {
		t.Errorf("torjournal's subscriber received\n%s\ntor's own\n%s", got, want)
	}
}

// What was recorded is told again beside the daemon and after it has
// stopped, with the same bytes.
func TestReplayBesideTheDaemonAndAfterItHasStopped(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{Socket: true})
	dir := t.TempDir()
	journal := filepath.Join(dir, "state", "journal.db")
	r := startRecorder(t, journal, "--attach", "unix:"+tor.ControlSocket, "--control", "unix:"+filepath.Join(dir, "control"))
	r.attached()
	sub := subscribe(t, "unix:"+filepath.Join(dir, "control"), ownCookie, "CONF_CHANGED SIGNAL")
	for i := range 50 {
		sub.must(t, fmt.Sprintf("SETCONF MaxCircuitDirtiness=%d", 700+i))
	}
	sub.awaitEvent(t, "the last change", func(w string) bool { return strings.Contains(w, "=749") })

	live := strings.Join(sub.received(), "")
	beside, _ := torjournal(t, 0, "replay", "--journal", journal, "-e", "CONF_CHANGED", "-o", "wire")
	if beside != live {
		t.Errorf("beside the daemon replay says\n%s\nbut live it was\n%s", beside, live)
	}
	short, _ := torjournal(t, 0, "replay", "--journal", journal, "-n", "3", "-e", "CONF_CHANGED")
	if strings.Count(short, "\n") != 3 || !strings.Contains(short, "CONF_CHANGED") {
		t.Errorf("replay -n 3 printed\n%s", short)
	}
	torjournal(t, 0, "status", "--journal", journal)
	r.stop()
	after, _ := torjournal(t, 0, "replay", "--journal", journal, "-e", "CONF_CHANGED", "-o", "wire")
	if after != live {
		t.Errorf("after the daemon replay says\n%s\nbut live it was\n%s", after, live)
	}
	out, _ := torjournal(t, exitNotRunning, "status", "--journal", journal)
	if !strings.Contains(out, "not running") {
		t.Errorf("status after the end:\n%s", out)
	}
	for path, mode := range map[string]os.FileMode{journal: 0o600, journal + ".cookie": 0o600, filepath.Dir(journal): 0o700} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v; want %v", path, fi.Mode().Perm(), err, mode)
		}
	}
}
