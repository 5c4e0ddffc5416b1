package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// What a row of a comparison is about.
const (
	DiffRange    = "range"    // what the two ranges are: the first row
	DiffVersion  = "version"  // of tor
	DiffFailures = "failures" // circuits that failed
	DiffBuilds   = "builds"   // how long circuits took to build
	DiffRead     = "read"     // bytes read in a second
	DiffWritten  = "written"  // likewise written
	DiffReason   = "reason"   // circuits that failed for one reason
	DiffGuard    = "guard"    // circuits over a first hop that only one of the ranges has
)

// Verdicts of a comparison. Only a change that chance makes in less than one of
// twenty comparisons is one (P adjusted below 0.05).
const (
	Rose    = "rose"    // it is greater in B
	Fell    = "fell"    // it is less in B
	NoSign  = "no sign" // of a change: which does not say that there is none
	TooFew  = "too few" // to tell anything
	Same    = "same"    // versions
	Changed = "changed" // likewise
	New     = "new"     // in B only
	Gone    = "gone"    // in A only
)

// Tests by which rows are compared.
const (
	FisherTest     = "fisher"              // exact test of two rates, two-sided
	RankTest       = "mann-whitney"        // rank test, two-sided; p of the normal distribution, ties counted in
	ExactRankTest  = "mann-whitney exact"  // p counted out: there are few values
	SerialRankTest = "mann-whitney serial" // of neighbours that have to do with each other: the variance is greater by (1+r)/(1-r)
)

// significant is what an adjusted p must be below for a change to be one.
const significant = 0.05

// Difference is one row: one thing in the two ranges.
type Difference struct {
	What    string `json:"what"`              // see DiffRange
	Name    string `json:"name,omitempty"`    // of a reason, with the remote reason behind a slash, or a guard
	A       Side   `json:"a"`                 // the first range
	B       Side   `json:"b"`                 // the second one
	Verdict string `json:"verdict,omitempty"` // see Rose

	Test  string   `json:"test,omitempty"`  // by which it was compared: see FisherTest
	P     *float64 `json:"p,omitempty"`     // how likely chance makes as great a difference
	PAll  *float64 `json:"p_all,omitempty"` // the same with the number of tests of this answer taken into account (Holm)
	Above *float64 `json:"above,omitempty"` // of builds, read and written: how likely one of B is above one of A

	StepS  int64    `json:"step_s,omitempty"` // of read and written: length of the steps that are compared
	Serial *float64 `json:"serial,omitempty"` // likewise: correlation of a step with the next one

	place Place
}

// Side is one range in a Difference.
type Side struct {
	Since    Stamp    `json:"since,omitzero"`     // of range: as it was asked for
	Until    Stamp    `json:"until,omitzero"`     // likewise
	Session  uint64   `json:"session,omitempty"`  // likewise, if it is one session
	Sessions *int     `json:"sessions,omitempty"` // of range: of which there are records
	Seconds  *int64   `json:"seconds,omitempty"`  // of range: of which the bandwidth is known
	Versions []string `json:"versions,omitempty"` // of version, in the order in which they ran

	Circuits *int     `json:"circuits,omitempty"`  // of range, failures, reason and guard: that were launched in it; of builds: with a build time
	Failed   *int     `json:"failed,omitempty"`    // of them
	Rate     *float64 `json:"rate,omitempty"`      // failed by circuits, four decimals
	RateLow  *float64 `json:"rate_low,omitempty"`  // 95 % bounds of it, by Wilson
	RateHigh *float64 `json:"rate_high,omitempty"` // likewise

	MedianMS *int64 `json:"median_ms,omitempty"` // of builds
	P90MS    *int64 `json:"p90_ms,omitempty"`    // likewise: nine of ten took no longer

	Steps  *int    `json:"steps,omitempty"`  // of read and written: that are known for a half at least
	Mean   *uint64 `json:"mean,omitempty"`   // bytes a second, over the seconds that are known
	Median *uint64 `json:"median,omitempty"` // of the steps' means
}

// Place is Row's.
func (d *Difference) Place() Place { return d.place }

