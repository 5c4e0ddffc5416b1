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

// What one circuit and one open stream hold, in bytes, roughly.
const (
	lifeBytes   = 768
	streamBytes = 256
)

// circuitTypes are the events that circuits are made of.
var circuitTypes = event.NewSet(event.CIRC, event.CIRC_MINOR, event.CIRC_BW, event.STREAM, event.JOURNAL)

// Circuits calls emit for every circuit that pick chooses and any of whose life
// lies in r, in the order in which CIRC events or snapshots first name them, and
// returns what was evicted while it read. A row shows the circuit's whole life, also
// what lies before Since and after Until, as far as the journal holds it;
// circuits that stood when the source was attached are known from the snapshot.
// What is named only after Until is no row, whatever it says of its beginning.
// Of r it uses Since, Until, Session and To; To 0 is the newest record there is
// when it starts. An error of emit ends it and is returned as it is. Rows belong
// to emit; nobody else keeps them.
//
// It reads from the beginning of the first session that r touches to the end
// of the last circuit that began before Until, or of the last one of the part,
// and keeps in memory one state for each circuit of the part and of those still
// standing.
func Circuits(ctx context.Context, rd journal.Reader, r journal.Range, pick CircuitPick, part Part, emit func(*Circuit) error) ([]journal.Gap, error) {
	return circuits(ctx, stored{rd}, r, pick, part, emit)
}

func circuits(ctx context.Context, src source, r journal.Range, pick CircuitPick, part Part, emit func(*Circuit) error) ([]journal.Gap, error) {
	for {
		w := newCircuitWalk(src, r)
		w.pick, w.part = pick, part
		if err := w.read(ctx); err != nil {
			return w.gaps, err
		}
		lives := w.chosen()
		if w.cut != nil && len(lives) <= part.Rows {
			part.Rows *= 2 // some that were over went on, and are no rows any more
			continue
		}
		for _, l := range lives {
			tells, err := w.told(ctx, l.session)
			if err == nil {
				err = emit(l.row(tells.streams, tells.bytes))
			}
			if err != nil {
				return w.gaps, err
			}
		}
		return w.gaps, nil
	}
}

// chosen returns the circuits of the answer, in order.
func (w *circuitWalk) chosen() (lives []*life) {
	for _, l := range w.all {
		if w.belongs(l) && w.pick.Match(l.row(false, false)) {
			lives = append(lives, l)
		}
	}
	slices.SortFunc(lives, func(a, b *life) int { return a.place.compare(b.place) })
	return lives
}

// circuitWalk reads the records of circuits. Sessions follow each other in
// the sequence, so only the present session's circuits are looked up by ID.
type circuitWalk struct {
	walker
	r    journal.Range
	pick CircuitPick
	part Part

	from    uint64              // the number that the walk begins with
	session uint64              // of the record read last
	last    time.Time           // its time
	seq     uint64              // its number
	nth     int                 // circuits that it is the first to name, so far
	lives   map[string]*life    // the present session's circuits, by ID
	streams map[string][]string // the circuits that each open stream of it was on, by the stream's ID
	all     []*life             // of every session, in the order they were first named
	dropped int                 // of them, those that are not in the range and over
	tells   map[uint64]tells    // by session
	gone    lateWords           // the present session's circuits that were let go
	words   intern

	awaited int       // circuits of the range whose end is to come
	late    time.Time // until then records may follow an end
	resume  uint64    // records up to this number are read whatever their time

	measured map[*life]bool // circuits that timed out and may be built on

	whole int    // circuits of the part that are over
	cut   *Place // circuits after it are too many for the part; nil: none is
	fault error  // why no more can be read
}

func newCircuitWalk(src source, r journal.Range) *circuitWalk {
	return &circuitWalk{
		walker: walker{src: src}, r: r,
		lives: map[string]*life{}, streams: map[string][]string{}, tells: map[uint64]tells{}, words: intern{}, measured: map[*life]bool{},
	}
}

// tells is what a session is known to record: only then is none zero.
type tells struct{ streams, bytes, asked bool }

