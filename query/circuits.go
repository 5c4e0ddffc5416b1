package query

import (
	"context"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// How long after a circuit's end records of it are still looked for when the
// range is over. C tor tells the bytes of the last second just before CLOSED,
// so lateBytes is ample; a circuit that timed out is measured on for as long
// as tor's close timeout, 60 s at first and rarely more.
const (
	lateBytes  = time.Minute
	measureFor = 10 * time.Minute
)

// circuitTypes are the events that circuits are made of.
var circuitTypes = event.NewSet(event.CIRC, event.CIRC_MINOR, event.CIRC_BW, event.STREAM, event.JOURNAL)

// Circuits calls emit for every circuit any of whose life lies in r, in the
// order in which the journal first names them, and returns what was evicted
// while it read. A row shows the circuit's whole life, also what lies before
// Since and after Until, as far as the journal holds it; circuits that stood
// when the source was attached are known from the snapshot. Of r it uses
// Since, Until, Session and To; To 0 is the newest record there is when it
// starts. An error of emit ends it and is returned as it is. Rows belong to
// emit; nobody else keeps them.
//
// It reads from the beginning of the first session that r touches to the end
// of the last circuit that began before Until, and keeps in memory one state
// for each circuit of the answer and of those still standing.
func Circuits(ctx context.Context, rd journal.Reader, r journal.Range, emit func(*Circuit) error) ([]journal.Gap, error) {
	return circuits(ctx, stored{rd}, r, emit)
}

func circuits(ctx context.Context, src source, r journal.Range, emit func(*Circuit) error) ([]journal.Gap, error) {
	w := newCircuitWalk(src, r)
	if err := w.read(ctx); err != nil {
		return w.gaps, err
	}
	for _, l := range w.all {
		if !w.belongs(l) {
			continue
		}
		if err := emit(l.row(w.tells[l.session].streams, w.tells[l.session].bytes)); err != nil {
			return w.gaps, err
		}
	}
	return w.gaps, nil
}

// circuitWalk reads the records of circuits. Sessions follow each other in
// the sequence, so only the present session's circuits are looked up by ID.
type circuitWalk struct {
	walker
	r journal.Range

	session uint64              // of the record read last
	last    time.Time           // its time
	lives   map[string]*life    // the present session's circuits, by ID
	streams map[string][]string // the circuits that each open stream of it was on, by the stream's ID
	all     []*life             // of every session, in the order they were first named
	dropped int                 // of them, those that are not in the range and over
	tells   map[uint64]tells    // by session
	words   intern

	awaited int       // circuits of the range whose end is to come
	late    time.Time // until then records may follow an end
	resume  uint64    // records up to this number are read whatever their time
}

func newCircuitWalk(src source, r journal.Range) *circuitWalk {
	return &circuitWalk{
		walker: walker{src: src}, r: r,
		lives: map[string]*life{}, streams: map[string][]string{}, tells: map[uint64]tells{}, words: intern{},
	}
}

// tells is what a session is known to record: only then is none zero.
type tells struct{ streams, bytes bool }

// read takes the records from where the answer begins to where it ends.
func (w *circuitWalk) read(ctx context.Context) error {
	sessions, err := w.sessions(ctx)
	if err != nil {
		return err
	}
	from, ok, err := w.begin(ctx, sessions)
	if !ok || err != nil {
		return err
	}
	walk := journal.Range{From: from, To: w.r.To, Session: w.r.Session, Types: circuitTypes}
	for rec, err := range w.records(ctx, walk) {
		if err != nil {
			return err
		}
		if done, err := w.done(ctx, &rec); done || err != nil {
			return w.finish(sessions, err)
		}
		w.take(&rec)
	}
	return w.finish(sessions, nil)
}

// finish ends the session read last if another one followed it.
func (w *circuitWalk) finish(sessions []journal.Session, err error) error {
	if n := len(sessions); n > 0 && sessions[n-1].ID > w.session {
		w.endSession()
	}
	return err
}

// begin bounds the range by what there is and returns the number to read
// from: the beginning of the session of the range's first record. Every
// record before that one is older than Since.
func (w *circuitWalk) begin(ctx context.Context, sessions []journal.Session) (from uint64, ok bool, err error) {
	from, to, ok, err := w.bounds(ctx, w.r.To)
	if !ok || err != nil {
		return 0, false, err
	}
	w.r.To = to
	rec, ok, err := w.firstOf(ctx, journal.Range{To: to, Since: w.r.Since, Session: w.r.Session})
	for _, s := range sessions {
		if s.ID == rec.Session {
			from = max(from, s.First)
		}
	}
	return from, ok, err
}

// take lets one record tell what it tells.
func (w *circuitWalk) take(rec *journal.Record) {
	if rec.Session != w.session {
		w.endSession()
		w.session = rec.Session
	}
	w.last = rec.Time
	parsed, err := event.Parse(rec.Wire)
	if err != nil {
		return // a line that cannot be read says nothing of a circuit
	}
	switch ev := parsed.(type) {
	case *event.Circuit:
		w.circ(rec, ev)
	case *event.CircuitMinor:
		l := w.life(ev.ID, rec)
		l.minor(ev, w.words)
		w.review(l)
	case *event.CircuitBandwidth:
		w.bytes(rec, ev)
	case *event.Stream:
		w.stream(rec, ev)
	case *event.Journal:
		if ev.What == event.WhatSnapshot {
			w.snapshot(rec, ev)
		}
	}
}

func (w *circuitWalk) circ(rec *journal.Record, ev *event.Circuit) {
	if l := w.lives[ev.ID]; l != nil && l.ended() && ev.Status == statusLaunched {
		delete(w.lives, ev.ID) // the ID begins again, although nothing said that the session did
		w.keepOrDrop(l)
	}
	l := w.life(ev.ID, rec)
	l.circ(ev, rec.Time, w.words)
	w.review(l)
}

func (w *circuitWalk) bytes(rec *journal.Record, ev *event.CircuitBandwidth) {
	if ev.ID == "" {
		return
	}
	l := w.life(ev.ID, rec)
	l.read += ev.Read
	l.written += ev.Written
	t := w.tells[w.session]
	t.bytes = true
	w.tells[w.session] = t
}

// stream counts a stream once for each circuit that it was attached to.
func (w *circuitWalk) stream(rec *journal.Record, ev *event.Stream) {
	t := w.tells[w.session]
	t.streams = true
	w.tells[w.session] = t
	on := w.streams[ev.ID]
	if ev.CircID != "" && ev.CircID != "0" && !slices.Contains(on, ev.CircID) {
		l := w.life(ev.CircID, rec)
		l.streams++
		on = append(on, l.id)
		w.streams[strings.Clone(ev.ID)] = on
	}
	if ev.Status == statusClosed {
		delete(w.streams, ev.ID)
	}
}

// snapshot takes the circuits that stood at one moment. Those of the session
// that it does not list are gone, although their end was not seen.
func (w *circuitWalk) snapshot(rec *journal.Record, ev *event.Journal) {
	lines, found := snapshotLines(ev.Snapshot(), "circuit-status")
	if !found {
		return
	}
	stands := map[string]bool{}
	for line := range lines {
		parsed, err := event.Parse([]byte("650 CIRC " + line + "\r\n"))
		circ, ok := parsed.(*event.Circuit)
		if err != nil || !ok {
			continue
		}
		l := w.life(circ.ID, rec)
		l.standing(circ, w.words)
		stands[l.id] = true
		w.review(l)
	}
	for id, l := range w.lives {
		if !stands[id] && !l.ended() && !l.lost() {
			l.lostBy = rec.Time
			w.review(l)
		}
	}
}

// life returns the present session's circuit of that ID, which rec names.
func (w *circuitWalk) life(id string, rec *journal.Record) *life {
	l := w.lives[id]
	if l == nil {
		l = &life{session: w.session, id: strings.Clone(id), seen: rec.Time}
		w.lives[l.id] = l
		w.all = append(w.all, l)
	}
	l.inside = l.inside || w.inRange(rec.Time)
	return l
}

func (w *circuitWalk) inRange(t time.Time) bool { return !t.Before(w.r.Since) && w.before(t) }

// before reports whether t lies before the end of the range.
func (w *circuitWalk) before(t time.Time) bool { return w.r.Until.IsZero() || t.Before(w.r.Until) }

// belongs reports whether any of l's life lies in the range.
func (w *circuitWalk) belongs(l *life) bool {
	switch {
	case !l.named || !w.before(l.begun()) && !l.inside:
		return false
	case l.inside:
		return true
	case l.ended():
		return !l.closed.Before(w.r.Since)
	case l.lost():
		return !l.lostBy.Before(w.r.Since)
	}
	return true
}

// review keeps account of l after something was said of it.
func (w *circuitWalk) review(l *life) {
	mine := l.named && w.before(l.begun())
	w.await(l, mine && !l.ended() && !l.lost())
	if mine && l.ended() {
		after := lateBytes
		if !l.over() {
			after = measureFor
		}
		if t := l.closed.Add(after); t.After(w.late) {
			w.late = t
		}
	}
	if l.over() && !w.belongs(l) {
		delete(w.lives, l.id)
		w.keepOrDrop(l)
	}
}

func (w *circuitWalk) await(l *life, await bool) {
	if l.awaited == await {
		return
	}
	if l.awaited = await; await {
		w.awaited++
	} else {
		w.awaited--
	}
}

// keepOrDrop forgets l, of which nothing more is said, unless it belongs to
// the range.
func (w *circuitWalk) keepOrDrop(l *life) {
	if w.belongs(l) {
		return
	}
	l.named = false
	if w.dropped++; w.dropped > len(w.all)/2 {
		w.all = slices.DeleteFunc(w.all, func(l *life) bool { return !l.named && w.lives[l.id] != l })
		w.dropped = 0
	}
}

// endSession is called where another session begins: what stood is lost.
func (w *circuitWalk) endSession() {
	for id, l := range w.lives {
		if l.named && !l.ended() && !l.lost() {
			l.lostBy = w.last
		}
		w.await(l, false)
		delete(w.lives, id)
		w.keepOrDrop(l)
	}
	clear(w.streams)
}

// done reports whether nothing from rec on can change the answer: the range
// is over and so are its circuits. The clock may have been put back since, so
// the index is asked whether any later record lies in the range.
func (w *circuitWalk) done(ctx context.Context, rec *journal.Record) (bool, error) {
	if w.before(rec.Time) || w.awaited > 0 && rec.Session == w.session || !rec.Time.After(w.late) || rec.Seq <= w.resume {
		return false, nil
	}
	next, ok, err := w.firstOf(ctx, journal.Range{
		From: rec.Seq, To: w.r.To, Since: w.r.Since, Until: w.r.Until, Session: w.r.Session,
	})
	if ok {
		w.resume = next.Seq
	}
	return !ok, err
}
