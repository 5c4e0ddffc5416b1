package control

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// TestHandOverUnderLoad: 100 connections begin to replay, from anywhere, while
// events come in as fast as they are taken; some begin again on the way. With
// JOURNAL_META each is told the number of every event of its types once, in
// order, up to the one that CAUGHT_UP names before it, the others after it (G2).
func TestHandOverUnderLoad(t *testing.T) {
	conns, events := 100, 80_000
	if testing.Short() {
		conns, events = 20, 10_000
	}
	seed := rand.Uint64()
	r, j := newJournalRig(t, journal.Options{})
	var recorded atomic.Int64
	var wg sync.WaitGroup
	for n := range conns {
		f := &follower{
			rnd: rand.New(rand.NewPCG(seed, uint64(n))), recorded: &recorded, end: int64(events),
			even: n%3 != 1, odd: n%3 != 2, again: n%4 == 0,
		}
		f.begin = f.rnd.Int64N(int64(events))
		f.sock = r.login().sock
		f.in = bufio.NewReaderSize(f.sock, 16<<10)
		wg.Go(func() {
			if err := f.follow(); err != nil {
				t.Errorf("connection %d (seed %d): %v", n, seed, err)
			}
		})
	}
	var batch []event.Event
	for i := 1; i <= events; i++ {
		batch = append(batch, event.NewRaw(numbered(i)))
		if len(batch) == 50 || i == events {
			if err := j.Append(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
			batch = nil
			if i%500 == 0 { // those that follow shall not all be far behind
				if err := j.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				recorded.Store(int64(i))
			}
		}
	}
	wg.Wait()
}

// numbered is event i: BW if it is even, else CIRC, of no even length.
func numbered(i int) []byte {
	typ := "BW"
	if i%2 == 1 {
		typ = "CIRC"
	}
	return fmt.Appendf(nil, "650 %s %d %s\r\n", typ, i, bytes.Repeat([]byte("x"), i%97))
}

// follower is a connection that replays and reads to the end.
type follower struct {
	rnd       *rand.Rand
	sock      net.Conn
	in        *bufio.Reader
	recorded  *atomic.Int64 // number of an event that is in the journal
	begin     int64         // it begins when that one is
	end       int64         // the last event
	even, odd bool          // which events it subscribed to
	again     bool          // it replays a second time before it is through
}

func (f *follower) follow() error {
	types := map[[2]bool]string{{true, true}: "BW CIRC", {true, false}: "BW", {false, true}: "CIRC"}[[2]bool{f.even, f.odd}]
	for began := time.Now(); f.recorded.Load() < f.begin; time.Sleep(time.Millisecond) {
		if time.Since(began) > 4*patience {
			return fmt.Errorf("event %d was never recorded", f.begin)
		}
	}
	_ = f.sock.SetDeadline(time.Time{}) // the one of its login
	if _, err := fmt.Fprintf(f.sock, "USEFEATURE JOURNAL_META\r\nSETEVENTS %s\r\n", types); err != nil {
		return err
	}
	if f.again {
		from := f.point()
		if err := f.read(3, from, from+f.rnd.Int64N(f.end-from+1)); err != nil {
			return fmt.Errorf("the first replay, from %d: %w", from, err)
		}
		from = f.point()
		return f.read(1, from, f.end)
	}
	return f.read(3, f.point(), f.end)
}

// point is any number up to the newest.
func (f *follower) point() int64 { return 1 + f.rnd.Int64N(max(1, f.recorded.Load())) }

// wants returns the first number from n on that it subscribed to.
func (f *follower) wants(n int64) int64 {
	if n%2 == 0 && !f.even || n%2 == 1 && !f.odd {
		return n + 1
	}
	return n
}

// read sends REPLAY and reads up to event number to, and to CAUGHT_UP if that
// is the last event; okays is how many replies come until the replay begins.
func (f *follower) read(okays int, from, to int64) error {
	if _, err := fmt.Fprintf(f.sock, "REPLAY FROM=%d\r\n", from); err != nil {
		return err
	}
	next, at, caughtUp := f.wants(from), int64(0), int64(0)
	for next <= to || caughtUp == 0 && to == f.end {
		if f.in.Buffered() == 0 {
			_ = f.sock.SetReadDeadline(time.Now().Add(4 * patience))
		}
		line, err := f.in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("waiting for %d: %w", next, err)
		}
		switch {
		case bytes.HasPrefix(line, []byte("250 ")):
			okays--
		case line[0] == '5':
			return fmt.Errorf("%q", line)
		case okays > 0: // of before
		case bytes.HasPrefix(line, []byte("650 JOURNAL AT SEQ=")):
			at = number(line[len("650 JOURNAL AT SEQ="):])
		case bytes.HasPrefix(line, []byte("650 JOURNAL CAUGHT_UP SEQ=")):
			if caughtUp != 0 {
				return fmt.Errorf("%q, after CAUGHT_UP SEQ=%d", line, caughtUp)
			}
			if caughtUp = number(line[len("650 JOURNAL CAUGHT_UP SEQ="):]); f.wants(caughtUp+1) != next {
				return fmt.Errorf("%q, and the next event is %d", line, next)
			}
		default:
			if !bytes.Equal(line, numbered(int(next))) || at != next {
				return fmt.Errorf("got %.40q as number %d, want number %d", line, at, next)
			}
			next = f.wants(next + 1)
		}
	}
	return nil
}

func number(text []byte) int64 {
	end := bytes.IndexAny(text, " \r")
	n, _ := strconv.ParseInt(string(text[:max(end, 0)]), 10, 64)
	return n
}
