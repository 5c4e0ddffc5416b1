package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
)

// stubAsker answers as its test says.
type stubAsker func(ctx context.Context, command string, arrived func()) ([]byte, error)

func (f stubAsker) Ask(ctx context.Context, command string, arrived func()) ([]byte, error) {
	return f(ctx, command, arrived)
}

// TestAskedReplyBetweenItsEvents: a reply that comes with the events has its
// place between those that it came between, however close they are, and
// whether or not they are committed.
func TestAskedReplyBetweenItsEvents(t *testing.T) {
	var r *rig
	number := 0
	ask := func(_ context.Context, command string, arrived func()) ([]byte, error) {
		if command != "GETINFO circuit-status" {
			t.Errorf("asked %q", command)
		}
		number++
		r.log.arrive(time.Time{}, fmt.Sprintf("650 BW %d 1", number))
		arrived()
		r.log.arrive(time.Time{}, fmt.Sprintf("650 BW %d 2", number))
		if number%2 == 0 { // all is committed already, or only now
			r.log.publish()
			until(t, "the second to be seen", func() bool { return r.srv.Connections()[0].Position == uint64(2*number+1) })
		} else {
			go r.log.publish()
		}
		return []byte("250+circuit-status=\r\n.\r\n250 OK\r\n"), nil
	}
	r = newRig(t, Access{NoAuth: true}, func(o *Options) { o.Asker = stubAsker(ask) })
	p := r.subscriber("BW")
	r.log.holdCommits(true)
	for i := range 200 {
		p.send("GETINFO circuit-status\r\n")
		p.expect(fmt.Sprintf("650 BW %d 1", i+1), "250+circuit-status=", ".", "250 OK", fmt.Sprintf("650 BW %d 2", i+1))
	}
	if r.tor.opened != 0 {
		t.Errorf("%d upstream connections were opened", r.tor.opened)
	}
}

// TestAskedReplyOverJournal is the same over a real journal, event upon event.
func TestAskedReplyOverJournal(t *testing.T) {
	var j *journal.Journal
	number := 0
	events := func(n int) {
		for range n {
			number++
			append1(t, j, fmt.Sprintf("650 BW %d 0", number))
		}
	}
	ask := func(_ context.Context, _ string, arrived func()) ([]byte, error) {
		events(3)
		arrived()
		reply := fmt.Sprintf("250-circuit-status=%d\r\n250 OK\r\n", number)
		events(3)
		return []byte(reply), nil
	}
	r, j2 := newJournalRig(t, journal.Options{}, func(o *Options) { o.Asker = stubAsker(ask) })
	j = j2
	p := r.subscriber("BW")
	for range 100 {
		p.send("GETINFO circuit-status\r\n")
	}
	for at, replies := 0, 0; at < 600 || replies < 100; {
		line := p.line()
		var n int
		switch {
		case line == "250 OK\r\n":
			replies++
		case numberOf(line) == at+1:
			at++
		default:
			if _, err := fmt.Sscanf(line, "250-circuit-status=%d", &n); err != nil || n != at {
				t.Fatalf("after event %d: %q", at, line)
			}
		}
	}
}

// TestAskInVain: what cannot be had in order is asked for as all else is, and
// events go on.
func TestAskInVain(t *testing.T) {
	for name, ask := range map[string]stubAsker{
		"error": func(context.Context, string, func()) ([]byte, error) { return nil, errors.New("no") },
		"error after the reply": func(_ context.Context, _ string, arrived func()) ([]byte, error) {
			arrived()
			return nil, errors.New("no")
		},
		"much is held": func(_ context.Context, _ string, arrived func()) ([]byte, error) {
			arrived()
			return make([]byte, maxAnswers+1), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.Asker = ask })
			p := r.subscriber("BW")
			for range 3 {
				p.send("GETINFO circuit-status\r\n")
				p.expect("250+circuit-status=", "1 BUILT $AA~a", ".", "250 OK")
				r.log.arrive(time.Time{}, "650 BW 1 1")
				p.expect("650 BW 1 1")
			}
			if held := r.srv.answers.Load(); held != 0 {
				t.Errorf("%d bytes count as held", held)
			}
		})
	}
}

// TestWhoIsAsked: only for what events change, and only of who hears events.
func TestWhoIsAsked(t *testing.T) {
	var asked atomic.Int64
	ask := func(_ context.Context, command string, arrived func()) ([]byte, error) {
		asked.Add(1)
		arrived()
		return []byte("250 asked " + strings.TrimPrefix(command, "GETINFO ") + "\r\n"), nil
	}
	r := newRig(t, Access{NoAuth: true, History: true}, func(o *Options) { o.Asker = stubAsker(ask) })
	p := r.login()
	for range 2 { // a second time with a subscription
		for _, args := range []string{"version", "circuit-status version", "circuit-status events/names", "circuit-status journal/size", "", "Circuit-Status",
			"circuit-status circuit-status circuit-status circuit-status circuit-status"} {
			p.send("GETINFO " + args + "\r\n")
			for line := p.line(); len(line) < 4 || line[3] != ' ' || line[0] < '2'; line = p.line() {
			}
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
		p.send("SETEVENTS BW\r\n")
		for p.line() != "250 OK\r\n" {
		}
	}
	p.send("GETINFO circuit-status  entry-guards \r\n")
	p.expect("250 asked circuit-status  entry-guards")
}
