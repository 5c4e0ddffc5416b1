package query

import (
	"context"
	"math"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Sums of bandwidth outlive the records. Where a minute, or an hour if the
// steps are whole hours, lies in the range as a whole, its sum is taken, and
// the records that are in it are not read: the answer is the same, and is had
// where the records are gone. What is in no sum is read: the newest records,
// the broken minutes at the ends of the range, and what was never summed.

// rollupReader is a source that has sums.
type rollupReader interface {
	Rollups(ctx context.Context, since, until time.Time) (journal.StoredRollups, error)
}

// Rollups is journal.File's, of a Reader that has them.
func (s stored) Rollups(ctx context.Context, since, until time.Time) (journal.StoredRollups, error) {
	if rd, ok := s.Reader.(rollupReader); ok {
		return rd.Rollups(ctx, since, until)
	}
	return journal.StoredRollups{}, nil
}

// span is a range of time, in µs since 1970: from ≤ t < to. The outermost
// numbers are no bound.
type span struct{ from, to int64 }

func spanOf(r journal.Range) span {
	s := span{math.MinInt64, math.MaxInt64}
	if !r.Since.IsZero() {
		s.from = micros(r.Since)
	}
	if !r.Until.IsZero() {
		s.to = micros(r.Until)
	}
	return s
}

// micros returns the first µs since 1970 that is not before t.
func micros(t time.Time) int64 {
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return us
}

func (s span) empty() bool { return s.from >= s.to }

// holds reports whether all of a step lies in s.
func (s span) holds(start time.Time, length time.Duration) bool {
	us := start.UnixMicro()
	return us >= s.from && us+length.Microseconds() <= s.to
}

// whole returns the part of s that is whole steps and not before a time.
func (s span) whole(step time.Duration, begin time.Time) span {
	unit := step.Microseconds()
	if s.to < 0 || s.from > math.MaxInt64-unit {
		return span{} // nothing of it is in any sum
	}
	out := span{ceil(max(s.from, begin.UnixMicro()), unit), s.to}
	if s.to != math.MaxInt64 {
		out.to = ceil(s.to-unit+1, unit)
	}
	if out.empty() {
		return span{}
	}
	return out
}

// without returns what is left of s.
func (s span) without(o span) (rest []span) {
	if o.empty() || o.to <= s.from || o.from >= s.to {
		return []span{s}
	}
	for _, part := range []span{{s.from, o.from}, {o.to, s.to}} {
		if !part.empty() {
			rest = append(rest, part)
		}
	}
	return rest
}

func (s span) limit(r journal.Range) journal.Range {
	r.Since, r.Until = time.Time{}, time.Time{}
	if s.from != math.MinInt64 {
		r.Since = time.UnixMicro(s.from).UTC()
	}
	if s.to != math.MaxInt64 {
		r.Until = time.UnixMicro(s.to).UTC()
	}
	return r
}

// ceil returns the least multiple of unit that is not below n.
func ceil(n, unit int64) int64 {
	m := n % unit
	if m > 0 {
		m -= unit
	}
	return n - m
}

// sums adds what the kept sums have of r, and returns what is to be read
// beside. asked is r as it was asked for, b what the journal holds.
func (w *bandwidthWalk) sums(ctx context.Context, asked, r journal.Range, b journal.Bounds) (rest []journal.Range, err error) {
	r.Types = event.NewSet(event.BW)
	rd, ok := w.src.(rollupReader)
	if !ok || asked.From > 1 || asked.To != 0 || asked.Session != 0 {
		return []journal.Range{r}, nil // sums know no numbers and no sessions
	}
	kept, err := rd.Rollups(ctx, r.Since, r.Until)
	if err != nil {
		return nil, err
	}
	ro, err := kept.Decode()
	if err != nil {
		return nil, err
	}
	if ro.Last == 0 {
		return []journal.Range{r}, nil
	}
	gone := b.FirstTime // what is before has no records
	if n := len(ro.Hours); b.Last == 0 && n > 0 {
		gone = ro.Hours[n-1].Start.Add(time.Hour)
	}
	lost := b.First > ro.First || b.Last == 0
	all := spanOf(r)
	w.hint(ro, all, lost, gone)
	if w.step%60 != 0 {
		return []journal.Range{r}, nil
	}
	unread := []span{all}
	if w.step%3600 == 0 {
		unread = w.takeWhole(unread, ro.Hours, time.Hour, ro.HoursFrom, ro.Holes, lost, gone)
	}
	unread = w.takeWhole(unread, ro.Minutes, time.Minute, ro.MinutesFrom, ro.Holes, lost, gone)
	if lost && all.from < gone.UnixMicro() {
		w.tellHoles(ro.Holes, unread, gone)
	}
	for _, s := range unread {
		part := s.limit(r)
		part.From, part.To = max(ro.First, b.First), min(ro.Last, r.To)
		rest = append(rest, part)
	}
	if ro.First > 1 {
		part := r
		part.To = min(ro.First-1, r.To)
		rest = append(rest, part)
	}
	if r.From = ro.Last + 1; r.From <= r.To {
		rest = append(rest, r)
	}
	return rest, nil
}

// takeWhole adds the sums of a step that lie in spans, but for those that were
// damaged, and returns what of the spans they do not tell.
func (w *bandwidthWalk) takeWhole(spans []span, sums []journal.Rollup, length time.Duration, from time.Time, holes []journal.RollupHole, lost bool, gone time.Time) (rest []span) {
	for _, s := range spans {
		parts := []span{s.whole(length, from)}
		for _, h := range holes {
			if h.Step == length {
				parts = each(parts, span{h.From.UnixMicro(), h.To.UnixMicro()})
			}
		}
		left := []span{s}
		for _, part := range parts {
			w.take(sums, length, part, lost, gone)
			left = each(left, part)
		}
		rest = append(rest, left...)
	}
	return rest
}

// each returns what is left of spans without o.
func each(spans []span, o span) (rest []span) {
	for _, s := range spans {
		rest = append(rest, s.without(o)...)
	}
	return rest
}

// tellHoles finds the sums that were damaged and that nothing stands for: the
// records from before gone are gone too.
func (w *bandwidthWalk) tellHoles(holes []journal.RollupHole, unread []span, gone time.Time) {
	for _, h := range holes {
		untold := h.Step == 0
		for _, s := range unread {
			untold = untold || h.From.Before(gone) && s.from < h.To.UnixMicro() && h.From.UnixMicro() < s.to
		}
		if untold {
			w.answer.Holes = append(w.answer.Holes, h)
		}
	}
}

// take adds the sums that lie in s.
func (w *bandwidthWalk) take(sums []journal.Rollup, length time.Duration, s span, lost bool, gone time.Time) {
	for i := range sums {
		r := &sums[i]
		if !s.holds(r.Start, length) {
			continue
		}
		w.addSum(r.Start, stepSum{int64(r.Seconds), r.Read, r.Written, r.PeakRead, r.PeakWritten})
		if lost && r.Start.Before(gone) {
			w.answer.SumsBefore = gone
		}
	}
}

// hint finds out whether longer steps would tell of times whose records are
// gone and of which the steps asked for can say nothing.
func (w *bandwidthWalk) hint(ro journal.Rollups, all span, lost bool, gone time.Time) {
	older := func(sums []journal.Rollup, length time.Duration, before time.Time) bool {
		for i := range sums {
			if all.holds(sums[i].Start, length) && sums[i].Start.Before(before) {
				return true
			}
		}
		return false
	}
	switch {
	case !lost:
	case w.step%60 != 0 && older(ro.Minutes, time.Minute, gone):
		w.answer.Longer, w.answer.LongerBefore = time.Minute, gone
	case w.step%3600 != 0:
		before := gone
		if ro.MinutesFrom.Before(gone) {
			before = ro.MinutesFrom
		}
		if older(ro.Hours, time.Hour, before) {
			w.answer.Longer, w.answer.LongerBefore = time.Hour, before
		}
	}
}
