package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

// TestLossAfterLastEvents: what had arrived is delivered, also if it is not
// committed yet, and then comes the end.
func TestLossAfterLastEvents(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1", "650 BW 2 2", "650 BW 3 3", "650 BW 4 4")
	r.tor.lose()
	until(t, "the connection to wait for the commit", r.log.waiting)
	r.log.publish()
	p.expect("650 BW 1 1", "650 BW 2 2", "650 BW 3 3", "650 BW 4 4")
	p.closed()
}

// TestLossDuringReply: the source's last words arrive.
func TestLossDuringReply(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.waits.farewell = time.Hour })
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	p := r.login()
	p.send("SIGNAL HALT\r\n")
	<-r.tor.began
	r.tor.lose()
	r.tor.answer <- struct{}{}
	p.expect("250 OK")
	p.closed()
}

// TestLossDuringSilence: a source that is lost and does not answer holds no
// connection open.
func TestLossDuringSilence(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	p := r.login()
	p.send("GETINFO version\r\n")
	<-r.tor.began
	r.tor.lose()
	p.closed()
	close(r.tor.answer)
}

// TestTornReply: half a reply can only be followed by the end.
func TestTornReply(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	r.tor.early = []byte("250-a=1\r\n250-b")
	p := r.login()
	p.send("GETINFO journal/size\r\n")
	p.expect("250-journal/size=4096", "250 OK")
	p.send("DIE\r\n")
	p.expect("250-a=1")
	if rest, err := io.ReadAll(p.in); string(rest) != "250-b" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestBornWithoutSource: a connection that came before tor and only listens
// lives through tor's arrival and ends with it. One that asks for what needs
// tor is refused and ended, so that it tries again.
func TestBornWithoutSource(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	r.tor.lose()
	p, asking := r.subscriber("BW"), r.login()
	asking.send("GETINFO version\r\n")
	asking.expect("551 There is no tor to answer this: 127.0.0.1:9051 refuses connections: is tor running?")
	asking.closed()
	r.tor.restore()
	r.log.arrive(time.Time{}, "650 BW 1 1")
	p.expect("650 BW 1 1")
	r.tor.lose()
	p.closed()
}

// TestUpstreamEnds: tor closed this connection's upstream and lives on.
func TestUpstreamEnds(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p, other := r.login(), r.login()
	p.send("GETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
	r.tor.mu.Lock()
	for u := range r.tor.ups {
		u.once.Do(func() { close(u.done) })
	}
	r.tor.mu.Unlock()
	p.closed()
	other.send("GETINFO version\r\n")
	other.expect("250-version=0.4.9.11", "250 OK")
}

// TestUpstreamEndsFirst: tor ends, and this connection's upstream is the
// first to know. The last events are delivered all the same.
func TestUpstreamEndsFirst(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.waits.loss = time.Hour })
	p := r.subscriber("BW")
	for _, cmd := range []string{"GETINFO version", "DIE"} {
		p.send(cmd + "\r\n")
		if cmd == "GETINFO version" {
			p.expect("250-version=0.4.9.11", "250 OK")
		}
	}
	until(t, "the upstream to end", func() bool { return r.tor.dead() == 1 })
	r.log.arrive(time.Time{}, "650 BW 1 1")
	r.tor.lose()
	p.expect("650 BW 1 1")
	p.closed()
}

// TestUpstreamPerConnection: one for each, opened when needed, closed with it.
func TestUpstreamPerConnection(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	r.subscriber("BW") // needs none
	for range 3 {
		p := r.login()
		for range 2 {
			p.send("GETINFO version\r\n")
			p.expect("250-version=0.4.9.11", "250 OK")
		}
		p.sock.Close()
	}
	until(t, "the upstream connections to close", func() bool { return r.tor.open() == 0 })
	if r.tor.opened != 3 {
		t.Errorf("%d upstream connections were opened for 3", r.tor.opened)
	}
}

