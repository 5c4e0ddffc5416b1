package query

import (
	"context"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// What a row of a summary tells, in the order of the rows.
const (
	SummaryRange     = "range"     // from when to when: the first row
	SummaryBandwidth = "bandwidth" // what was carried in all
	SummaryStep      = "step"      // what a step of time carried
	SummaryCircuits  = "circuits"  // how many were built and failed
	SummaryReason    = "reason"    // why they failed, the most frequent ones
	SummaryLink      = "link"      // between whom, likewise
	SummaryOutages   = "outages"   // how many times tor could not build circuits, or an onion service was not reached
	SummaryOutage    = "outage"    // one of the last ones
	SummaryGuards    = "guards"    // what became of entry guards
	SummaryGuard     = "guard"     // one of the last changes of them
	SummaryWarnings  = "warnings"  // how many lines tor logged as WARN or ERR
	SummaryWarning   = "warning"   // those of a kind, errors and the most frequent ones first
	SummaryGaps      = "gaps"      // how many times the record does not tell of
	SummaryGap       = "gap"       // one of the last ones
)

// Summary is one row of what happened in a range.
type Summary struct {
	What string `json:"what"` // see SummaryRange

	First    Stamp  `json:"first,omitzero"`     // of range: arrival of its first record; of warning: of the first such line
	Last     Stamp  `json:"last,omitzero"`      // likewise of the last one
	Records  uint64 `json:"records,omitempty"`  // of range: from the first to the last one
	Sessions int    `json:"sessions,omitempty"` // of range: that they belong to
	Version  string `json:"version,omitempty"`  // of range: tor's in the last of them

	Count  *int           `json:"count,omitempty"`        // of circuits, outages, guards (changes), warnings (lines), warning, gaps
	Built  *int           `json:"built,omitempty"`        // of circuits: those that did not fail as well
	Fails  *int           `json:"failed,omitempty"`       // of circuits: whatever came before or after it
	Late   *int           `json:"failed_late,omitempty"`  // of the circuits that failed: those that were built afterwards; they took too long, and tor went on to measure how long
	Broken *int           `json:"failed_built,omitempty"` // of the circuits that failed: those that had been built before; they failed when tor extended them to serve something else
	Kinds  *int           `json:"kinds,omitempty"`        // of warnings
	By     map[string]int `json:"by,omitempty"`           // of guards: changes by their word

	LengthMS *int64 `json:"length_ms,omitempty"` // of outages: all together within the range, in whole ms; they may lie over each other

	Severity string `json:"severity,omitempty"` // of warning: WARN or ERR
	Text     string `json:"text,omitempty"`     // of warning: the first such line

	Total   *BandwidthTotal `json:"bandwidth,omitempty"` // of bandwidth, as `query bandwidth --total` tells it
	Step    *Bandwidth      `json:"step,omitempty"`      // of step, as `query bandwidth` tells it
	Failure *Failure        `json:"failure,omitempty"`   // of reason and link, as `query failures` tells it
	Outage  *Outage         `json:"outage,omitempty"`    // of outage, as `query outages` tells it
	Guard   *GuardTurn      `json:"guard,omitempty"`     // of guard
	Gap     *Hole           `json:"gap,omitempty"`       // of gap

	place Place
}

// Place is Row's.
func (s *Summary) Place() Place { return s.place }

func (s *Summary) stand(at Place) { s.place = at }

// summaryTypes are the events that a summary takes beside circuits and bandwidth.
var summaryTypes = []event.Type{event.WARN, event.ERR, event.GUARD}

// Summarize calls emit for what happened in r, by kinds of rows in the order of
// the constants. There is no row if there are no records in it. Which circuits
// are counted is as with Circuits: those of r; bandwidth is as with Bandwidths, in
// steps of which some tens make the range. An error of emit ends it and is
// returned as it is.
//
// It reads circuits, warnings and changes of guards in one walk, outages in
// another, and of the bandwidth the sums that are kept. It holds sums and the
// circuits that stand.
func Summarize(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Summary) error) ([]journal.Gap, error) {
	return summarize(ctx, stored{rd}, r, part, emit)
}

func summarize(ctx context.Context, src source, r journal.Range, part Part, emit func(*Summary) error) ([]journal.Gap, error) {
	s := summary{walker: walker{src: src}, r: r, part: part}
	if err := s.read(ctx); err != nil {
		return s.gaps, err
	}
	return s.gaps, inOrder(s.rows, part, emit)
}

// summary gathers its rows.
type summary struct {
	walker
	r    journal.Range
	part Part
	rows []*Summary

	evicted bool // records were
}

func (s *summary) add(row Summary) { s.rows = append(s.rows, &row) }

func (s *summary) read(ctx context.Context) error {
	from, to, ok, err := s.bounds(ctx, s.r.To)
	if !ok || err != nil {
		return err
	}
	s.r.To, s.evicted = to, from > 1
	first, ok, err := s.firstOf(ctx, s.r)
	if !ok || err != nil {
		return err
	}
	if err := s.span(ctx, first); err != nil {
		return err
	}
	if err := s.bandwidth(ctx); err != nil {
		return err
	}
	c := newChart(s.src, s.r, Part{Memory: s.part.Memory}, summaryTypes, ByReason, ByLink)
	if err := c.read(ctx); err != nil {
		return err
	}
	s.gaps = c.walk.gaps
	s.circuits(c)
	if err := s.outages(ctx); err != nil {
		return err
	}
	s.guards(c)
	s.warnings(c)
	return s.holes(ctx, c)
}