// told returns what a session tells, up to the end of the range: the walk may
// have ended before the first of such records.
func (w *circuitWalk) told(ctx context.Context, session uint64) (tells, error) {
	t := w.tells[session]
	if t.asked || t.streams && t.bytes {
		return t, nil
	}
	t.asked = true
	ask := walker{src: w.src} // the walk has told the gaps
	for _, what := range []struct {
		known *bool
		of    event.Type
	}{{&t.streams, event.STREAM}, {&t.bytes, event.CIRC_BW}} {
		r := journal.Range{From: w.from, To: w.r.To, Session: session, Types: event.NewSet(what.of)}
		if *what.known {
			continue
		}
		for rec, err := range ask.records(ctx, r) {
			if err != nil {
				return t, err
			}
			parsed, _ := event.Parse(rec.Wire)
			bw, isBytes := parsed.(*event.CircuitBandwidth)
			_, isStream := parsed.(*event.Stream)
			if *what.known = isStream || isBytes && bw.ID != ""; *what.known {
				break
			}
		}
	}
	w.tells[session] = t
	return t, nil
}

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
	w.from = from
	walk := journal.Range{From: from, To: w.r.To, Session: w.r.Session, Types: circuitTypes}
	for rec, err := range w.records(ctx, walk) {
		if err != nil {
			return err
		}
		if done, err := w.done(ctx, &rec); done || err != nil {
			return w.finish(sessions, err)
		}
		if w.take(&rec); w.fault != nil {
			return w.fault
		}
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
	w.last, w.seq, w.nth = rec.Time, rec.Seq, 0
	w.gone.forget(rec.Time)
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
	if ev.Status == statusLaunched {
		w.gone.remove(ev.ID)
	}
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

// life returns the present session's circuit of that ID, which rec names. One
// that was let go, and of which there is a late word, is nobody's.
func (w *circuitWalk) life(id string, rec *journal.Record) *life {
	if w.gone.has(id) {
		return &life{session: w.session, id: id, seen: rec.Time, gone: true}
	}
	l := w.lives[id]
	if l == nil {
		l = &life{session: w.session, id: strings.Clone(id), seen: rec.Time}
		w.lives[l.id] = l
		w.all = append(w.all, l)
		w.fault = w.part.allow(len(w.all)*lifeBytes + len(w.streams)*streamBytes)
	}
	l.inside = l.inside || w.inRange(rec.Time)
	return l
}

func (w *circuitWalk) inRange(t time.Time) bool { return !t.Before(w.r.Since) && w.before(t) }

// before reports whether t lies before the end of the range.
func (w *circuitWalk) before(t time.Time) bool { return w.r.Until.IsZero() || t.Before(w.r.Until) }

// inPart reports whether l may be a row of the part that is wanted.
func (w *circuitWalk) inPart(l *life) bool {
	return w.part.begun(l.place) && (w.cut == nil || !l.place.After(*w.cut))
}

// mine reports whether l is known to have begun before the end of the range,
// and lies in the part. One that is named only after the range, with a
// TIME_CREATED before that, does not count: how many of those are found
// depends on how far the walk goes.
func (w *circuitWalk) mine(l *life) bool {
	return l.named && (l.inside || w.before(l.seen)) && w.inPart(l)
}

// belongs reports whether any of l's life lies in the range, and l in the part.
func (w *circuitWalk) belongs(l *life) bool {
	switch {
	case !w.mine(l):
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
	if l.gone {
		return
	}
	if l.named && l.place == (Place{}) {
		l.place = Place{At: int64(w.seq), Nth: w.nth}
		w.nth++
	}
	mine := w.mine(l)
	w.await(l, mine && !l.ended() && !l.lost())
	if t := l.closed.Add(lateBytes); mine && l.ended() && t.After(w.late) {
		w.late = t
	}
	if mine && l.ended() && !l.over() {
		w.measured[l] = true
	} else {
		delete(w.measured, l)
	}
	switch {
	case !l.over() || l.whole:
	case w.belongs(l) && w.pick.Match(l.row(false, false)):
		w.complete(l)
	default:
		w.letGo(l)
	}
}

// letGo forgets l, which is over and no row.
func (w *circuitWalk) letGo(l *life) {
	if w.lives[l.id] == l {
		delete(w.lives, l.id)
		w.gone.add(l.id, l.closed.Add(lateBytes))
	}
	l.named = false
	w.drop()
}

// complete counts l, which is over and a row, and finds where the part ends
// once there are enough.
func (w *circuitWalk) complete(l *life) {
	l.whole = true
	if w.whole++; w.part.Rows == 0 || w.whole <= w.part.Rows {
		return
	}
	var places []Place
	for _, l := range w.all {
		if l.whole {
			places = append(places, l.place)
		}
	}
	slices.SortFunc(places, Place.compare)
	w.cut = &places[w.part.Rows]
	w.whole = w.part.Rows + 1
	for _, l := range slices.Clone(w.all) {
		if l.place.After(*w.cut) {
			w.await(l, false)
			delete(w.measured, l)
			if l.whole {
				l.whole = false
				w.letGo(l)
			}
		}
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
	if !w.belongs(l) {
		l.named = false
		w.drop()
	}
}

// drop counts one that is no row, and clears up behind many of them.
func (w *circuitWalk) drop() {
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
		delete(w.measured, l)
		delete(w.lives, id)
		w.keepOrDrop(l)
	}
	clear(w.streams)
	w.gone = lateWords{}
}

// done reports whether nothing from rec on can change the answer: the range
// is over and so are its circuits. The clock may have been put back since, so
// the index is asked whether any later record lies in the range.
func (w *circuitWalk) done(ctx context.Context, rec *journal.Record) (bool, error) {
	if w.cut == nil && w.before(rec.Time) || w.awaited > 0 && rec.Session == w.session || !rec.Time.After(w.late) || rec.Seq <= w.resume {
		return false, nil
	}
	for l := range w.measured {
		if !rec.Time.After(l.closed.Add(measureFor)) {
			return false, nil
		}
	}
	if w.cut != nil {
		return true, nil
	}
	next, ok, err := w.firstOf(ctx, journal.Range{
		From: rec.Seq, To: w.r.To, Since: w.r.Since, Until: w.r.Until, Session: w.r.Session,
	})
	if ok {
		w.resume = next.Seq
	}
	return !ok, err
}