// TestDemand follows what a connection wants to its end.
func TestDemand(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	p := r.subscriber("BW JOURNAL")
	if got := r.tor.wanted(1); !got.Equal(event.NewSet(event.BW)) {
		t.Errorf("wanted: %v", got)
	}
	r.tor.refuse = event.PT_LOG
	p.send("SETEVENTS CIRC PT_LOG\r\n")
	p.expect(`552 Unrecognized event "PT_LOG"`)
	r.log.arrive(time.Time{}, "650 CIRC 1 BUILT", "650 BW 1 1")
	p.expect("650 BW 1 1") // the old subscription holds
	if n := r.srv.SubscriberCounts()[event.BW]; n != 1 {
		t.Errorf("%d subscribers of BW", n)
	}
	p.sock.Close()
	until(t, "the demand to end", func() bool { return r.tor.wanted(1).Empty() })
}

// TestSlowReader: one that never reads costs the others nothing, and a
// Shutdown that is out of patience cuts it off.
func TestSlowReader(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	stalled, p := r.subscriber("BW"), r.subscriber("BW")
	_ = stalled.sock.(*net.TCPConn).SetReadBuffer(4096)
	wire := "650 BW " + strings.Repeat("1", 30_000)
	for range 400 { // 12 MB, more than loopback takes
		r.log.arrive(time.Time{}, wire)
		p.expect(wire)
	}
	infos := r.srv.Connections()
	if infos[0].Position >= infos[1].Position {
		t.Errorf("the stalled reader is at %d, the other at %d", infos[0].Position, infos[1].Position)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestShutdown: subscribers get what had arrived, then the end.
func TestShutdown(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	p, idle := r.subscriber("BW JOURNAL"), r.dial()
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Millisecond), "650 JOURNAL STOP")
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	until(t, "the connection to wait for the commit", r.log.waiting)
	r.log.publish()
	p.expect("650 JOURNAL STOP")
	p.closed()
	idle.closed()
	wg.Wait()
	if _, err := net.Dial("tcp", r.ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
}

// TestServeEnds: the end of Serve's context is no harder than Shutdown.
func TestServeEnds(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p, stalled := r.subscriber("BW"), r.subscriber("CIRC")
	_ = stalled.sock.(*net.TCPConn).SetReadBuffer(4096)
	for range 400 {
		r.log.arrive(time.Time{}, "650 CIRC "+strings.Repeat("1", 30_000))
	}
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Millisecond), "650 BW 1 1")
	r.end()
	until(t, "the connection to wait for the commit", r.log.waiting)
	r.log.publish()
	p.expect("650 BW 1 1")
	p.closed()
	stalled.sock.Close()
}

// TestServeEndsAtLast: however long a commit takes, Serve returns.
func TestServeEndsAtLast(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.waits.lastCall = 10 * time.Millisecond })
	p := r.subscriber("BW")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Millisecond), "650 BW 1 1")
	r.end()
	p.closed()
	until(t, "the connection to be gone", func() bool { return len(r.srv.Connections()) == 0 })
}

func TestUnauthenticatedTimeout(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.authTime = 200 * time.Millisecond })
	listening := r.dial()
	for !listening.entered() { // the test itself was too slow
		listening = r.dial()
	}
	listening.send("SETEVENTS BW\r\n")
	listening.expect("250 OK")
	p := r.dial()
	p.expect("514 Authentication required.")
	p.closed()
	r.log.arrive(time.Time{}, "650 BW 1 1") // who is in is never timed out
	listening.expect("650 BW 1 1")
}

// pipes is a listener for connections that have no buffer: what is written to
// one waits until it is read.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l pipes) Close() error { return nil }

