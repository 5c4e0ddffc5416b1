package query

import (
	"context"
	"math"
	"slices"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// knownTimes keeps account of the times of which sessions tell what stood.
//
// A session is known from its first record to its last one. Not known is what
// lies between the end of the recording, or the loss of tor or of events, and the
// snapshot behind it. A recorder that was killed says no end: where another one
// begins, it is the last record before. And where the ring has given up the
// beginning of a session, nothing is known before its first snapshot.
type knownTimes struct {
	types  event.Set // those whose loss matters
	breaks []interruption
	told   map[uint64]int64 // by session: µs of the first snapshot
}

// interruption is a time of which a session does not tell.
type interruption struct {
	session uint64
	after   uint64 // it began with this record, where from is not known
	span           // from is MinInt64 where it is not known, to is MaxInt64 until it is over
}

func newKnownTimes(types event.Set) *knownTimes {
	return &knownTimes{types: types, told: map[uint64]int64{}}
}

// hear takes a JOURNAL record, in order.
func (k *knownTimes) hear(rec *journal.Record, ev *event.Journal) {
	at := rec.Time.UnixMicro()
	switch says := recordWordOf(rec, ev); says.turn {
	case recordBegins:
		k.interrupt(interruption{session: rec.Session, after: rec.Seq - 1, span: span{math.MinInt64, math.MaxInt64}})
	case recordEnds:
		k.interrupt(interruption{session: rec.Session, span: span{at, math.MaxInt64}})
	case recordLacks:
		if !slices.ContainsFunc(says.types, k.types.Has) {
			return
		}
		if !says.since.IsZero() {
			at = min(at, says.since.UnixMicro())
		}
		k.interrupt(interruption{session: rec.Session, span: span{at, math.MaxInt64}})
	case recordStands:
		if _, ok := k.told[rec.Session]; !ok {
			k.told[rec.Session] = at
		}
		if n := len(k.breaks); n > 0 && k.breaks[n-1].session == rec.Session && k.breaks[n-1].to == math.MaxInt64 {
			k.breaks[n-1].to = at
		}
	}
}

// interrupt begins one, unless it is in one already.
func (k *knownTimes) interrupt(i interruption) {
	if n := len(k.breaks); n == 0 || k.breaks[n-1].session != i.session || k.breaks[n-1].to != math.MaxInt64 {
		k.breaks = append(k.breaks, i)
	}
}

// times returns what is known of each session within r, whose To is a number.
func (k *knownTimes) times(ctx context.Context, src source, r journal.Range) (map[uint64]spans, error) {
	w := walker{src: src} // who has read the records has told the gaps
	first, _, ok, err := w.bounds(ctx, r.To)
	if !ok || err != nil {
		return nil, err
	}
	all, err := w.sessions(ctx)
	if err != nil {
		return nil, err
	}
	known := map[uint64]spans{}
	for i, s := range all {
		last := r.To
		if i+1 < len(all) {
			last = min(last, all[i+1].First-1)
		}
		begin, ok, err := w.firstOf(ctx, journal.Range{From: max(s.First, first), To: last})
		if err != nil {
			return nil, err
		}
		if !ok || r.Session != 0 && s.ID != r.Session {
			continue
		}
		end, err := w.timeOf(ctx, last, begin.Time)
		if err != nil {
			return nil, err
		}
		life := spans{{begin.Time.UnixMicro(), end.UnixMicro()}}
		var holes []span
		for _, b := range k.breaks {
			if b.session != s.ID {
				continue
			}
			if b.from == math.MinInt64 {
				began, err := w.timeOf(ctx, b.after, begin.Time)
				if err != nil {
					return nil, err
				}
				b.from = began.UnixMicro()
			}
			holes = append(holes, b.span)
		}
		if s.First < first {
			told, ok := k.told[s.ID]
			if !ok {
				told = math.MaxInt64
			}
			holes = append(holes, span{math.MinInt64, told})
		}
		known[s.ID] = life.and(spans{spanOf(r)}).without(unite(holes))
	}
	return known, nil
}

// timeOf returns the time of one record, or another one if it is gone.
func (w *walker) timeOf(ctx context.Context, seq uint64, otherwise time.Time) (time.Time, error) {
	rec, ok, err := w.firstOf(ctx, journal.Range{From: seq, To: seq})
	if !ok || err != nil {
		return otherwise, err
	}
	return rec.Time, nil
}
