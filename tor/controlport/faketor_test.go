package controlport

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come. It is no bound on
// speed: machines under the race detector, with other tests beside, are slow.
const patience = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// fakeTor is a control port that answers as its test says.
type fakeTor struct {
	t      testing.TB
	ln     net.Listener
	answer func(c *fakeConn, command string) string // called by each connection's goroutine
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []*fakeConn // guarded by mu
}

// fakeConn is the tor side of one connection.
type fakeConn struct {
	net.Conn
	mu   sync.Mutex
	said []string // guarded by mu: commands received
}

// startFake serves a Unix socket until the test ends.
func startFake(t testing.TB, answer func(c *fakeConn, command string) string) *fakeTor {
	t.Helper()
	return startFakeAt(t, filepath.Join(t.TempDir(), "control"), answer)
}

func startFakeAt(t testing.TB, path string, answer func(c *fakeConn, command string) string) *fakeTor {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTor{t: t, ln: ln, answer: answer}
	f.wg.Go(f.serve)
	t.Cleanup(f.stop)
	return f
}

func (f *fakeTor) address() Address { return Address{"unix", f.ln.Addr().String()} }

func (f *fakeTor) serve() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		c := &fakeConn{Conn: nc}
		f.mu.Lock()
		f.conns = append(f.conns, c)
		f.mu.Unlock()
		f.wg.Go(func() { f.talk(c) })
	}
}

func (f *fakeTor) talk(c *fakeConn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		c.mu.Lock()
		c.said = append(c.said, line)
		c.mu.Unlock()
		if _, err := c.Write([]byte(f.answer(c, line))); err != nil {
			return
		}
	}
}

// drop ends all connections, as a tor that dies does.
func (f *fakeTor) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

func (f *fakeTor) stop() {
	_ = f.ln.Close()
	f.drop()
	f.wg.Wait()
}

// send writes an event to every connection.
func (f *fakeTor) send(wire string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		if _, err := c.Write([]byte(wire)); err != nil {
			f.t.Error(err)
		}
	}
}

// commands returns what the n-th connection (from 0) has received.
func (f *fakeTor) commands(n int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n >= len(f.conns) {
		return nil
	}
	c := f.conns[n]
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.said...)
}

// script answers by a command's beginning; the longest that fits counts.
type script map[string]string

func (s script) answer(_ *fakeConn, command string) string {
	best, reply := -1, fmt.Sprintf("510 Unrecognized command %q\r\n", command)
	for begin, r := range s {
		if strings.HasPrefix(command, begin) && len(begin) > best {
			best, reply = len(begin), r
		}
	}
	return reply
}

const eventsNames = "CIRC CIRC_MINOR STREAM ORCONN BW DEBUG INFO NOTICE WARN ERR NEWDESC ADDRMAP DESCCHANGED NS " +
	"STATUS_GENERAL STATUS_CLIENT STATUS_SERVER GUARD STREAM_BW CLIENTS_SEEN NEWCONSENSUS BUILDTIMEOUT_SET SIGNAL " +
	"CONF_CHANGED CONN_BW CELL_STATS CIRC_BW TRANSPORT_LAUNCHED HS_DESC HS_DESC_CONTENT NETWORK_LIVENESS FUTURE"

// plainTor answers what a source asks of a client that wants no
// authentication.
func plainTor() script {
	return script{
		"PROTOCOLINFO":                       "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n",
		"AUTHENTICATE":                       "250 OK\r\n",
		"GETINFO events/names":               "250-events/names=" + eventsNames + "\r\n250 OK\r\n",
		"GETCONF":                            "250-ORPort\r\n250-BridgeRelay=0\r\n250-TestingTorNetwork=0\r\n250 HiddenServiceDir\r\n",
		"GETINFO fingerprint":                "551 Not running in server mode\r\n",
		"GETINFO version process/pid uptime": "250-version=0.4.9.11 (git-abc)\r\n250-process/pid=77\r\n250-uptime=600\r\n250 OK\r\n",
		"GETINFO version status":             "250-version=0.4.9.11\r\n250+circuit-status=\r\n1 BUILT $A~a\r\n.\r\n250 OK\r\n",
		"GETINFO consensus/": "250-consensus/valid-after=2026-11-23 08:00:00\r\n250-consensus/fresh-until=2026-11-23 09:00:00\r\n" +
			"250-consensus/valid-until=2026-11-23 11:00:00\r\n250 OK\r\n",
		"SETEVENTS": "250 OK\r\n",
	}
}

// collector is an event function that keeps what it gets.
type collector struct {
	mu     sync.Mutex
	wires  []string // guarded by mu
	groups []int    // guarded by mu: sizes of the calls
}

func (c *collector) take(wires [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range wires {
		c.wires = append(c.wires, string(w))
	}
	c.groups = append(c.groups, len(wires))
}

func (c *collector) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.wires...)
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// pipe returns a Conn and the other end of its connection.
func pipe(t testing.TB, events func([][]byte)) (*Conn, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := New(ours, events)
	t.Cleanup(func() { _ = theirs.Close(); _ = c.Close() })
	return c, theirs
}

// writeCookie writes a cookie file.
func writeCookie(t testing.TB, cookie []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control_auth_cookie")
	if err := os.WriteFile(path, cookie, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var someCookie = bytes.Repeat([]byte{7}, cookieLen)
