package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Whose outage it is.
const (
	OutageOfClient = "client" // tor's own: it could not build circuits
	OutageOfOnion  = "onion"  // an onion service's that this tor hosts: it could not be reached
)

// Causes of outages, as far as the record shows them.
const (
	CauseGuardLost   = "guard lost"               // no first hop was reached: its connection ended or was refused, or it did not answer
	CauseBehindGuard = "behind the guard"         // the first hop was reached, and circuits broke there or further on
	CauseClockSkew   = "clock skew"               // tor said that its clock differs from others'
	CauseNoDirectory = "no directory information" // tor said that it knows too few relays
	CauseNetworkDown = "network down"             // tor was told to use none (DisableNetwork), or said that it hears nothing
	CauseTorDown     = "tor down"                 // its control connection ended and it came back as another process
	CauseDaemonDown  = "daemon down"              // no recorder ran, or none that had found a tor: what tor did is unknown
	CauseNotRecorded = "not recorded"             // the control connection ended and tor went on: what it did is unknown
	CauseIntroLost   = "introduction points lost" // of an onion service, while circuits could be built
)

// What an onion service was without.
const (
	WithoutIntro      = "introduction" // a circuit to an introduction point that visitors know of
	WithoutDescriptor = "descriptor"   // a descriptor: no HSDir took one
	WithoutRendezvous = "rendezvous"   // visitors: no rendezvous with one came about
)

// Outage is one row: a time in which tor could not build circuits, or an onion
// service of its could not be reached.
//
// A client's begins with the first attempt that failed after the last circuit
// that was built, when that attempt began, or with what tor itself says: that it
// may use no network or knows too few relays. It ends with the first circuit
// that is built, or when what tor said holds no more and nothing fails
// afterwards. An idle tor has no outage: circuits must have been tried. Nor have
// failures among successes: so many must have failed in a row as chance brings
// about once in ten thousand times, at the rate at which this tor's circuits
// fail, over a second at least.
//
// An onion service's begins when its last introduction circuit ends, unless tor
// ended it on purpose, and ends when there is one again that visitors can know
// of: to an introduction point that was in the descriptor, or once an HSDir has
// taken a new one.
//
// What is shorter than a second is none.
type Outage struct {
	Session  uint64   `json:"session"`             // number of the session in which it began
	What     string   `json:"what"`                // whose it is: client or onion
	Onion    string   `json:"onion,omitempty"`     // the service's address, without ".onion"
	Without  string   `json:"without,omitempty"`   // what the service was without: introduction, descriptor, rendezvous
	Begin    Stamp    `json:"begin"`               // when it began
	End      Stamp    `json:"end,omitzero"`        // absent while it lasts
	LengthMS *int64   `json:"length_ms,omitempty"` // from begin to end, in whole ms
	Cause    string   `json:"cause,omitempty"`     // see CauseGuardLost; absent if the record shows none
	Detail   string   `json:"detail,omitempty"`    // what the record shows of it, in tor's words
	Failed   int      `json:"failed,omitempty"`    // circuits, uploads or rendezvous that failed
	Purposes []string `json:"purposes,omitempty"`  // of the circuits that failed, as tor writes them: others were not tried
	Relays   []string `json:"relays,omitempty"`    // to which connections ended or failed, as tor wrote them; eight at most
	Onions   []string `json:"onions,omitempty"`    // while tor or the record was gone: services that had stood
	Evidence []uint64 `json:"evidence"`            // numbers of records that show it; eight at most

	standing bool // it is what tor says, whether circuits are tried or not
	void     bool // it was none
	place    Place
}

// Place is Row's.
func (o *Outage) Place() Place { return o.place }

// outageBytes is what one row holds, in bytes, roughly.
const outageBytes = 1 << 10

// shortestOutage is how long an outage is at least: tor looks after its
// circuits and services once a second, so a shorter one is noticed by nobody.
const shortestOutage = time.Second

// maxListed bounds the lists of a row.
const maxListed = 8

// outageTypes are the events that outages are found by.
var outageTypes = event.NewSet(event.CIRC, event.CIRC_MINOR, event.ORCONN, event.GUARD, event.STATUS_GENERAL, event.STATUS_CLIENT,
	event.NETWORK_LIVENESS, event.CONF_CHANGED, event.HS_DESC, event.JOURNAL)

