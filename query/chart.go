package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// chart is what is gathered of a range, in one walk over its records, for those
// who judge it as a whole: counts, first and last times, states at its end, no
// lists of events. What was before the range, in its first session, is heard
// too, where it says in what state the range begins.
type chart struct {
	walk     *circuitWalk
	r        journal.Range
	stored   journal.Bounds
	sessions []journal.Session // of the journal
	evicted  bool              // records of the range are gone from before those that are stored
	begun    []journal.Session // that begin within the range
	from, to moment            // first and last record of the range that was heard

	seen  sightings
	boot  *Bootstrap // the last one
	guard guardBook

	circuits map[string]*failureSums // by what they are counted by
	built    int                     // circuits that did not fail before or after
	late     int                     // circuits that failed for they took too long, and were built then
	broken   int                     // circuits that failed after they were built
	building building
	timeouts timeoutChart
	streams  streamChart
	silence  silence
	holes    holeBook
	turns    guardTurns
}

// chartTypes are the events that a chart hears beside those that tell of
// circuits.
var chartTypes = []event.Type{
	event.NOTICE, event.WARN, event.ERR, event.STATUS_GENERAL, event.STATUS_CLIENT, event.STATUS_SERVER,
	event.GUARD, event.ORCONN, event.HS_DESC, event.BUILDTIMEOUT_SET, event.NETWORK_LIVENESS, event.STREAM, event.BW,
}

// newChart begins a chart of a range. It hears types beside circuits, and counts
// these by each of the words.
func newChart(src source, r journal.Range, part Part, types []event.Type, by ...string) *chart {
	c := &chart{r: r, seen: sightings{}, guard: newGuardBook(), streams: newStreamChart(), circuits: map[string]*failureSums{}}
	var sums []*failureSums
	for _, by := range by {
		f := newFailureSums(by)
		c.circuits[by], sums = &f, append(sums, &f)
	}
	w := newCircuitCount(src, r, part, func(l *life) {
		switch {
		case l.failedBuilt:
			c.broken++
		case l.everBuilt && l.failed:
			c.late++
		case l.everBuilt:
			c.built++
		}
		for _, f := range sums {
			f.add(l)
		}
	}, types...)
	w.overhear(c.hear)
	turn := w.turn
	w.turn = func() {
		turn()
		c.streams.turn()
		c.silence = silence{}
	}
	beside := w.beside
	w.beside = func() int {
		groups := 0
		for _, f := range sums {
			groups += len(f.groups)
		}
		return beside() + groups*2*entryBytes + c.seen.kinds()*sightingBytes + c.streams.bytes()
	}
	c.walk = w
	return c
}

// read gathers.
func (c *chart) read(ctx context.Context) (err error) {
	w := c.walk
	if c.stored, err = w.src.Bounds(ctx); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if c.sessions, err = w.sessions(ctx); err != nil {
		return err
	}
	c.evicted = evicted(c.stored, c.sessions, c.r)
	var fault error
	c.holes.imported = func(before uint64) bool {
		imported, err := c.imported(ctx, before)
		fault = cmp.Or(fault, err)
		return imported
	}
	for _, s := range c.sessions {
		if w.inRange(s.Begun) && (c.r.Session == 0 || c.r.Session == s.ID) {
			c.begun = append(c.begun, s)
		}
	}
	err = w.count(ctx)
	if err = cmp.Or(err, fault); err != nil || c.to.seq != 0 {
		return err
	}
	return c.readBefore(ctx)
}

// imported reports whether the session that ends before a record, which is the first
// of another, is an imported log: a recorder's begins with its own word. Where the
// ring has given that up it is taken for a recorder's.
func (c *chart) imported(ctx context.Context, before uint64) (bool, error) {
	i := slices.IndexFunc(c.sessions, func(s journal.Session) bool { return s.First == before })
	if i < 1 || c.sessions[i-1].First < c.stored.First {
		return false, nil
	}
	first := c.sessions[i-1].First
	rec, ok, err := c.walk.firstOf(ctx, journal.Range{From: first, To: first})
	return ok && rec.Type != event.JOURNAL, err
}

