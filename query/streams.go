package query

import (
	"context"

	"torjournal/journal"
	"torjournal/tor/event"
)

// streamTypes are the events that streams are made of.
var streamTypes = event.NewSet(event.STREAM, event.STREAM_BW, event.JOURNAL)

// Streams calls emit for every stream that pick chooses and any of whose life
// lies in r, in the order in which STREAM events or snapshots first name them.
// It is to streams what Circuits is to circuits. A stream that was detached and
// tried again is one row, with all the circuits that it was on.
func Streams(ctx context.Context, rd journal.Reader, r journal.Range, pick StreamPick, part Part, emit func(*Stream) error) ([]journal.Gap, error) {
	return streams(ctx, stored{rd}, r, pick, part, emit)
}

func streams(ctx context.Context, src source, r journal.Range, pick StreamPick, part Part, emit func(*Stream) error) ([]journal.Gap, error) {
	return eachLife(ctx, part, func(part Part) (*census[*streamLife], func(*streamLife) error) {
		w := newStreamWalk(src, r, pick, part)
		return w.census, func(l *streamLife) error {
			told, err := w.told(ctx, l.session)
			if err != nil {
				return err
			}
			return emit(l.row(told))
		}
	})
}

// streamWalk reads the records of streams.
type streamWalk struct {
	*census[*streamLife]
	tells map[uint64]bool // whether a session records STREAM_BW; absent: not known
	words *intern
}

func newStreamWalk(src source, r journal.Range, pick StreamPick, part Part) *streamWalk {
	w := &streamWalk{census: newCensus[*streamLife](src, r, part), tells: map[uint64]bool{}, words: newIntern()}
	w.types, w.hear = streamTypes, w.record
	w.listing, w.beginsBy, w.begins = "stream-status", event.STREAM, streamBegins
	w.born = func(b being) *streamLife { return &streamLife{being: b} }
	w.wanted = func(l *streamLife) bool { return pick == StreamPick{} || pick.Match(l.row(false)) }
	w.turn = func() { *w.words = *newIntern() } // circuits are among them
	w.beside = func() int { return len(w.words.words) * entryBytes }
	return w
}

// told reports whether a session records STREAM_BW, up to the end of the
// range: the walk may have ended before the first of them.
func (w *streamWalk) told(ctx context.Context, session uint64) (bool, error) {
	if told, ok := w.tells[session]; ok {
		return told, nil
	}
	ask := walker{src: w.src} // the walk has told the gaps
	r := journal.Range{From: w.from, To: w.r.To, Session: session, Types: event.NewSet(event.STREAM_BW)}
	_, ok, err := ask.firstOf(ctx, r)
	w.tells[session] = ok
	return ok, err
}

// streamBegins reports whether an event tells that a stream begins.
func streamBegins(e event.Event) (id string, ok bool) {
	ev, ok := e.(*event.Stream)
	if !ok {
		return "", false
	}
	return ev.ID, ev.Status == streamNew || ev.Status == streamNewResolve
}

// record lets one record tell what it tells.
func (w *streamWalk) record(rec *journal.Record, parsed event.Event) {
	switch ev := parsed.(type) {
	case *event.Stream:
		if id, ok := streamBegins(ev); ok {
			w.again(id)
		}
		l := w.life(ev.ID, rec)
		l.stream(ev, Stamp{rec.Time}, w.words)
		w.review(l)
	case *event.StreamBandwidth:
		l := w.life(ev.ID, rec)
		l.read += ev.Read
		l.written += ev.Written
		w.tells[w.session] = true
	case *event.Journal:
		if ev.What == event.WhatSnapshot {
			w.snapshot(rec, ev)
		}
	}
}

// snapshot takes the streams that stood at one moment.
func (w *streamWalk) snapshot(rec *journal.Record, ev *event.Journal) {
	w.stand(rec, ev, "stream-status", func(line string) (string, bool) {
		stream, ok := snapshotEntry[*event.Stream](event.STREAM, line)
		if !ok {
			return "", false
		}
		l := w.life(stream.ID, rec)
		l.standing(stream, w.words)
		w.review(l)
		return l.id, true
	})
}
