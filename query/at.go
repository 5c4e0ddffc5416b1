package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Kind is something that tor tells the state of: the key of its GETINFO
// (control-spec 3.9).
type Kind string

// The kinds that can be asked for.
const (
	CircuitStatus Kind = "circuit-status"
	StreamStatus  Kind = "stream-status"
	ORConnStatus  Kind = "orconn-status"
	EntryGuards   Kind = "entry-guards"
)

// Kinds returns all kinds, in the order in which a controller asks for them.
func Kinds() []Kind { return []Kind{CircuitStatus, StreamStatus, ORConnStatus, EntryGuards} }

// FindKind returns the kind of that name.
func FindKind(name string) (Kind, bool) {
	k := Kind(name)
	return k, slices.Contains(Kinds(), k)
}

// UnknownState is why it is not known how tor stood at a moment: the journal
// does not reach back so far, or something is missing of what happened before.
type UnknownState struct {
	Time   time.Time // what was asked for
	Reason string    // one line
}

func (e *UnknownState) Error() string {
	return fmt.Sprintf("tor's state at %s is not known: %s", clockText(e.Time), e.Reason)
}

// Moment is how tor stood at one moment.
type Moment struct {
	Time     time.Time // what was asked for, UTC
	Session  uint64    // number of the session
	Seq      uint64    // the newest record at or before Time
	At       time.Time // its time
	Snapshot uint64    // the record it was computed from, a SNAPSHOT; events since were added
	lineups  map[Kind]lineup
}

// maxStanding is how many bytes of entries an answer may hold. A busy relay
// has some 10,000 connections, an entry of each about 60 bytes.
const maxStanding = 8 << 20

// At returns how tor stood at t: what it would have answered then to a
// GETINFO of the given kinds, or of all if none is given. now is the present:
// the time after it is not known. It is computed from the newest SNAPSHOT
// before t and the events since, and reads no other records but those around t
// and those of type JOURNAL that lie between. Where the clock was put back, so
// that t came more than once, it is the last time.
//
// The error is an *UnknownState if the journal does not tell.
func At(ctx context.Context, rd journal.Reader, t, now time.Time, kinds ...Kind) (*Moment, error) {
	return at(ctx, stored{rd}, t, now, kinds)
}

func at(ctx context.Context, src source, t, now time.Time, kinds []Kind) (*Moment, error) {
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	w := atWalk{walker: walker{src: src}, t: t.UTC(), lineups: map[Kind]lineup{}}
	for _, k := range kinds {
		l, ok := newLineup(k)
		if !ok {
			return nil, fmt.Errorf("query: there is no state %q", k)
		}
		w.lineups[k] = l
	}
	if t.After(now) {
		return nil, w.unknown("that time is still to come; it is %s", clockText(now))
	}
	if err := w.find(ctx); err != nil {
		return nil, err
	}
	if err := w.rebuild(ctx); err != nil {
		return nil, err
	}
	return &Moment{
		Time: w.t, Session: w.moment.Session, Seq: w.moment.Seq, At: w.moment.Time, Snapshot: w.snapshot.Seq, lineups: w.lineups,
	}, nil
}

// atWalk computes one Moment.
type atWalk struct {
	walker
	t       time.Time
	lineups map[Kind]lineup

	first    uint64         // number of the oldest record
	moment   journal.Record // the newest one at or before t
	snapshot journal.Record // where the answer begins
}

func (w *atWalk) unknown(format string, args ...any) error {
	return &UnknownState{Time: w.t, Reason: fmt.Sprintf(format, args...)}
}

// find finds moment and snapshot.
func (w *atWalk) find(ctx context.Context) error {
	first, last, ok, err := w.bounds(ctx, 0)
	switch {
	case err != nil:
		return err
	case !ok:
		return w.unknown("the journal is empty")
	}
	w.first = first
	seq, err := w.newestBefore(ctx, first, last)
	if err != nil {
		return err
	}
	if w.moment, ok, err = w.firstOf(ctx, journal.Range{From: seq, To: seq}); err != nil {
		return err
	}
	if !ok {
		return w.unknown("record %d of then is gone: the ring evicted it, or it was lost to damage", seq)
	}
	if err := w.findSnapshot(ctx); err != nil {
		return err
	}
	return w.checkNext(ctx)
}

// newestBefore returns the number of the newest record at or before t. Times
// ascend but where the clock was put back: each such place that crosses t costs
// two looks at the index.
func (w *atWalk) newestBefore(ctx context.Context, first, last uint64) (uint64, error) {
	after := w.t.Truncate(time.Microsecond).Add(time.Microsecond) // records bear microseconds
	for from := first; ; {
		later, ok, err := w.firstOf(ctx, journal.Range{From: from, To: last, Since: after})
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return last, nil
		}
		again, ok, err := w.firstOf(ctx, journal.Range{From: later.Seq, To: last, Until: after})
		switch {
		case err != nil:
			return 0, err
		case ok:
			from = again.Seq
			continue
		case later.Seq > first:
			return later.Seq - 1, nil
		case first == 1:
			return 0, w.unknown("the journal begins at %s", clockText(later.Time))
		}
		return 0, w.unknown("the journal begins at %s: what was recorded before is gone, evicted by the ring or lost to damage", clockText(later.Time))
	}
}

