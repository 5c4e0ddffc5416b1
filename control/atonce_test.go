//go:build darwin || freebsd || linux

package control

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rest returns the only connection's outlet when it has nothing to do.
func (r *rig) rest() *outlet {
	r.t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
		r.srv.mu.Lock()
		for _, c := range r.srv.conns {
			if c.out.state.Load() == resting {
				r.srv.mu.Unlock()
				return c.out
			}
		}
		r.srv.mu.Unlock()
	}
	r.t.Fatal("the connection always has something to do")
	return nil
}

// there returns what lies in the peer's socket.
func (p *peer) there() string {
	p.t.Helper()
	var n int
	buf := make([]byte, 1<<10)
	raw, err := p.sock.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			n = readNow(fd, buf)
			return true
		})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return string(buf[:max(n, 0)])
}

// Who publishes an event and has nothing else to do has written it when he is
// done. While a reply is awaited it waits for that.
func TestDeliveredAtOnce(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.login()
	p.send("SETEVENTS BW CIRC\r\n")
	p.expect("250 OK")
	// Who has just answered may look once more, however late: but not for ever.
	begin := time.Now()
	for i, inRow := 0, 0; inRow < 30; i++ {
		r.rest()
		bw := fmt.Sprintf("650 BW %d 0", i)
		r.log.arrive(time.Time{}, bw)
		switch got := p.there(); {
		case got == bw+"\r\n":
			inRow++
		case got != "":
			t.Fatalf("event %d: %q is there, want %q", i, got, bw)
		default:
			inRow = 0
			p.expect(bw)
		}
		if time.Since(begin) > patience {
			t.Fatalf("of %d events the last %d were there at once", i, inRow)
		}
	}
	o := r.rest()
	now := time.Now()
	o.fence.Store(&now)
	r.log.arrive(now.Add(time.Hour), "650 BW 1 1")
	if got := p.there(); got != "" {
		t.Errorf("%q is there before the reply", got)
	}
	o.goOn()
	p.expect("650 BW 1 1")
	r.rest()
	r.tor.lose()
	r.log.arrive(time.Time{}, "650 BW 2 2")
	if rest, err := io.ReadAll(p.in); err != nil || !strings.HasSuffix("650 BW 2 2\r\n", string(rest)) {
		t.Errorf("when tor is lost, %q is left, %v", rest, err)
	}
}

// One that does not read holds up nobody, and gets everything when he does.
func TestAtOnceNeverWaits(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.login()
	p.send("SETEVENTS NOTICE\r\n")
	p.expect("250 OK")
	r.rest()
	big := "650 NOTICE " + strings.Repeat("x", 8<<20) // more than any socket takes
	published := make(chan struct{})
	go func() {
		r.log.arrive(time.Time{}, big)
		close(published)
	}()
	select {
	case <-published:
	case <-time.After(patience):
		t.Fatal("who publishes waits for who does not read")
	}
	p.expect(big)
	const events = 12_000
	pad := strings.Repeat("x", 1000)
	for i := range events {
		r.log.arrive(time.Time{}, fmt.Sprintf("650 NOTICE %d %s", i, pad))
	}
	for i := range events {
		p.expect(fmt.Sprintf("650 NOTICE %d %s", i, pad))
	}
}

// What is left of a commit is delivered too, and whoever calls meanwhile is heard.
func TestAtOnceLeavesNothingBehind(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.login()
	p.send("SETEVENTS BW\r\n")
	p.expect("250 OK")
	for i := range 30 {
		r.rest()
		var wires []string
		for k := range 5 { // more than a chunk
			wires = append(wires, fmt.Sprintf("650 BW %d %d", i, k))
		}
		r.log.arrive(time.Time{}, wires...)
		for _, w := range wires {
			p.expect(w)
		}
	}
	o := r.rest()
	called, again := false, make(chan struct{})
	r.log.whenAsked(func() { // by who has the turn, one after the other
		if !called {
			called = true
			o.wake()
			return
		}
		r.log.whenAsked(nil)
		close(again)
	})
	r.log.arrive(time.Time{}, "650 BW 1 1")
	p.expect("650 BW 1 1")
	select {
	case <-again:
	case <-time.After(patience):
		t.Error("who called while an event was delivered at once was not heard")
	}
}

// Who does not read waits with empty hands: no more is taken for him than what
// his socket takes.
func TestAtOnceTakesNothingForAFullSocket(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.login()
	p.send("SETEVENTS NOTICE\r\n")
	p.expect("250 OK")
	notice := func(i int) string { return fmt.Sprintf("650 NOTICE %d %s", i, strings.Repeat("x", 1000)) }
	var asked atomic.Int32
	r.log.whenAsked(func() { asked.Add(1) })
	n := 0
	for begin, full := time.Now(), false; ; n++ {
		asked.Store(0)
		r.log.arrive(time.Time{}, notice(n))
		if full && asked.Load() == 0 {
			break // it waits for room
		}
		if time.Since(begin) > patience {
			t.Fatal("events are taken from the journal for who does not read")
		}
		o := r.rest() // it has written that one: there was room again
		if err := o.w.room.raw.Control(func(fd uintptr) { full = !hasRoom(fd) }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n + 1 {
		p.expect(notice(i))
	}
}