func (d *Difference) stand(at Place) { d.place = at }

// Diff calls emit for what there is to say of two ranges beside each other. There
// is no row if neither has records. A circuit counts for the range in which it
// was launched, whatever became of it later; one whose launch was not recorded
// does not count, since it is known only for having lasted until it was seen.
// Build times are those that Builds counts. Ranges may not overlap: what is in both says nothing about what changed.
// An error of emit ends it and is returned as it is.
//
// The tests take circuits for independent of each other, which they are not
// quite: one outage fails many. Seconds are not independent at all, so that the
// bandwidth is compared by means of longer steps, and by what these still have to
// do with each other.
//
// It keeps in memory the build time of each circuit, the circuits that stand and
// the steps.
func Diff(ctx context.Context, rd journal.Reader, to uint64, a, b filter.Span, part Part, emit func(*Difference) error) ([]journal.Gap, error) {
	return diff(ctx, stored{rd}, to, a, b, part, emit)
}

func diff(ctx context.Context, src source, to uint64, a, b filter.Span, part Part, emit func(*Difference) error) ([]journal.Gap, error) {
	w := walker{src: src}
	sessions, err := w.sessions(ctx)
	if err != nil || len(sessions) == 0 {
		return nil, err
	}
	var sides [2]*diffSide
	for i, span := range []filter.Span{a, b} {
		r, err := spanRange(span, to, sessions)
		if err != nil {
			return nil, &AskedError{fmt.Errorf("%s: %w", sideNames[i], err)}
		}
		sides[i] = &diffSide{r: r}
	}
	if both, err := w.overlap(ctx, sides[0].r, sides[1].r); err != nil {
		return w.gaps, err
	} else if both {
		return w.gaps, &AskedError{errors.New("the ranges A and B overlap: what is in both says nothing about what changed; let one end where the other begins, as 2d..1d and 1d..now do")}
	}
	held := 0
	for _, s := range sides {
		err := s.read(ctx, src, part, held)
		if w.gaps = append(w.gaps, s.gaps...); err != nil {
			return w.gaps, err
		}
		held += s.size()
	}
	steps, gaps, err := bandwidthSides(ctx, src, sides, part, held)
	if w.gaps = append(w.gaps, gaps...); err != nil {
		return w.gaps, err
	}
	if sides[0].sessions+sides[1].sessions == 0 && steps.sides[0].seconds+steps.sides[1].seconds == 0 {
		return w.gaps, nil
	}
	return w.gaps, inOrder(differences(sides[0], sides[1], steps), part, emit)
}

// sideNames are those of the two ranges.
var sideNames = [2]string{"A", "B"}

// spanRange returns the range that a span is in a journal with these sessions. One that
// begins behind record to is not there yet; 0: all are.
func spanRange(span filter.Span, to uint64, sessions []journal.Session) (r journal.Range, err error) {
	r = journal.Range{To: to, Since: span.Since, Until: span.Until}
	if span.Session != "" {
		later := func(s journal.Session) bool { return to != 0 && s.First > to }
		r.Session, err = filter.Session(span.Session, slices.DeleteFunc(slices.Clone(sessions), later))
	}
	return r, err
}

// overlap reports whether something may lie in both: a moment of two ranges of time,
// a record of a session and a range of time. When a session was, its records alone
// say: an imported one lies before those that were recorded earlier.
func (w *walker) overlap(ctx context.Context, a, b journal.Range) (bool, error) {
	switch {
	case a.Session != 0 && b.Session != 0:
		return a.Session == b.Session, nil
	case a.Session != 0:
		a, b = b, a
		fallthrough
	case b.Session != 0:
		a.Session = b.Session
		_, ok, err := w.firstOf(ctx, a)
		return ok, err
	}
	return beforeEnd(b, a.Since) && beforeEnd(a, b.Since), nil
}

// diffSide is what is known of one of the ranges.
type diffSide struct {
	r        journal.Range
	gaps     []journal.Gap
	sessions int
	versions []string

	circuits, failed int
	reasons          map[endReasons]int
	guards           map[string]int // circuits over a first hop, as names knows it
	names            relayNames
	builds           buildBook
}