// checkNext looks whether the record that follows tells that t lies in a time
// of which nothing was recorded.
func (w *atWalk) checkNext(ctx context.Context) error {
	if !w.t.After(w.moment.Time) {
		return nil
	}
	next, ok, err := w.firstOf(ctx, journal.Range{From: w.moment.Seq + 1, To: w.moment.Seq + 1})
	if !ok || err != nil {
		return err
	}
	span := fmt.Sprintf("from %s (record %d) to %s (record %d)", clockText(w.moment.Time), w.moment.Seq, clockText(next.Time), next.Seq)
	if next.Session != w.moment.Session {
		return w.unknown("nothing was recorded %s, where another session begins", span)
	}
	parsed, err := event.Parse(next.Wire)
	ev, ok := parsed.(*event.Journal)
	if err != nil || !ok {
		return nil
	}
	switch says := recordWordOf(&next, ev); says.turn {
	case recordBegins:
		return w.unknown("nothing was recorded %s: no recorder ran, or tor was lost", span)
	case recordLacks:
		if w.concerned(says.types) {
			return w.unknown("%s", says.said(says.text+" "+span))
		}
	}
	return nil
}

// concerned reports whether events of these types make the answer.
func (w *atWalk) concerned(types []event.Type) bool {
	for _, l := range w.lineups {
		if slices.ContainsFunc(types, l.makers().Has) {
			return true
		}
	}
	return false
}

// firstWindow is how many records are looked through at first for a snapshot,
// newest first; each next window has twice as many.
const firstWindow = 4096

// findSnapshot finds the newest snapshot of the session at or before the
// moment. What makes it worthless, an end of the recording between it and the
// moment, is found on the way.
func (w *atWalk) findSnapshot(ctx context.Context) error {
	begin, err := w.sessionBegin(ctx)
	if err != nil {
		return err
	}
	to, size := w.moment.Seq, uint64(firstWindow)
	for low := max(begin, w.first); to >= low; size *= 2 {
		from := low
		if to-low >= size {
			from = to - size + 1
		}
		r := journal.Range{From: from, To: to, Session: w.moment.Session, Types: event.NewSet(event.JOURNAL)}
		var broken error
		for rec, err := range w.records(ctx, r) {
			if err != nil {
				return err
			}
			if parsed, err := event.Parse(rec.Wire); err == nil {
				broken = w.see(&rec, parsed, broken)
			}
		}
		if broken != nil || w.snapshot.Seq != 0 {
			return broken
		}
		to = from - 1
	}
	if begin < w.first {
		return w.unknown("the snapshot that it is computed from is gone, evicted by the ring or lost to damage: the journal begins with record %d, session %d with record %d", w.first, w.moment.Session, begin)
	}
	return w.unknown("session %d has no snapshot of tor's state before it, which an attached tor is asked for", w.moment.Session)
}

// sessionBegin returns the number of the first record of the moment's session.
func (w *atWalk) sessionBegin(ctx context.Context) (uint64, error) {
	sessions, err := w.sessions(ctx)
	for _, s := range sessions {
		if s.ID == w.moment.Session {
			return s.First, nil
		}
	}
	return 1, err
}

// see takes one JOURNAL record before the moment: a snapshot begins anew, and
// makes good what was broken before it.
func (w *atWalk) see(rec *journal.Record, parsed event.Event, broken error) error {
	ev, ok := parsed.(*event.Journal)
	if !ok {
		return broken
	}
	where := fmt.Sprintf("%s (record %d)", clockText(rec.Time), rec.Seq)
	switch says := recordWordOf(rec, ev); says.turn {
	case recordStands:
		w.snapshot = *rec
		return nil
	case recordEnds:
		return w.unknown("%s", says.said(says.text+" at "+where))
	case recordBegins:
		return w.unknown("the recorder had just attached, at %s, and not yet been told", where)
	case recordLacks:
		if w.concerned(says.types) {
			return w.unknown("%s before %s, and the next snapshot is not there yet", says.text, where)
		}
	}
	return broken
}

// rebuild takes what the snapshot says stood, and the events since.
func (w *atWalk) rebuild(ctx context.Context) error {
	parsed, err := event.Parse(w.snapshot.Wire)
	ev, ok := parsed.(*event.Journal)
	if err != nil || !ok {
		return fmt.Errorf("query: the snapshot of record %d: %w", w.snapshot.Seq, err)
	}
	var types []event.Type
	for k, l := range w.lineups {
		lines, found := snapshotLines(ev.Snapshot(), string(k))
		if !found {
			return w.unknown("of this tor no %s is recorded: the snapshot of record %d leaves it out", k, w.snapshot.Seq)
		}
		for line := range lines {
			l.stands(line)
		}
		types = append(types, l.types().List()...)
	}
	w.gaps = nil
	r := journal.Range{From: w.snapshot.Seq + 1, To: w.moment.Seq, Session: w.moment.Session, Types: event.NewSet(types...)}
	for rec, err := range w.records(ctx, r) {
		if err != nil {
			return err
		}
		if err := w.take(&rec); err != nil {
			return err
		}
	}
	if len(w.gaps) > 0 {
		return w.unknown("records %d to %d of before are gone: the ring evicted them, or they were lost to damage", w.gaps[0].From, w.gaps[0].To)
	}
	return nil
}

func (w *atWalk) take(rec *journal.Record) error {
	tell, ok := tellOf(rec)
	if !ok {
		return nil // a line that cannot be read says nothing
	}
	size := 0
	for _, l := range w.lineups {
		if l.types().Has(rec.Type) {
			l.take(&tell)
		}
		size += l.size()
	}
	if size > maxStanding {
		return w.unknown("more than %d MiB of entries stood at record %d, which is more than is computed", maxStanding>>20, rec.Seq)
	}
	return nil
}

// clockText is a time as messages and records have it.
func clockText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
