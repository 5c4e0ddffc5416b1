// Package replay is about time: it tells a range of records again, as fast as
// the reader takes them or at the pace at which they came, and then goes on
// with the present.
//
// It promises that records come in the order of their sequence, once each;
// that what the ring evicted before it was read is told as a gap in its place;
// and that nothing is lost or repeated where history becomes the present, for
// both are one walk along the sequence. It holds one batch of records at a
// time, however long the range is.
//
// It does not print, parse events or answer questions about them.
package replay

import (
	"context"
	"fmt"
	"math"
	"time"

	"torjournal/journal"
)

// Options say what Play plays and how. The zero value plays everything that
// is in the journal, oldest first, as fast as possible.
type Options struct {
	Range   journal.Range
	Keep    func(*journal.Record) bool // which records of Range; nil: all of them
	Last    int                        // only the newest so many of those that there are at the start; 0: all
	Reverse bool                       // newest first; not with Follow or Speed
	Follow  bool                       // go on with what comes, until ctx ends or Range does
	Speed   float64                    // 1: at the pace of the records' own times, 10: ten times faster; 0: at once

	now   func() time.Time                           // tests; default time.Now
	sleep func(context.Context, time.Duration) error // tests; default a timer
	each  each                                       // tests; default Stored.Each
}

// each calls visit for a batch's records of a range until visit returns false.
type each func(st journal.Stored, r journal.Range, visit func(*journal.Record) bool) error

// Play calls emit for every record that opt selects and gap for every run of
// records that were evicted before they could be read. A range that names no
// first number begins with what there is: what went before is no gap. Records
// are shared: emit may keep one but nobody may change its bytes.
//
// Without Follow it ends with the newest record that there was when it
// started. With Follow it ends with ctx's error, or without one where Range
// ends: after number To, or at the time Until. An error of emit or gap ends it
// and is returned as it is.
func Play(ctx context.Context, rd journal.Reader, opt Options, emit func(journal.Record) error, gap func(journal.Gap) error) error {
	if err := opt.check(); err != nil {
		return err
	}
	b, err := rd.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	p := newPlayer(rd, opt, emit, gap)
	if !opt.Follow {
		if b.Last == 0 {
			return nil
		}
		p.r.To = endBy(p.r.To, b.Last)
	}
	if opt.Reverse {
		return p.newestFirst(ctx, endBy(p.r.To, b.Last))
	}
	if opt.Last > 0 {
		if err := p.skipToLast(ctx, endBy(p.r.To, b.Last), opt.Last); err != nil {
			return err
		}
	}
	return p.play(ctx)
}

// check refuses what cannot be meant.
func (o *Options) check() error {
	switch {
	case o.Speed < 0 || math.IsNaN(o.Speed) || math.IsInf(o.Speed, 0):
		return fmt.Errorf("replay: speed %v: write a number above 0, for example 10 for ten times faster", o.Speed)
	case o.Reverse && o.Follow:
		return fmt.Errorf("replay: newest first cannot go on with what comes: leave one of the two away")
	case o.Reverse && o.Speed != 0:
		return fmt.Errorf("replay: newest first has no pace: leave the speed away")
	case o.Last < 0:
		return fmt.Errorf("replay: the last %d records: write a number from 1 up", o.Last)
	}
	return nil
}

// endBy returns the lower of two last numbers; to 0 is no bound.
func endBy(to, last uint64) uint64 {
	if to == 0 {
		return last
	}
	return min(to, last)
}