// Outages calls emit for every outage of which any time lies in r, in the order
// of the records that they begin with, and returns what was evicted while it read.
// An outage that began before r or ended after it is told whole. Of r it uses
// Since, Until, Session and To. Rows belong to emit. An error of emit ends it and
// is returned as it is.
//
// It reads from the beginning of the first session that r touches to the end of
// the last outage that began before Until, and keeps in memory the rows, the
// circuits that are being built and the introduction circuits.
func Outages(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Outage) error) ([]journal.Gap, error) {
	return outages(ctx, stored{rd}, r, part, emit)
}

func outages(ctx context.Context, src source, r journal.Range, part Part, emit func(*Outage) error) ([]journal.Gap, error) {
	w := newOutageWalk(src, r, part)
	if err := w.read(ctx); err != nil {
		return w.gaps, err
	}
	for _, o := range w.book.settled() {
		if !w.belongs(o) {
			continue
		}
		if err := emit(o); err != nil {
			return w.gaps, err
		}
	}
	return w.gaps, nil
}

// outageWalk reads the records.
type outageWalk struct {
	walker
	r    journal.Range
	part Part
	book outageBook

	client   outageClient
	onions   outageOnions
	recorder outageRecorder

	session uint64         // of the record read last
	last    journal.Record // that one, without its wire
	missed  int            // gaps that are known of
	resume  uint64         // records up to this number are read whatever their time
	silent  bool           // there is no record in the range, nor behind it
}

func newOutageWalk(src source, r journal.Range, part Part) *outageWalk {
	w := &outageWalk{walker: walker{src: src}, r: r, part: part}
	w.client = outageClient{book: &w.book, trying: map[string]*attempt{}}
	w.onions = outageOnions{book: &w.book, client: &w.client, services: map[string]*service{}, introOf: map[string]*service{}}
	return w
}

// read takes the records from where the answer begins to where it ends.
func (w *outageWalk) read(ctx context.Context) error {
	walk, ok, err := w.begin(ctx)
	if !ok || err != nil {
		return err
	}
	if err := w.findBefore(ctx, walk.From); err != nil {
		return err
	}
	for rec, err := range w.records(ctx, walk) {
		if err != nil {
			return err
		}
		if done, err := w.done(ctx, &rec); done || err != nil {
			return err // nothing that lasts is a row
		}
		if err := w.take(ctx, &rec); err != nil {
			return err
		}
		if err := w.part.allow(len(w.book.rows)*outageBytes + len(w.client.trying)*entryBytes + w.onions.size()); err != nil {
			return err
		}
	}
	return w.finish(ctx)
}

// begin returns the records to read: from the beginning of the session of the
// first one that lies in the range, or in the part, on. Of one session the
// record that follows it is read too: it may tell how long tor was gone.
func (w *outageWalk) begin(ctx context.Context) (walk journal.Range, ok bool, err error) {
	first, to, ok, err := w.bounds(ctx, w.r.To)
	if !ok || err != nil {
		return walk, false, err
	}
	w.r.To = to
	sessions, err := w.sessions(ctx)
	if err != nil {
		return walk, false, err
	}
	rec, ok, err := w.firstOfPart(ctx, w.r, w.part)
	if !ok && err == nil && w.r.Session == 0 {
		// Nothing was recorded since: it may be an outage that nothing was.
		w.silent = true
		rec, ok, err = w.firstOf(ctx, journal.Range{From: to, To: to})
	}
	walk = journal.Range{From: first, To: to, Types: outageTypes}
	for _, s := range sessions {
		if s.ID <= rec.Session {
			walk.From = max(first, s.First)
		}
		if w.r.Session != 0 && s.ID > w.r.Session {
			walk.To = min(walk.To, s.First)
			break
		}
	}
	return walk, ok, err
}

// take lets one record tell what it tells.
func (w *outageWalk) take(ctx context.Context, rec *journal.Record) error {
	if rec.Session != w.session {
		if w.session != 0 {
			w.client.part(&w.last)
			w.onions.part(&w.last)
		}
		w.session = rec.Session
		w.recorder.recording = w.recorder.recording && rec.Type == event.JOURNAL // else it is a file's
	}
	if len(w.gaps) > w.missed {
		w.missed = len(w.gaps)
		w.client.forget()
	}
	w.last = journal.Record{Seq: rec.Seq, Session: rec.Session, Time: rec.Time}
	parsed, err := event.Parse(rec.Wire)
	if err != nil {
		return nil // a line that cannot be read says nothing
	}
	switch ev := parsed.(type) {
	case *event.Journal:
		return w.journal(ctx, rec, ev)
	case *event.Circuit:
		w.onions.circuit(rec, ev)
		w.client.circuit(rec, ev)
	case *event.CircuitMinor:
		w.onions.minor(rec, ev)
		w.client.minor(rec, ev)
	case *event.HSDesc:
		w.onions.descriptor(rec, ev)
	default:
		w.client.hear(rec, parsed)
	}
	return nil
}

