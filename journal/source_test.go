package journal_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
	"torjournal/tor/event"
)

// builtIn is a source inside the process: it makes its events from its own
// state instead of reading them from a control port, and knows no more of the
// journal than its one door.
type builtIn struct {
	sink interface {
		Append(context.Context, ...event.Event) error
		BeginSession(context.Context, event.Source) (uint64, bool, error)
	}
	circuits, streams int
	read, written     uint64
}

func (s *builtIn) emit(ctx context.Context, evs ...event.Event) error {
	return s.sink.Append(ctx, evs...)
}

// run opens a circuit with a stream every 10 seconds, and tells the bandwidth
// once a second, until ctx ends.
func (s *builtIn) run(ctx context.Context) error {
	src := event.Source{Name: "built in", Version: "torjournal", Role: "client", PID: 1, Started: time.Now()}
	if _, _, err := s.sink.BeginSession(ctx, src); err != nil {
		return err
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
		}
		if n%10 == 1 {
			if err := s.circuit(ctx); err != nil {
				return err
			}
		}
		if err := s.emit(ctx, &event.Bandwidth{Read: s.read, Written: s.written}); err != nil {
			return err
		}
		s.read, s.written = 0, 0
	}
}

func (s *builtIn) circuit(ctx context.Context) error {
	s.circuits++
	s.streams++
	circ, stream := fmt.Sprint(s.circuits), fmt.Sprint(s.streams)
	s.read, s.written = 4980, 1494
	return s.emit(ctx,
		&event.Circuit{ID: circ, Status: "LAUNCHED", CircuitInfo: event.CircuitInfo{Purpose: "GENERAL"}},
		event.NewRaw([]byte("650 ORCONN $3487DA83E386267730C95033CF1B1B4CE1FEF7A0~guard CONNECTED ID="+circ+"\r\n")),
		&event.Circuit{ID: circ, Status: "BUILT", CircuitInfo: event.CircuitInfo{Purpose: "GENERAL"}},
		&event.Stream{ID: stream, Status: "NEW", CircID: "0", Target: "example.org:443"},
		&event.Stream{ID: stream, Status: "SUCCEEDED", CircID: circ, Target: "example.org:443"},
	)
}

// The journal serves a source in the process as it serves an attached tor:
// what it emits is recorded with its times and reaches a subscriber at once.
func TestInProcessSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journaltest.Open(t, journal.Options{})
		all, circuits := j.NewCursor(0, event.AllTypes()), j.NewCursor(0, event.NewSet(event.CIRC))
		defer all.Close()
		defer circuits.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- (&builtIn{sink: j}).run(ctx) }()

		begin := time.Now()
		time.Sleep(60*time.Second + 500*time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		recs, gaps, _ := journaltest.Next(t, all, 60+6*5)
		if gaps != nil {
			t.Errorf("gaps %v", gaps)
		}
		count := map[event.Type]int{}
		for i, r := range recs {
			count[r.Type]++
			if r.Seq != uint64(i+1) || r.Session != 1 {
				t.Errorf("record %d: number %d, session %d", i+1, r.Seq, r.Session)
			}
			if r.Type == event.BW {
				if at := r.Time.Sub(begin); at != time.Duration(count[event.BW])*time.Second {
					t.Errorf("BW number %d arrived after %v", count[event.BW], at)
				}
			}
		}
		want := map[event.Type]int{event.BW: 60, event.CIRC: 12, event.STREAM: 12, event.ORCONN: 6}
		for typ, n := range want {
			if count[typ] != n {
				t.Errorf("%d events of type %s, want %d", count[typ], typ, n)
			}
		}
		if got, _, _ := journaltest.Next(t, circuits, 12); string(got[1].Wire) != "650 CIRC 1 BUILT PURPOSE=GENERAL\r\n" {
			t.Errorf("second circuit event %q", got[1].Wire)
		}
		minute := journal.Range{Since: begin.Add(30 * time.Second), Types: event.NewSet(event.BW)}
		if got := journaltest.Read(t, j, minute); len(got) != 31 || got[0].Time != begin.Add(30*time.Second).UTC() {
			t.Errorf("%d records since half the time", len(got))
		}
	})
}

// Builders leave the states that their names promise; Open verifies each.
func TestBuilders(t *testing.T) {
	if recs := journaltest.Read(t, journaltest.Tail(t, 50), journal.Range{}); len(recs) != 50 {
		t.Errorf("Tail: %d records", len(recs))
	}
	j, gap := journaltest.Gap(t)
	c := j.NewCursor(1, event.AllTypes())
	defer c.Close()
	if _, gaps, _ := journaltest.Next(t, c, 1); len(gaps) != 1 || gaps[0] != gap {
		t.Errorf("Gap: %v, want %v", gaps, gap)
	}
	many := journaltest.Sessions(t, 3)
	if recs := journaltest.Read(t, many, journal.Range{Session: 2}); len(recs) != 10 || recs[0].Seq != 11 {
		t.Errorf("Sessions: %d records", len(recs))
	}
	many.Reopen()
	if ss, err := many.Sessions(t.Context()); err != nil || len(ss) != 3 {
		t.Errorf("Sessions: %v, %v", ss, err)
	}
	back, at := journaltest.ClockBack(t)
	recs := journaltest.Read(t, back, journal.Range{})
	if !recs[9].Time.Before(at) || !recs[10].Time.Before(recs[9].Time) {
		t.Errorf("ClockBack: %v, then %v", recs[9].Time, recs[10].Time)
	}
	if since := journaltest.Read(t, back, journal.Range{Since: at.Add(-time.Second)}); len(since) != 1 || since[0].Seq != 10 {
		t.Errorf("ClockBack: by time %d records", len(since))
	}
}