// span tells from when to when the range is.
func (s *summary) span(ctx context.Context, first journal.Record) error {
	end, err := s.end(ctx, s.r, first.Seq)
	if err != nil {
		return err
	}
	last, ok, err := s.firstOf(ctx, journal.Range{From: end, To: end})
	if err != nil {
		return err
	}
	if !ok || last.Time.Before(first.Time) {
		last = first // the clock was put back
	}
	row := Summary{What: SummaryRange, First: Stamp{first.Time}, Last: Stamp{last.Time}, Records: max(last.Seq, first.Seq) - first.Seq + 1}
	sessions, err := s.sessions(ctx)
	if err != nil {
		return err
	}
	for _, one := range sessions {
		if one.ID >= first.Session && one.ID <= max(last.Session, first.Session) && one.ID > 0 {
			row.Sessions++
			row.Version = one.Source.Version
		}
	}
	s.add(row)
	return nil
}

// steps are the lengths of those that a summary may have. From a minute on they
// are multiples of it, and so of what is kept as sums.
var steps = []time.Duration{
	time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// mostSteps: a screen has as many columns.
const mostSteps = 120

// stepOf returns the length of the steps of a range.
func stepOf(length time.Duration) time.Duration {
	for _, step := range steps {
		if length/step <= mostSteps {
			return step
		}
	}
	day := steps[len(steps)-1]
	return day * max(1, (length/mostSteps+day-1)/day)
}

// keptSums is how far back sums of bandwidth reach where the records are gone.
const keptSums = 400 * 24 * time.Hour

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bandwidth tells what was carried.
func (s *summary) bandwidth(ctx context.Context) error {
	begin, end := s.rows[0].First.Time, s.rows[0].Last.Time
	if t := s.r.Since; t.Before(begin) && s.evicted {
		begin = later(t, end.Add(-keptSums))
	}
	var sum BandwidthSum
	var all []*Summary
	answer, err := bandwidths(ctx, s.src, s.r, stepOf(end.Sub(begin)), Part{Memory: s.part.Memory}, func(b *Bandwidth) error {
		sum.Add(b)
		all = append(all, &Summary{What: SummaryStep, Step: b})
		return nil
	})
	if err != nil {
		return err
	}
	if total, ok := sum.Total(); ok && total.Seconds > 0 {
		total.Unrecorded = answer.Unrecorded
		s.add(Summary{What: SummaryBandwidth, Total: &total})
		s.rows = append(s.rows, all...)
	}
	return nil
}

// circuits tells what became of them.
func (s *summary) circuits(c *chart) {
	reasons := c.circuits[ByReason]
	if reasons.total == 0 {
		return
	}
	s.add(Summary{What: SummaryCircuits, Count: &reasons.total, Built: &c.built, Fails: &reasons.failed, Late: &c.late, Broken: &c.broken})
	for _, group := range []struct{ what, by string }{{SummaryReason, ByReason}, {SummaryLink, ByLink}} {
		rows := c.circuits[group.by].rows()
		for _, row := range rows[:min(len(rows), shownParts)] {
			s.add(Summary{What: group.what, Failure: row})
		}
	}
}

// outages tells when nothing went. Where there were none a row says so.
func (s *summary) outages(ctx context.Context) error {
	n, length := 0, int64(0)
	var last []*Summary
	begin, end := s.rows[0].First.Time, s.rows[0].Last.Time
	if _, err := outages(ctx, s.src, s.r, Part{Memory: s.part.Memory}, func(o *Outage) error {
		from, to := later(o.Begin.Time, begin), end
		if !o.End.IsZero() && o.End.Before(end) {
			to = o.End.Time
		}
		n++
		length += max(0, to.Sub(from).Milliseconds())
		last = keepLast(last, &Summary{What: SummaryOutage, Outage: o})
		return nil
	}); err != nil {
		return err
	}
	s.add(Summary{What: SummaryOutages, Count: &n, LengthMS: &length})
	s.rows = append(s.rows, last...)
	return nil
}

// guards tells what became of them.
func (s *summary) guards(c *chart) {
	n := 0
	for _, k := range c.turns.counts {
		n += k
	}
	if n == 0 {
		return
	}
	s.add(Summary{What: SummaryGuards, Count: &n, By: c.turns.counts})
	for _, t := range c.turns.last {
		s.add(Summary{What: SummaryGuard, Guard: t})
	}
}

// warnings tells what tor logged. Where it warned of nothing a row says so.
func (s *summary) warnings(c *chart) {
	kinds := append(c.seen.of(event.ERR, ""), c.seen.of(event.WARN, "")...)
	lines, n := 0, len(kinds)
	for _, k := range kinds {
		lines += k.count
	}
	s.add(Summary{What: SummaryWarnings, Count: &lines, Kinds: &n})
	for _, k := range kinds[:min(n, shownParts)] {
		_, text, _ := strings.Cut(strings.TrimPrefix(k.words, "650 "), " ")
		s.add(Summary{What: SummaryWarning, Severity: string(k.of), Count: &k.count, Text: text, First: Stamp{k.first.time}, Last: Stamp{k.last.time}})
	}
}

// holes tells of what there is no record. Where there is none a row says so.
func (s *summary) holes(ctx context.Context, c *chart) error {
	if c.evicted {
		evicted := &Hole{To: Stamp{c.stored.FirstTime}, Cause: HoleEvicted, Record: c.stored.First}
		c.holes.count++
		c.holes.last = append([]*Hole{evicted}, c.holes.last[max(0, len(c.holes.last)-shownParts+1):]...)
	}
	s.add(Summary{What: SummaryGaps, Count: &c.holes.count})
	for _, h := range c.holes.last {
		if h.before > 0 {
			rec, ok, err := s.firstOf(ctx, journal.Range{From: h.before, To: h.before})
			if err != nil {
				return err
			}
			if ok {
				h.follows(&rec)
			}
		}
		s.add(Summary{What: SummaryGap, Gap: h})
	}
	return nil
}
