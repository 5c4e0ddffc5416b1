package query

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// circuitTypes are the events that circuits are made of.
var circuitTypes = event.NewSet(event.CIRC, event.CIRC_MINOR, event.CIRC_BW, event.STREAM, event.JOURNAL)

// endTypes are those that tell how circuits began and ended, without what they
// carried.
var endTypes = event.NewSet(event.CIRC, event.CIRC_MINOR, event.JOURNAL)

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
// It reads from the beginning of the first session that r touches, or of the oldest
// circuit that stood at the newest snapshot before r, to the end of the last
// circuit that began before Until, or of the last one of the part, and keeps in
// memory one state for each circuit of the part and of those still standing.
func Circuits(ctx context.Context, rd journal.Reader, r journal.Range, pick CircuitPick, part Part, emit func(*Circuit) error) ([]journal.Gap, error) {
	return circuits(ctx, stored{rd}, r, pick, part, emit)
}

func circuits(ctx context.Context, src source, r journal.Range, pick CircuitPick, part Part, emit func(*Circuit) error) ([]journal.Gap, error) {
	asked := askedRelay{word: pick.Relay, src: src, r: r, part: part}
	through := func(hop string) bool { return asked.is(ctx, hop) }
	gaps, err := eachLife(ctx, part, func(part Part) (*census[*life], func(*life) error) {
		w := newCircuitWalk(src, r, part)
		if pick != (CircuitPick{}) {
			w.wanted = func(l *life) bool { return pick.match(l.row(false, false), through) }
		}
		beside := w.beside
		w.beside = func() int { return beside() + asked.size() }
		return w.census, func(l *life) error {
			tells, err := w.told(ctx, l.session)
			if err != nil {
				return err
			}
			return emit(l.row(tells.streams, tells.bytes))
		}
	})
	return gaps, cmp.Or(err, asked.err)
}

// circuitWalk reads the records of circuits.
type circuitWalk struct {
	*census[*life]
	streams map[string][]string // the circuits that each open stream of the session was on, by the stream's ID
	tells   map[uint64]tells    // by session
	words   *intern
	uses    bool // lives are told what they do for onion services
}

func newCircuitWalk(src source, r journal.Range, part Part) *circuitWalk {
	w := &circuitWalk{census: newCensus[*life](src, r, part), streams: map[string][]string{}, tells: map[uint64]tells{}, words: newIntern()}
	w.types, w.hear = circuitTypes, w.record
	w.listing, w.beginsBy, w.begins = "circuit-status", event.CIRC, circuitBegins
	w.born = func(b being) *life { return &life{being: b} }
	w.wanted = func(*life) bool { return true }
	w.turn = func() { clear(w.streams) }
	w.beside = func() int { return len(w.streams) * entryBytes }
	return w
}

// newCircuitCount begins a walk that keeps no circuit: each is called for every
// one of which any life lies in r, once, when it is over or at the end, and may not
// keep it: it becomes another one. The walk reads endTypes and types.
func newCircuitCount(src source, r journal.Range, part Part, each func(*life), types ...event.Type) *circuitWalk {
	w := newCircuitWalk(src, r, Part{Memory: part.Memory, back: part.back})
	w.types = endTypes.Union(event.NewSet(types...))
	w.wanted = func(l *life) bool {
		each(l)
		return false
	}
	var spare []*life
	w.spare = func(l *life) { spare = append(spare, l) }
	w.born = func(b being) *life {
		n := len(spare)
		if n == 0 {
			return &life{being: b}
		}
		l := spare[n-1]
		spare = spare[:n-1]
		*l = life{being: b, path: l.path[:0]}
		return l
	}
	return w
}

// overhear lets hear have each record before the walk.
func (w *circuitWalk) overhear(hear func(*journal.Record, event.Event)) {
	walk := w.hear
	w.hear = func(rec *journal.Record, e event.Event) {
		hear(rec, e)
		walk(rec, e)
	}
}

// count walks to the end.
func (w *circuitWalk) count(ctx context.Context) error {
	if err := w.read(ctx); err != nil {
		return err
	}
	w.chosen() // those that stand are asked about now
	return nil
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

// circuitBegins reports whether an event tells that a circuit begins.
func circuitBegins(e event.Event) (id string, ok bool) {
	ev, ok := e.(*event.Circuit)
	if !ok {
		return "", false
	}
	return ev.ID, ev.Status == statusLaunched
}

// record lets one record tell what it tells.
func (w *circuitWalk) record(rec *journal.Record, parsed event.Event) {
	switch ev := parsed.(type) {
	case *event.Circuit:
		if id, ok := circuitBegins(ev); ok {
			w.again(id)
		}
		l := w.life(ev.ID, rec)
		l.circ(ev, rec.Time, w.words)
		w.serve(l, &ev.CircuitInfo, false, rec.Time)
		w.review(l)
	case *event.CircuitMinor:
		l := w.life(ev.ID, rec)
		l.minor(ev, w.words)
		w.serve(l, &ev.CircuitInfo, true, rec.Time)
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

// serve is life.serve for who asks of it.
func (w *circuitWalk) serve(l *life, info *event.CircuitInfo, change bool, at time.Time) {
	if w.uses {
		l.serve(info, change, at, w.words)
	}
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

// snapshot takes the circuits that stood at one moment.
func (w *circuitWalk) snapshot(rec *journal.Record, ev *event.Journal) {
	w.stand(rec, ev, "circuit-status", func(line string) (string, bool) {
		circ, ok := snapshotEntry[*event.Circuit](event.CIRC, line)
		if !ok {
			return "", false
		}
		l := w.life(circ.ID, rec)
		l.standing(circ, w.words)
		if !l.ended() {
			w.serve(l, &circ.CircuitInfo, false, rec.Time)
		}
		w.review(l)
		return l.id, true
	})
}