// finish is called where there are no more records. Another session that is
// not read has begun behind the one that is asked for.
func (w *outageWalk) finish(ctx context.Context) error {
	sessions, err := w.sessions(ctx)
	if n := len(sessions); err == nil && n > 0 && w.session != 0 && sessions[n-1].ID > w.session && sessions[n-1].First <= w.r.To {
		w.client.part(&w.last)
		w.onions.part(&w.last)
	}
	if w.client.row != nil {
		w.client.judge()
	}
	return err
}

// done reports whether nothing from rec on can change the answer: the range is
// over, and so is what began in it. The clock may have been put back since, so the
// index is asked whether any later record lies in the range.
func (w *outageWalk) done(ctx context.Context, rec *journal.Record) (bool, error) {
	until := w.r.Until
	if until.IsZero() || rec.Time.Before(until) || rec.Seq <= w.resume || w.pending(rec.Time) {
		return false, nil
	}
	next, ok, err := w.firstOf(ctx, journal.Range{From: rec.Seq, To: w.r.To, Since: w.r.Since, Until: until, Session: w.r.Session})
	if ok {
		w.resume = next.Seq
	}
	return !ok, err
}

// pending reports whether an outage that began before the end of the range may
// still become known, or end.
func (w *outageWalk) pending(now time.Time) bool {
	return w.book.lasts(w.r.Until) || w.client.mayHaveBegun(w.r.Until, now) || w.onions.mayHaveBegun(w.r.Until) || w.recorder.gone != nil
}

// belongs reports whether o is a row.
func (w *outageWalk) belongs(o *Outage) bool {
	switch {
	case w.r.Session != 0 && o.Session != w.r.Session, !w.part.begun(o.place),
		!beforeEnd(w.r, o.Begin.Time), w.silent && o != w.recorder.gone:
		return false
	}
	return o.End.IsZero() || !o.End.Before(w.r.Since)
}

// outageBook holds the rows.
type outageBook struct{ rows []*Outage }

// Which of the outages that begin with one record it is.
const (
	nthClient = iota
	nthIntro
	nthDescriptor
	nthRendezvous
)

// begin begins one.
func (b *outageBook) begin(what string, nth int, session, seq uint64, at time.Time) *Outage {
	o := &Outage{Session: session, What: what, Begin: Stamp{at}, place: Place{At: int64(seq), Nth: nth}}
	o.shows(seq)
	b.rows = append(b.rows, o)
	return o
}

// shows adds a record to the evidence. The last place is the newest's.
func (o *Outage) shows(seq uint64) {
	switch n := len(o.Evidence); {
	case slices.Contains(o.Evidence, seq):
	case n < maxListed:
		o.Evidence = append(o.Evidence, seq)
	default:
		o.Evidence[n-1] = seq
	}
}

// end ends it with a record; too short a one was none.
func (o *Outage) end(seq uint64, at time.Time) {
	o.End = Stamp{at}
	o.shows(seq)
	o.void = at.Sub(o.Begin.Time) < shortestOutage
}

// lasts reports whether an outage that began before until has no end yet.
func (b *outageBook) lasts(until time.Time) bool {
	return slices.ContainsFunc(b.rows, func(o *Outage) bool { return o.End.IsZero() && !o.void && o.Begin.Before(until) })
}

// settled returns the rows in order.
func (b *outageBook) settled() []*Outage {
	rows := slices.DeleteFunc(b.rows, func(o *Outage) bool { return o.void })
	slices.SortFunc(rows, func(a, b *Outage) int { return a.place.compare(b.place) })
	for _, o := range rows {
		slices.Sort(o.Evidence)
		o.LengthMS = milliseconds(o.Begin.Time, o.End.Time)
		if o.What == OutageOfOnion {
			o.explain(rows)
		}
	}
	return rows
}

// explain gives an onion service's outage the cause of a client's that it comes
// with: that one may be known later, since circuits must have failed.
func (o *Outage) explain(rows []*Outage) {
	for _, c := range rows {
		if c.What == OutageOfClient && c.Session == o.Session && !c.Begin.After(o.Begin.Add(2*time.Second)) &&
			(o.End.IsZero() || c.Begin.Before(o.End.Time)) && (c.End.IsZero() || !c.End.Before(o.Begin.Time)) {
			o.Cause, o.Detail = cmp.Or(c.Cause, o.Cause), cmp.Or(c.Detail, o.Detail)
			return
		}
	}
}