// endReasons are why a circuit failed, as tor wrote it.
type endReasons struct{ reason, remote string }

func (s *diffSide) size() int {
	return (len(s.reasons)+len(s.guards)+len(s.names))*entryBytes + len(s.builds.times)*2*8
}

// read counts the circuits and the sessions of the range. What is held beside
// it, in bytes, counts too.
func (s *diffSide) read(ctx context.Context, src source, part Part, held int) error {
	s.reasons, s.guards, s.names = map[endReasons]int{}, map[string]int{}, relayNames{}
	s.builds.learning = map[uint64][]learningSpan{}
	gaps, err := sessions(ctx, src, s.r, Part{}, func(row *Session) error {
		s.sessions++
		if row.Version != "" && !slices.Contains(s.versions, row.Version) {
			s.versions = append(s.versions, row.Version)
		}
		return nil
	})
	if s.gaps = gaps; err != nil {
		return err
	}
	w := newCircuitCount(src, s.r, part, s.circuit, event.BUILDTIMEOUT_SET)
	w.overhear(func(rec *journal.Record, e event.Event) {
		if ev, ok := e.(*event.BuildTimeoutSet); ok {
			s.builds.timeout(rec, ev, false)
		}
	})
	beside := w.beside
	w.beside = func() int { return beside() + s.size() + held }
	err = w.count(ctx)
	s.gaps = append(s.gaps, w.gaps...)
	slices.Sort(s.builds.times)
	return err
}

func (s *diffSide) circuit(l *life) {
	if l.launched.IsZero() || !inside(s.r, l.launched) {
		return
	}
	s.circuits++
	if l.failed {
		s.failed++
		s.reasons[endReasons{l.reason, l.remoteReason}]++
	}
	if len(l.path) > 0 {
		s.guards[s.names.key(l.path[0])]++
	}
	s.builds.circuit(l)
}

// rate returns the side of a row about so many of the range's circuits.
func (s *diffSide) rate(failed int) Side {
	side := Side{Circuits: &s.circuits, Failed: &failed}
	if s.circuits > 0 {
		low, high := wilson(failed, s.circuits)
		side.Rate, side.RateLow, side.RateHigh = pointer(decimals(float64(failed)/float64(s.circuits))), pointer(decimals(low)), pointer(decimals(high))
	}
	return side
}

// rate is Rate as it is: of many circuits two that differ may have the same four
// decimals.
func (s *Side) rate() float64 { return float64(*s.Failed) / float64(*s.Circuits) }

func pointer[T any](v T) *T { return &v }

// differences returns the rows.
func differences(a, b *diffSide, steps bandwidthDiff) []*Difference {
	about := &Difference{What: DiffRange, A: a.about(), B: b.about()}
	about.A.Seconds, about.B.Seconds = &steps.sides[0].seconds, &steps.sides[1].seconds
	rows := []*Difference{about}
	if len(a.versions)+len(b.versions) > 0 {
		version := &Difference{What: DiffVersion, Verdict: Same, A: Side{Versions: a.versions}, B: Side{Versions: b.versions}}
		switch {
		case len(a.versions) == 0 || len(b.versions) == 0:
			version.Verdict = TooFew
		case !slices.Equal(a.versions, b.versions):
			version.Verdict = Changed
		}
		rows = append(rows, version)
	}
	rows = append(rows, rateDiff(DiffFailures, "", a, b, a.failed, b.failed), buildDiff(a, b), steps.row(DiffRead), steps.row(DiffWritten))
	reasons := reasonDiffs(a, b)
	rows = append(rows, reasons...)
	judge(rows)
	slices.SortFunc(reasons, func(x, y *Difference) int {
		return cmp.Or(cmp.Compare(*x.PAll, *y.PAll), cmp.Compare(*x.P, *y.P),
			cmp.Compare(*y.A.Failed+*y.B.Failed, *x.A.Failed+*x.B.Failed), strings.Compare(x.Name, y.Name))
	})
	rows = append(rows[:len(rows)-len(reasons)], reasons...)
	return append(rows, guardDiffs(a, b)...)
}