func (l pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// TestStrangerWhoDoesNotRead: who reads no answer does not get more time to
// authenticate than others, neither while he is told something nor with the
// last word.
func TestStrangerWhoDoesNotRead(t *testing.T) {
	l := make(pipes)
	r := newRigOn(t, l, Access{NoAuth: true}, func(o *Options) { o.authTime = 10 * time.Millisecond })
	t.Cleanup(func() { close(l) })
	ours, theirs := net.Pipe()
	defer ours.Close()
	l <- theirs
	until(t, "the connection", func() bool { return r.srv.served() == 1 })
	_, _ = io.WriteString(ours, "PROTOCOLINFO\r\n") // it may be too late
	until(t, "the end of the connection", func() bool { return len(r.srv.Connections()) == 0 })
}

// TestLossWithoutReader: a controller that does not read its last events does
// not outlive the source that it shares the fate of.
func TestLossWithoutReader(t *testing.T) {
	l := make(pipes)
	r := newRigOn(t, l, Access{NoAuth: true}, func(o *Options) { o.waits.drain = 10 * time.Millisecond })
	t.Cleanup(func() { close(l) })
	ours, theirs := net.Pipe()
	defer ours.Close()
	l <- theirs
	p := &peer{t: t, sock: ours, in: bufio.NewReader(ours)}
	p.send("AUTHENTICATE\r\n")
	p.expect("250 OK")
	p.send("SETEVENTS BW\r\n")
	p.expect("250 OK")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
	r.tor.lose()
	until(t, "the connection to wait for the commit", r.log.waiting) // so its leave has begun
	r.log.publish()
	until(t, "the end of the connection", func() bool { return len(r.srv.Connections()) == 0 })
}

// served returns how many connections there have been.
func (s *Server) served() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// entered authenticates, and reports false if that came too late.
func (p *peer) entered() bool {
	_, _ = io.WriteString(p.sock, "AUTHENTICATE\r\n")
	_ = p.sock.SetReadDeadline(time.Now().Add(patience))
	line, err := p.in.ReadString('\n')
	return err == nil && line == "250 OK\r\n"
}

func TestTooManyConnections(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.maxConns = 2 })
	a, b := r.login(), r.login()
	c := r.dial()
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("a third connection was served")
	}
	a.sock.Close()
	until(t, "room", func() bool { return len(r.srv.Connections()) == 1 })
	r.login()
	b.send("GETINFO version\r\n")
	b.expect("250-version=0.4.9.11", "250 OK")
}

func TestConnections(t *testing.T) {
	begun := time.Now()
	r := newRig(t, Access{NoAuth: true})
	r.dial()
	until(t, "the connection", func() bool { return len(r.srv.Connections()) == 1 })
	p := r.subscriber("CIRC BW")
	infos := r.srv.Connections()
	if len(infos) != 2 || infos[0].ID != 1 || infos[0].Authenticated || infos[0].Position != 0 {
		t.Fatalf("connections: %+v", infos)
	}
	got := infos[1]
	if got.Peer != p.sock.LocalAddr().String() || got.Listener != r.ln.Addr().String() || !got.Authenticated ||
		got.History || got.Types.String() != "CIRC BW" || got.Position != 1 || got.Since.Before(begun) || got.Since.After(time.Now()) {
		t.Errorf("connection: %+v", got)
	}
	if c := r.srv.SubscriberCounts(); len(c) != 2 || c[event.CIRC] != 1 {
		t.Errorf("counts: %v", c)
	}
}

// TestIdleConnections: a connection that waits has one goroutine (T7), also
// after it was busy with commands and events.
func TestIdleConnections(t *testing.T) {
	const conns = 20
	r := newRig(t, Access{NoAuth: true})
	var peers []*peer
	for range conns {
		peers = append(peers, r.subscriber("BW"))
	}
	for range 3 {
		r.log.arrive(time.Time{}, "650 BW 1 1")
		for _, p := range peers {
			p.expect("650 BW 1 1")
			p.send("PROTOCOLINFO\r\n")
			p.expect("250-PROTOCOLINFO 1", "250-AUTH METHODS=NULL", `250-VERSION Tor="0.4.9.11"`, "250 OK")
		}
		until(t, "one goroutine for each connection", func() bool { return connGoroutines() == conns })
	}
}

// connGoroutines counts the goroutines that serve connections: others, of a
// test before or of the server, come and go beside them.
func connGoroutines() (n int) {
	stacks := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, "control.(*conn).") || strings.Contains(g, "control.(*outlet).") {
			n++
		}
	}
	return n
}
