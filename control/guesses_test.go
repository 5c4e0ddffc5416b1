package control

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The refusals of one peer come later and later, those of another at once, and
// what is forgiven is forgotten.
func TestGuessesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses(time.Now)
		told := 0
		wrong := func(peer string) time.Duration {
			begin := time.Now()
			a, ok := g.attempt(t.Context(), peer)
			if !ok {
				t.Fatal("no attempt")
			}
			g.refuse(t.Context(), a, func() { told++ })
			g.done(peer, a)
			return time.Since(begin)
		}
		ms := time.Millisecond
		for i, want := range []time.Duration{0, 0, 0, 0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, longestWait, longestWait} {
			if got := wrong("a"); got != want {
				t.Errorf("refusal %d came after %v, want %v", i+1, got, want)
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		if got := wrong("b"); got != 0 {
			t.Errorf("another peer waited %v", got)
		}
		time.Sleep(12 * forgiveTime)
		if got := wrong("a"); got != 0 {
			t.Errorf("after a rest it waited %v", got)
		}
		time.Sleep(2 * forgiveTime)
		a, _ := g.attempt(t.Context(), "a")
		g.done("a", a)
		if len(g.peers) != 1 {
			t.Errorf("%d peers are remembered, want b alone", len(g.peers))
		}
	})
}

// However many connections a peer has, so many of its attempts are judged at a
// time; one that is right waits for nothing else, and one that gives up leaves
// nothing behind.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses(time.Now)
		g.wait = func(int) time.Duration { return time.Second }
		var judged atomic.Int32
		for range 3 * guessesAtOnce {
			go func() {
				a, ok := g.attempt(t.Context(), "a")
				if !ok {
					return
				}
				judged.Add(1)
				g.refuse(t.Context(), a, func() {})
				g.done("a", a)
			}()
		}
		synctest.Wait()
		if judged.Load() != guessesAtOnce {
			t.Errorf("%d attempts were judged at once, want %d", judged.Load(), guessesAtOnce)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, ok := g.attempt(ctx, "a"); ok {
			t.Error("one more attempt was judged")
		}
		if a, ok := g.attempt(t.Context(), "b"); !ok {
			t.Error("another peer had to wait")
		} else {
			g.done("b", a)
		}
		begin := time.Now()
		if a, ok := g.attempt(t.Context(), "a"); ok {
			g.done("a", a)
		}
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("who is right waited %v", d)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if a := g.peers["a"]; judged.Load() != 3*guessesAtOnce || a == nil || a.inside != 0 || len(a.turn) != 0 {
			t.Errorf("%d judged, left behind: %+v", judged.Load(), a)
		}
	})
}

// Strangers from many addresses do not fill the memory, and do not make a
// peer's guesses forgotten while it is at it.
func TestGuessersAreBounded(t *testing.T) {
	g := newGuesses(time.Now)
	g.wait = func(int) time.Duration { return 0 }
	busy, _ := g.attempt(t.Context(), "busy")
	for i := range 3 * maxGuessers {
		peer := fmt.Sprint(i)
		a, _ := g.attempt(t.Context(), peer)
		g.refuse(t.Context(), a, func() {})
		g.done(peer, a)
	}
	if len(g.peers) > maxGuessers || g.peers["busy"] != busy {
		t.Errorf("%d peers are remembered; busy: %v", len(g.peers), g.peers["busy"])
	}
}

func TestPeerKey(t *testing.T) {
	unix := &net.UnixAddr{Name: "/run/tj.sock", Net: "unix"}
	for remote, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 5}:            "192.0.2.7",
		&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7"), Port: 6}:     "192.0.2.7",
		&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 7}: "2001:db8:1:2::/64",
		&net.UnixAddr{Net: "unix"}:                                     "/run/tj.sock",
	} {
		if got := peerKey(remote, unix); got != want {
			t.Errorf("%v: %q, want %q", remote, got, want)
		}
	}
}

// On a connection: the sixth wrong password is refused late, on whichever
// connection it comes, a right one at once; and a server that stops does not
// wait for refusals.
func TestWrongPasswordsAreSlow(t *testing.T) {
	waits := make(chan int, 100)
	r := newRig(t, Access{HashedPasswords: []string{fooHash}}, func(o *Options) {
		o.wait = func(wrong int) time.Duration {
			waits <- wrong
			if wrong > 2 {
				return time.Hour
			}
			return 0
		}
	})
	for range 2 {
		p := r.dial()
		p.send("AUTHENTICATE \"bar\"\r\n")
		p.expect("515 " + string(deniedPassword))
		p.closed()
	}
	slow := r.dial()
	slow.send("AUTHENTICATE \"bar\"\r\n")
	for want := 1; want <= 3; want++ {
		if got := <-waits; got != want {
			t.Errorf("it is told of %d wrong attempts, want %d", got, want)
		}
	}
	p := r.dial()
	p.send("AUTHENTICATE \"foo\"\r\n")
	p.expect("250 OK")
}
