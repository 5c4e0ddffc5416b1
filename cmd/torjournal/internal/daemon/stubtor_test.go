package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/control"
	"torjournal/tor/controlport"
)

// stubTor speaks as tor does on its control port, as far as who attaches and
// who connects through needs it. Everything else is answered by answer.
type stubTor struct {
	t      testing.TB
	ln     net.Listener
	answer func(command []byte, w io.Writer) // called by each connection's goroutine
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[*stubConn]struct{} // guarded by mu: open ones
}

// stubConn is one connection to a stubTor.
type stubConn struct {
	net.Conn
	tor *stubTor

	mu     sync.Mutex
	events []string      // guarded by mu: of the last SETEVENTS
	asked  int           // guarded by mu: how many those were
	hold   chan struct{} // guarded by mu: if not nil, the next SETEVENTS is answered when it is closed
}

const stubEvents = "CIRC STREAM ORCONN BW DEBUG INFO NOTICE WARN ERR STATUS_CLIENT GUARD NS STREAM_BW SIGNAL CIRC_BW HS_DESC HS_DESC_CONTENT"

func startStub(t testing.TB, answer func(command []byte, w io.Writer)) *stubTor {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "tor"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stubTor{t: t, ln: ln, answer: answer, conns: map[*stubConn]struct{}{}}
	s.wg.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

func (s *stubTor) address() controlport.Address {
	return controlport.Address{Network: "unix", Addr: s.ln.Addr().String()}
}

func (s *stubTor) accept() {
	for {
		sock, err := s.ln.Accept()
		if err != nil {
			return
		}
		c := &stubConn{Conn: sock, tor: s}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(c.talk)
	}
}

func (s *stubTor) stop() {
	_ = s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// open returns the connections that are open.
func (s *stubTor) open() []*stubConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// source returns the connection that the recorder subscribed on.
func (s *stubTor) source() *stubConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if len(c.subscribed()) > 0 {
			return c
		}
	}
	return nil
}

func (c *stubConn) talk() {
	defer func() {
		_ = c.Close()
		c.tor.mu.Lock()
		defer c.tor.mu.Unlock()
		delete(c.tor.conns, c)
	}()
	in, out := bufio.NewReader(c), &stubWriter{bufio.NewWriter(c), c}
	for {
		cmd, err := readCommand(in)
		if err != nil {
			return
		}
		c.reply(cmd, out)
		if out.Flush() != nil {
			return
		}
	}
}

// stubWriter is what answers are written to.
type stubWriter struct {
	*bufio.Writer
	conn *stubConn
}

// readCommand reads a command with its data block (control-spec, section 2.2).
func readCommand(in *bufio.Reader) ([]byte, error) {
	cmd, err := in.ReadBytes('\n')
	if err != nil || cmd[0] != '+' {
		return cmd, err
	}
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		cmd = append(cmd, line...)
		if s := string(line); s == ".\r\n" || s == ".\n" {
			return cmd, nil
		}
	}
}

func (c *stubConn) reply(cmd []byte, w io.Writer) {
	text := strings.TrimRight(string(cmd), "\r\n")
	switch verb, args, _ := strings.Cut(text, " "); verb {
	case "PROTOCOLINFO":
		_, _ = io.WriteString(w, "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n")
		return
	case "AUTHENTICATE":
		_, _ = io.WriteString(w, "250 OK\r\n")
		return
	case "SETEVENTS":
		c.subscribe(strings.Fields(args))
		_, _ = io.WriteString(w, "250 OK\r\n")
		return
	}
	if said := stubAnswers[text]; said != "" {
		_, _ = io.WriteString(w, said)
		return
	}
	if strings.HasPrefix(text, "GETINFO version status") { // the snapshot
		_, _ = io.WriteString(w, "250-version=0.4.9.11\r\n250 OK\r\n")
		return
	}
	c.tor.answer(cmd, w)
}

var stubAnswers = map[string]string{
	"GETINFO events/names":                                          "250-events/names=" + stubEvents + "\r\n250 OK\r\n",
	"GETINFO fingerprint":                                           "551 Not running in server mode\r\n",
	"GETINFO version process/pid uptime":                            "250-version=0.4.9.11\r\n250-process/pid=77\r\n250-uptime=600\r\n250 OK\r\n",
	"GETCONF ORPort BridgeRelay TestingTorNetwork HiddenServiceDir": "250-ORPort\r\n250-BridgeRelay=0\r\n250-TestingTorNetwork=0\r\n250 HiddenServiceDir\r\n",
}

func (c *stubConn) subscribe(types []string) {
	c.mu.Lock()
	c.events = types
	c.asked++
	hold := c.hold
	c.hold = nil
	c.mu.Unlock()
	if hold != nil {
		<-hold
	}
}

// holdSubscription makes the stub hear the next SETEVENTS and answer it when
// release is called.
func (c *stubConn) holdSubscription() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hold := make(chan struct{})
	c.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

// times is how many SETEVENTS came.
func (c *stubConn) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *stubConn) subscribed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events
}

// recorded runs a daemon on the stub and returns the address of its control
// port, where no one need authenticate and all may read history.
func (s *stubTor) recorded(cfg Config) (addr string, stop func() error) {
	s.t.Helper()
	addr = filepath.Join(s.t.TempDir(), "control")
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	if cfg.Journal == "" {
		cfg.Journal = filepath.Join(s.t.TempDir(), "journal.db")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Version, cfg.Attach, cfg.Record = "test", []controlport.Address{s.address()}, "client"
	cfg.Listeners = []Listener{{Address: "unix:" + addr, Access: control.Access{NoAuth: true, History: true}}}
	cfg.Ready = func() { close(ready) }
	go func() { ended <- Run(ctx, cfg) }()
	select {
	case <-ready:
	case err := <-ended:
		s.t.Fatalf("the daemon did not start: %v", err)
	}
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	s.t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
			s.t.Errorf("the daemon ended: %v", err)
		}
	})
	s.await("the recorder to subscribe", func() bool { return s.source() != nil })
	return addr, stop
}

func (s *stubTor) await(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// controller connects to a control port and authenticates.
func controller(t testing.TB, addr string) net.Conn {
	t.Helper()
	sock, err := net.Dial("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	_ = sock.SetDeadline(time.Now().Add(4 * patience))
	if _, err := io.WriteString(sock, "AUTHENTICATE\r\n"); err != nil {
		t.Fatal(err)
	}
	var answer [8]byte
	if _, err := io.ReadFull(sock, answer[:]); err != nil || !bytes.Equal(answer[:], []byte("250 OK\r\n")) {
		t.Fatalf("AUTHENTICATE: %q, %v", answer, err)
	}
	return sock
}
