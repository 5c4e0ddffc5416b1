// Package query answers questions about the past from a journal's records:
// which circuits there were and what became of them, how much was carried
// when. One file per question.
//
// An answer is a stream of rows. Rows have the stable names of torjournal's
// JSON, a time is RFC 3339 in UTC to the microsecond, and what is unknown is
// absent, never zero. The same records give the same rows in the same order,
// however they lie in batches. An answer speaks of the journal as it was when
// the question was asked. Who asks says so in Go, or in words (Question): the
// command line and the control port ask the same ones.
//
// A circuit is told apart by session and ID: another life of the source uses
// the same IDs again. Records that the ring evicted while an answer was
// computed are returned as gaps beside it: the rows are then right but for
// what those records said.
//
// It does not print rows, choose time zones or read files; it judges what the
// events say, but keeps nothing.
package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Stamp is a time as rows have it: in JSON RFC 3339, UTC, always with six
// decimals, so that equal lengths sort as text. The zero Stamp is unknown.
type Stamp struct{ time.Time }

const stampFormat = `"2006-01-02T15:04:05.000000Z"`

// MarshalJSON gives the form described at Stamp.
func (s Stamp) MarshalJSON() ([]byte, error) {
	return s.UTC().AppendFormat(nil, stampFormat), nil
}

// source is what answers need of a journal.Reader.
type source interface {
	Records(ctx context.Context, r journal.Range) iter.Seq2[journal.Record, error] // as journal.Records
	Parsed(ctx context.Context, r journal.Range) iter.Seq2[*reading, error]        // as journal.Making
	Bounds(ctx context.Context) (journal.Bounds, error)
	Sessions(ctx context.Context) ([]journal.Session, error)
}

// stored is the source that reads and decodes what is stored.
type stored struct{ journal.Reader }

func (s stored) Records(ctx context.Context, r journal.Range) iter.Seq2[journal.Record, error] {
	return journal.Records(ctx, s.Reader, r)
}

// reading is a record and the event that it is; nil if its line cannot be read.
type reading = journal.Made[event.Event]

func (s stored) Parsed(ctx context.Context, r journal.Range) iter.Seq2[*reading, error] {
	return journal.Making(ctx, s.Reader, r, newParsing)
}

// parsing makes the events of records in place, and uses their room again: walks
// copy the words that they keep.
type parsing struct{ room event.Room }

func newParsing() journal.Maker[event.Event] { return new(parsing) }

// Make is journal.Maker's.
func (p *parsing) Make(rec *journal.Record) event.Event { return orNil(p.room.ParseInPlace(rec.Wire)) }

// MakeOf is journal.LineMaker's.
func (p *parsing) MakeOf(rec *journal.Record, line *journal.Line) event.Event {
	mold, ok := line.Form.Known.(*event.Mold)
	if !ok {
		mold = new(event.Mold)
		line.Form.Known = mold
	}
	return orNil(p.room.ParseAlike(mold, rec.Wire, line.Cells))
}

// Again is journal.Maker's.
func (p *parsing) Again() { p.room.Reset() }

// parse makes the event of a record in place.
func parse(rec *journal.Record) event.Event { return orNil(event.ParseInPlace(rec.Wire)) }

func orNil(ev event.Event, err error) event.Event {
	if err != nil {
		return nil
	}
	return ev
}

// walker reads records and keeps account of what is missing.
type walker struct {
	src  source
	gaps []journal.Gap // what was evicted before it was read, in order
}

// yieldEvery is after how many records an answer lets others go on: in the
// daemon it is computed beside what records and delivers.
const yieldEvery = 128

// records yields the records of r. Gaps are no errors here: they are kept.
func (w *walker) records(ctx context.Context, r journal.Range) iter.Seq2[journal.Record, error] {
	return kept(ctx, w, w.src.Records(ctx, r))
}

// parsed is records with what each record says, which is found out ahead where
// that can be.
func (w *walker) parsed(ctx context.Context, r journal.Range) iter.Seq2[*reading, error] {
	return kept(ctx, w, w.src.Parsed(ctx, r))
}

// kept yields what comes and keeps the gaps for w.
func kept[R any](ctx context.Context, w *walker, all iter.Seq2[R, error]) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		n := 0
		for rec, err := range all {
			if err == nil && ctx.Err() != nil {
				err = ctx.Err()
			} else if err != nil {
				var gap *journal.Gap
				if errors.As(err, &gap) {
					w.gaps = append(w.gaps, *gap)
					continue
				}
				err = fmt.Errorf("query: %w", err)
			}
			if n++; n%yieldEvery == 0 {
				runtime.Gosched()
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// inside reports whether t lies in the time of r.
func inside(r journal.Range, t time.Time) bool { return !t.Before(r.Since) && beforeEnd(r, t) }

// beforeEnd reports whether t lies before the end of r.
func beforeEnd(r journal.Range, t time.Time) bool { return r.Until.IsZero() || t.Before(r.Until) }

// firstOf returns the first record of r.
func (w *walker) firstOf(ctx context.Context, r journal.Range) (rec journal.Record, ok bool, err error) {
	for rec, err := range w.records(ctx, r) {
		return rec, err == nil, err
	}
	return rec, false, nil
}

// bounds returns the first and the last number that there are now, the last
// bounded by to unless that is 0. ok is false if there are none.
func (w *walker) bounds(ctx context.Context, to uint64) (first, last uint64, ok bool, err error) {
	b, err := w.src.Bounds(ctx)
	if err != nil {
		return 0, 0, false, fmt.Errorf("query: %w", err)
	}
	if last = b.Last; to != 0 {
		last = min(to, last)
	}
	return b.First, last, last > 0 && b.First <= last, nil
}

// sessions returns the sessions of the journal, in order.
func (w *walker) sessions(ctx context.Context) ([]journal.Session, error) {
	s, err := w.src.Sessions(ctx)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return s, nil
}