// readBefore hears the last record of all if nothing was recorded in the range
// but before: it may say why.
func (c *chart) readBefore(ctx context.Context) error {
	w := c.walk
	_, last, ok, err := w.bounds(ctx, c.r.To)
	if !ok || err != nil {
		return err
	}
	rec, ok, err := w.firstOf(ctx, journal.Range{From: last, To: last, Session: c.r.Session})
	if !ok || err != nil || !rec.Time.Before(c.r.Since) {
		return err
	}
	w.take(&rec, parse(&rec))
	return w.fault
}

func (c *chart) hear(rec *journal.Record, e event.Event) {
	if !c.walk.before(rec.Time) {
		return // a circuit is followed to its end
	}
	inside := c.walk.inRange(rec.Time)
	if inside {
		if c.from.seq == 0 {
			c.from = momentOf(rec)
		}
		c.to = momentOf(rec)
	}
	if k, ok := kindOf(e); ok {
		c.seen.see(k, rec, inside)
	}
	switch e := e.(type) {
	case *event.Status:
		if b := bootstrapOf(rec); b != nil { // nil of another action
			c.boot = b
		}
	case *event.Guard:
		c.guard.record(rec, e)
		if inside {
			c.turns.hear(rec, e)
		}
	case *event.Journal:
		c.guard.record(rec, e)
		c.holes.hear(rec, e, inside)
		if b := bootstrapOf(rec); b != nil {
			c.boot = b
		}
		if e.What == event.WhatSourceLost {
			c.silence = silence{}
		}
	case *event.Circuit:
		c.building.hear(rec, e, inside)
	case *event.BuildTimeoutSet:
		c.timeouts.hear(e, inside)
	case *event.Stream:
		c.streams.hear(rec, e, inside, c.exitOf)
		c.silence.stream(e)
	case *event.Bandwidth:
		c.silence.hear(rec, e)
	}
}

// exitOf returns the last hop of a circuit that stands, "" if it is not known.
func (c *chart) exitOf(circuit string) string {
	l, _ := c.walk.roll.find(circuit)
	if l == nil || len(l.path) == 0 {
		return ""
	}
	return l.path[len(l.path)-1]
}

// stands returns the last event of a kind if it is of the session that the range
// ends in, and none of the others came after it: what it says holds at the end.
func (c *chart) stands(k kind, over ...kind) *sighting {
	s := c.seen.get(k)
	if s == nil || s.now.session != c.walk.session {
		return nil
	}
	for _, o := range over {
		if end := c.seen.get(o); end != nil && end.now.seq > s.now.seq {
			return nil
		}
	}
	return s
}

// works reports whether a circuit was built after a moment, so that what was said
// then of a start or of missing directories is over, even if that was not
// recorded.
func (c *chart) works(since moment) bool {
	return c.building.good.seq > since.seq && c.building.good.session == since.session
}

// many is how often something may happen that happens now and then: n times, or n
// times a day if the range is longer.
func (c *chart) many(n int) int {
	days := c.to.time.Sub(c.from.time).Hours() / 24
	return int(math.Ceil(float64(n) * max(1, days)))
}

// since returns how long before the end of the range a moment was.
func (c *chart) since(m moment) time.Duration { return c.to.time.Sub(m.time) }

// finding returns a finding with a sighting as evidence.
func (c *chart) finding(severity, what string, s *sighting, next ...string) *Finding {
	f := &Finding{Severity: severity, What: what, Next: next, Records: []uint64{}}
	if s == nil {
		return f
	}
	f.Records, f.Words = s.records(), s.lines()
	f.Count, f.First, f.Last = s.count, Stamp{s.first.time}, Stamp{s.last.time}
	if s.count == 0 {
		f.First, f.Last, f.Records = Stamp{s.now.time}, Stamp{s.now.time}, []uint64{s.now.seq}
	}
	return f
}

// ask returns the command that asks further about the same range.
func (c *chart) ask(command string) string {
	var b strings.Builder
	b.WriteString("torjournal " + command)
	if t := c.r.Since; !t.IsZero() {
		b.WriteString(" --since " + t.UTC().Truncate(time.Second).Format(time.RFC3339))
	}
	if t := c.r.Until; !t.IsZero() {
		b.WriteString(" --until " + t.UTC().Format(time.RFC3339Nano))
	}
	if c.r.Session != 0 {
		b.WriteString(" --session " + strconv.FormatUint(c.r.Session, 10))
	}
	return b.String()
}
