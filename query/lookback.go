package query

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// An answer about an hour needs of what was before only the lives that reach into
// it, and a session may be months old. A snapshot tells which lives stand, so all
// that matter lie behind the beginning of the oldest one that the newest snapshot
// before the range lists:
//
//	session ─────── launched ──── snapshot ─── Since ──── Until
//	        not read │ 4 LAUNCHED │ 4, 9 stand │ rows
//
// That holds as far as snapshots tell what events do. Where they differ, a life is
// met that was not seen from its beginning on, at the snapshot or after it; then all
// of the session is read after all. So the answer is the same.

// backLeast is how many records a session has before the range, at least, that is
// not read from its beginning.
const backLeast = 1 << 16

// errBegunBefore says that a life began before what was read.
var errBegunBefore = errors.New("query: a life began before what was read")

// nearFirst lets do read as little as may be of what was before the range, and all
// if that was not enough: it begins anew then. So it does where that took too much
// memory: it clears up at other times, and may hold more.
func nearFirst(do func(near bool) ([]journal.Gap, error)) ([]journal.Gap, error) {
	gaps, err := do(true)
	if errors.Is(err, errBegunBefore) || errors.Is(err, ErrTooMuch) {
		gaps, err = do(false)
	}
	return gaps, err
}

// lookBack returns where the walk may begin: begin is where the session does, and
// first the first record of the range. It notes the snapshot that this rests on.
func (w *census[L]) lookBack(ctx context.Context, begin uint64, first *journal.Record) (from uint64, err error) {
	least := cmp.Or(w.part.back, backLeast)
	if !w.near || w.listing == "" || w.part.After != nil || w.r.Since.IsZero() || first.Seq-begin < least {
		return begin, nil
	}
	back := walker{src: w.src} // what is missing there is no gap in the answer
	last, stands, err := w.lastSnapshot(ctx, &back, journal.Range{From: begin, To: first.Seq - 1, Session: first.Session})
	if stands == nil || err != nil {
		return begin, err
	}
	// For their beginnings half of the session is looked through at most: else that
	// may cost more than it spares.
	r := journal.Range{From: begin + (last.Seq-begin)/2, To: last.Seq - 1, Session: first.Session, Types: event.NewSet(w.beginsBy)}
	oldest := mention{seq: last.Seq, time: last.Time}
	for part := range windows(r, least/4) {
		if len(stands) == 0 {
			break
		}
		for rec, err := range back.parsed(ctx, part) {
			if err != nil {
				return begin, err
			}
			if id, ok := w.begins(rec.As); ok && stands[id] {
				delete(stands, id)
				if rec.Seq < oldest.seq {
					oldest = mention{seq: rec.Seq, time: rec.Time}
				}
			}
		}
	}
	if len(stands) > 0 {
		return begin, nil
	}
	// Something may name a life before its beginning is told: tor answers at once what
	// stands, and events wait for each other. Then it is met midway.
	before, ok, err := back.firstOf(ctx, journal.Range{From: begin, To: oldest.seq, Since: oldest.time.Add(-measureFor), Session: first.Session})
	if err != nil || !ok {
		return begin, err
	}
	w.stood, w.stoodIn = last.Seq, first.Session
	return before.Seq, nil
}

// lastSnapshot returns the newest snapshot in r that lists such lives, and their
// IDs; nil if there is none.
func (w *census[L]) lastSnapshot(ctx context.Context, back *walker, r journal.Range) (last journal.Record, stands map[string]bool, err error) {
	r.Types = event.NewSet(event.JOURNAL)
	for part := range windows(r, cmp.Or(w.part.back, backLeast)/4) {
		for rec, err := range back.records(ctx, part) {
			if err != nil {
				return last, nil, err
			}
			parsed, _ := event.Parse(rec.Wire)
			ev, ok := parsed.(*event.Journal)
			if !ok || ev.What != event.WhatSnapshot {
				continue
			}
			if lines, found := snapshotLines(ev.Snapshot(), w.listing); found {
				last, stands = rec, map[string]bool{}
				for line := range lines {
					id, _, _ := strings.Cut(line, " ")
					stands[id] = true
				}
			}
		}
		if stands != nil {
			break
		}
	}
	return last, stands, nil
}

// windows yields parts of r, the last one first, of so many records, and each four
// times as long as the one behind it.
func windows(r journal.Range, last uint64) iter.Seq[journal.Range] {
	return func(yield func(journal.Range) bool) {
		for size, to := max(last, 1), r.To; to >= r.From && to > 0; size *= 4 {
			part := r
			part.From, part.To = max(r.From, to-min(to, size)+1), to
			if !yield(part) {
				return
			}
			to = part.From - 1
		}
	}
}

// met is told of each mention of a life that was not seen from its beginning on.
func (w *census[L]) met() {
	if w.stood != 0 && w.seq >= w.stood && w.session == w.stoodIn {
		w.fault = errBegunBefore
	}
}
