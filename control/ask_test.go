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
type stubAsker func(ctx context.Context, command string, begin func(), arrived func(time.Time)) ([]byte, error)

func (f stubAsker) Ask(ctx context.Context, command string, begin func(), arrived func(time.Time)) ([]byte, error) {
	return f(ctx, command, begin, func(by time.Time) {
		arrived(by)
		for began := time.Now(); time.Since(began) < time.Microsecond; { // as an Asker must
		}
	})
}

// TestAskedReplyBetweenItsEvents: a reply that comes with the events has its
// place between those that it came between, however close they are, and
// whether or not they are committed.
func TestAskedReplyBetweenItsEvents(t *testing.T) {
	var r *rig
	number := 0
	ask := func(_ context.Context, command string, _ func(), arrived func(time.Time)) ([]byte, error) {
		if command != "GETINFO circuit-status" {
			t.Errorf("asked %q", command)
		}
		number++
		r.log.arrive(time.Time{}, fmt.Sprintf("650 BW %d 1", number))
		arrived(time.Now())
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
	ask := func(_ context.Context, _ string, _ func(), arrived func(time.Time)) ([]byte, error) {
		events(3)
		arrived(time.Now())
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
		"error": func(context.Context, string, func(), func(time.Time)) ([]byte, error) { return nil, errors.New("no") },
		"error after the reply": func(_ context.Context, _ string, _ func(), arrived func(time.Time)) ([]byte, error) {
			arrived(time.Now())
			return nil, errors.New("no")
		},
		"much is held": func(_ context.Context, _ string, _ func(), arrived func(time.Time)) ([]byte, error) {
			arrived(time.Now())
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
	ask := func(_ context.Context, command string, _ func(), arrived func(time.Time)) ([]byte, error) {
		asked.Add(1)
		arrived(time.Now())
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

// TestChangeBetweenItsEvents: the reply to a command that makes or changes what
// events tell of stands before those that it has caused and behind those that
// came before it, whatever has been committed when.
func TestChangeBetweenItsEvents(t *testing.T) {
	var r *rig
	number := 0
	ask := func(_ context.Context, command string, begin func(), arrived func(time.Time)) ([]byte, error) {
		if command != "ExtendCircuit 0  $AA,$BB" {
			t.Errorf("asked %q", command)
		}
		begin()
		number++
		r.log.arrive(time.Time{}, fmt.Sprintf("650 CIRC %d CLOSED", 1000+number))
		arrived(time.Now())
		r.log.arrive(time.Time{}, fmt.Sprintf("650 CIRC %d LAUNCHED", number))
		if number%2 == 0 { // all is committed already, or only now
			r.log.publish()
			until(t, "the second to be seen", func() bool { return r.srv.Connections()[0].Position == uint64(2*number+1) })
		} else {
			go r.log.publish()
		}
		return fmt.Appendf(nil, "250 EXTENDED %d\r\n", number), nil
	}
	r = newRig(t, Access{NoAuth: true}, func(o *Options) { o.Asker = stubAsker(ask) })
	p := r.subscriber("CIRC")
	r.log.holdCommits(true)
	p.send(strings.Repeat("ExtendCircuit 0  $AA,$BB\r\n", 100))
	for i := range 100 {
		p.expect(fmt.Sprintf("650 CIRC %d CLOSED", 1001+i), fmt.Sprintf("250 EXTENDED %d", i+1), fmt.Sprintf("650 CIRC %d LAUNCHED", i+1))
	}
	if r.tor.opened != 0 {
		t.Errorf("%d upstream connections were opened", r.tor.opened)
	}
}

// TestChangeAwaitsNoRecord: where nothing came between command and reply, the
// reply waits for no commit, that of the event that tells of the command
// included.
func TestChangeAwaitsNoRecord(t *testing.T) {
	n := &notebook{}
	ask := func(_ context.Context, _ string, begin func(), arrived func(time.Time)) ([]byte, error) {
		sent := time.Now()
		begin()
		arrived(sent)
		return []byte("250 OK\r\n"), nil
	}
	r := newRig(t, Access{NoAuth: true}, withNotebook(n), func(o *Options) { o.Asker = stubAsker(ask) })
	n.log = r.log
	p := r.subscriber("CIRC")
	r.log.holdCommits(true)
	p.send("CLOSECIRCUIT 7 IfUnused\r\n")
	p.expect("250 OK")
	n.expect(t, "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=CLOSECIRCUIT ARGS=\"7 IfUnused\"",
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=CLOSECIRCUIT CODE=250 MS=")
}

// TestChangeInVain: a command that was not sent goes as all others do; one that
// was, and has no answer, is not sent again, and its connection has the fate of
// one that tor left without an answer.
func TestChangeInVain(t *testing.T) {
	for _, tt := range []struct {
		name string
		ours bool
		ask  stubAsker
		want []string // nil: the connection ends
		sent int
	}{
		{"not sent", false, func(context.Context, string, func(), func(time.Time)) ([]byte, error) {
			return nil, errors.New("no tor")
		}, []string{`510 Unrecognized command "EXTENDCIRCUIT"`}, 1},
		{"sent", false, func(_ context.Context, _ string, begin func(), _ func(time.Time)) ([]byte, error) {
			begin()
			return nil, errors.New("lost")
		}, nil, 0},
		{"sent, and answered too late", true, func(_ context.Context, _ string, begin func(), arrived func(time.Time)) ([]byte, error) {
			begin()
			arrived(time.Now())
			return nil, errors.New("lost")
		}, []string{"551 Tor ended before it answered this: lost; send it again when tor is back"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &notebook{}
			r := newRig(t, Access{NoAuth: true}, withNotebook(n), func(o *Options) { o.Asker = tt.ask; o.waits.loss = time.Millisecond })
			p := r.subscriber("BW")
			if tt.ours {
				p.send("SETFILTER\r\n")
				p.expect("250 OK")
			}
			p.send("EXTENDCIRCUIT 0\r\n")
			if tt.want != nil {
				p.expect(tt.want...)
				r.log.arrive(time.Time{}, "650 BW 1 1")
				p.expect("650 BW 1 1")
			} else {
				p.closed()
			}
			r.tor.mu.Lock()
			defer r.tor.mu.Unlock()
			if r.tor.opened != tt.sent {
				t.Errorf("%d upstream connections were opened", r.tor.opened)
			}
			until(t, "the record", func() bool { return len(n.all()) >= 1 })
			if got := n.all()[0]; got != "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=EXTENDCIRCUIT ARGS=0" {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

// TestWhatChangesInOrder: only one line of plain text, of who hears events.
func TestWhatChangesInOrder(t *testing.T) {
	var asked atomic.Int64
	ask := func(_ context.Context, command string, begin func(), arrived func(time.Time)) ([]byte, error) {
		begin()
		asked.Add(1)
		arrived(time.Now())
		return []byte("250 asked\r\n"), nil
	}
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.Asker = stubAsker(ask) })
	p := r.login()
	p.send("EXTENDCIRCUIT 0\r\n")
	p.expect(`510 Unrecognized command "EXTENDCIRCUIT"`)
	p.send("SETEVENTS BW\r\n")
	p.expect("250 OK")
	for _, cmd := range []string{"CLOSECIRCUIT 1\n", "CLOSECIRCUIT \x01\r\n", "CLOSECIRCUIT \xff\r\n", "CLOSECIRCUIT \r1\r\n", "CLOSECIRCUIT " + strings.Repeat("1", smallCommand) + "\r\n", "+CLOSECIRCUIT\r\n.\r\n"} {
		p.send(cmd)
		if got := p.line(); !strings.HasPrefix(got, "510 ") {
			t.Errorf("%q: %q", cmd, got)
		}
	}
	for _, cmd := range []string{"ADD_ONION NEW:BEST Port=80", "TAKEOWNERSHIP", "RESOLVE a.example", "SIGNAL NEWNYM"} {
		p.send(cmd + "\r\n")
		p.line()
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
	for _, cmd := range []string{"EXTENDCIRCUIT 0", "extendcircuit", "SETCIRCUITPURPOSE 1 purpose=general", "CLOSECIRCUIT 1", "ATTACHSTREAM 1 0", "REDIRECTSTREAM 1 a.example", "CLOSESTREAM 1 1"} {
		p.send(cmd + "\r\n")
		p.expect("250 asked")
	}
}