func (s *diffSide) about() Side {
	return Side{Since: Stamp{s.r.Since}, Until: Stamp{s.r.Until}, Session: s.r.Session, Sessions: &s.sessions, Circuits: &s.circuits}
}

// rateDiff compares how many circuits failed.
func rateDiff(what, name string, a, b *diffSide, failedA, failedB int) *Difference {
	d := &Difference{What: what, Name: name, A: a.rate(failedA), B: b.rate(failedB)}
	if a.circuits > 0 && b.circuits > 0 {
		d.Test, d.P = FisherTest, pointer(fisher(failedA, a.circuits, failedB, b.circuits))
	}
	return d
}

// reasonDiffs compares them by why they failed.
func reasonDiffs(a, b *diffSide) (rows []*Difference) {
	if a.circuits == 0 || b.circuits == 0 {
		return nil
	}
	all := maps.Clone(a.reasons)
	maps.Copy(all, b.reasons)
	for key := range all {
		name := bothReasons(cmp.Or(key.reason, "-"), key.remote)
		rows = append(rows, rateDiff(DiffReason, name, a, b, a.reasons[key], b.reasons[key]))
	}
	slices.SortFunc(rows, func(x, y *Difference) int { return strings.Compare(x.Name, y.Name) })
	return rows
}

// buildDiff compares build times.
func buildDiff(a, b *diffSide) *Difference {
	d := &Difference{What: DiffBuilds, A: a.builds.side(), B: b.builds.side()}
	if x, y := a.builds.times, b.builds.times; len(x) > 0 && len(y) > 0 {
		t := newRankTest(floats(x), floats(y))
		d.Test, d.P, d.Above = RankTest, &t.p, pointer(decimals(t.greater))
		if t.exact {
			d.Test = ExactRankTest
		}
	}
	return d
}

func (b *buildBook) side() Side {
	side := Side{Circuits: pointer(len(b.times))}
	if len(b.times) > 0 {
		side.MedianMS, side.P90MS = pointer(nearestRank(b.times, .50)), pointer(nearestRank(b.times, .90))
	}
	return side
}

func floats(ns []int64) []float64 {
	out := make([]float64, len(ns))
	for i, n := range ns {
		out[i] = float64(n)
	}
	return out
}

// guardDiffs returns the first hops that only one of the ranges has, those of
// most circuits first.
func guardDiffs(a, b *diffSide) (rows []*Difference) {
	if a.circuits == 0 || b.circuits == 0 {
		return nil
	}
	all := maps.Clone(a.guards)
	maps.Copy(all, b.guards)
	for key := range all {
		was, is := a.guards[key], b.guards[key]
		d := &Difference{What: DiffGuard, Name: b.names.name(a.names.name(key)), Verdict: New, A: Side{Circuits: &was}, B: Side{Circuits: &is}}
		switch {
		case was > 0 && is > 0:
			continue
		case was > 0:
			d.Verdict = Gone
		}
		rows = append(rows, d)
	}
	slices.SortFunc(rows, func(x, y *Difference) int {
		return cmp.Or(cmp.Compare(*y.A.Circuits+*y.B.Circuits, *x.A.Circuits+*x.B.Circuits), strings.Compare(x.Name, y.Name))
	})
	return rows
}

// judge adjusts the p of all rows that have one and says what follows.
func judge(rows []*Difference) {
	var tested []*Difference
	var p []float64
	for _, d := range rows {
		switch {
		case d.P != nil:
			tested, p = append(tested, d), append(p, *d.P)
		case d.Verdict == "" && d.What != DiffRange:
			d.Verdict = TooFew
		}
	}
	for i, adjusted := range holm(p) {
		d := tested[i]
		up := d.Above != nil && *d.Above > .5 || d.A.Rate != nil && d.B.rate() > d.A.rate()
		switch {
		case adjusted >= significant:
			d.Verdict = NoSign
		case up:
			d.Verdict = Rose
		default:
			d.Verdict = Fell
		}
		d.P, d.PAll = pointer(figures(*d.P)), pointer(figures(adjusted))
	}
}
