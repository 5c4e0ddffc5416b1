package query

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// What a row about build times tells.
const (
	BuildSum     = "builds"  // the distribution as a whole: the first row
	BuildBucket  = "bucket"  // a part of it
	BuildTimeout = "timeout" // what tor took for the time after which to give up
)

// bucketCount is into how many parts build times are put up to their 99th
// percentile; what is above that has one more.
const bucketCount = 20

// timeoutStep is by how much the timeout must have moved since it was told last
// to be told again: tor computes it anew with every circuit.
const timeoutStep = 0.1

// Build is one row about how long circuits took to build.
type Build struct {
	What     string `json:"what"`               // see BuildSum
	Circuits *int   `json:"circuits,omitempty"` // with a build time: all of them, or those of a bucket
	Learning *int   `json:"learning,omitempty"` // of builds: that were left out, because tor was learning its timeout or only measured

	*BuildTimes // of builds, if there are any

	FromMS *int64 `json:"from_ms,omitempty"` // of a bucket: from ≤ time < to
	ToMS   *int64 `json:"to_ms,omitempty"`   // the last bucket may have no end

	*TimeoutSet // of timeout

	place Place
}

// BuildTimes is a distribution; percentiles are by nearest rank.
type BuildTimes struct {
	MeanMS int64 `json:"mean_ms"` // in whole ms, as all of these
	MinMS  int64 `json:"min_ms"`  // the shortest
	P10MS  int64 `json:"p10_ms"`  // a tenth was no longer
	P50MS  int64 `json:"p50_ms"`  // half of them
	P80MS  int64 `json:"p80_ms"`  // 80 %, at which tor puts its timeout
	P90MS  int64 `json:"p90_ms"`  // nine of ten
	P95MS  int64 `json:"p95_ms"`  // 95 %
	P99MS  int64 `json:"p99_ms"`  // 99 %
	MaxMS  int64 `json:"max_ms"`  // the longest
}

// TimeoutSet is a BUILDTIMEOUT_SET event, as tor wrote it (control-spec, section
// 4.1.16).
type TimeoutSet struct {
	Time        Stamp   `json:"time"`         // arrival
	Session     uint64  `json:"session"`      // number of the session
	Kind        string  `json:"kind"`         // COMPUTED, RESET …
	TimeoutMS   uint64  `json:"timeout_ms"`   // after which building is given up
	TotalTimes  uint64  `json:"total_times"`  // build times that tor keeps
	TimeoutRate float64 `json:"timeout_rate"` // share of circuits that time out
	CloseMS     uint64  `json:"close_ms"`     // after which measuring is given up
}

// Place is Row's.
func (b *Build) Place() Place { return b.place }

func (b *Build) stand(at Place) { b.place = at }

// Builds calls emit for the distribution of build times of the circuits of r, as
// Circuits has them, its buckets, and the timeouts that tor computed within r: each
// that differs from the one before by a tenth, and whatever else happened to it.
// There is no row if there is nothing to tell. An error of emit ends it and is
// returned as it is.
//
// It keeps in memory the time of each circuit, and the circuits that stand.
func Builds(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Build) error) ([]journal.Gap, error) {
	return builds(ctx, stored{rd}, r, part, emit)
}

func builds(ctx context.Context, src source, r journal.Range, part Part, emit func(*Build) error) ([]journal.Gap, error) {
	b := buildBook{learning: map[uint64][]learningSpan{}}
	w := newCircuitCount(src, r, part, b.circuit, event.BUILDTIMEOUT_SET)
	w.overhear(func(rec *journal.Record, e event.Event) {
		if ev, ok := e.(*event.BuildTimeoutSet); ok {
			b.timeout(rec, ev, w.inRange(rec.Time))
		}
	})
	beside := w.beside
	w.beside = func() int { return beside() + len(b.times)*8 + len(b.timeouts)*entryBytes }
	if err := w.count(ctx); err != nil {
		return w.gaps, err
	}
	return w.gaps, inOrder(append(b.distribution(), b.timeouts...), part, emit)
}

// buildBook keeps account of build times.
type buildBook struct {
	times    []int64 // in ms
	left     int     // out
	learning map[uint64][]learningSpan
	timeouts []*Build
	last     uint64 // timeout that was told last, in ms
}

// learningSpan is when tor was learning its timeout: to is zero while it is.
type learningSpan struct{ from, to time.Time }

func (b *buildBook) timeout(rec *journal.Record, ev *event.BuildTimeoutSet, inside bool) {
	spans := b.learning[rec.Session]
	open := len(spans) > 0 && spans[len(spans)-1].to.IsZero()
	switch {
	case ev.Kind == "RESET" && !open:
		b.learning[rec.Session] = append(spans, learningSpan{from: rec.Time})
	case ev.Kind == "COMPUTED" && open:
		spans[len(spans)-1].to = rec.Time
	}
	moved := math.Abs(float64(ev.TimeoutMS)-float64(b.last)) >= timeoutStep*float64(b.last)
	if !inside || ev.Kind == "COMPUTED" && b.last != 0 && !moved {
		return
	}
	b.last = ev.TimeoutMS
	b.timeouts = append(b.timeouts, &Build{
		What: BuildTimeout,
		TimeoutSet: &TimeoutSet{
			Time: Stamp{rec.Time}, Session: rec.Session, Kind: strings.Clone(ev.Kind),
			TimeoutMS: ev.TimeoutMS, TotalTimes: ev.TotalTimes, TimeoutRate: ev.TimeoutRate, CloseMS: ev.CloseMS,
		},
	})
}

// circuit takes one's build time.
func (b *buildBook) circuit(l *life) {
	var ms *int64
	if !l.launched.IsZero() {
		ms = milliseconds(l.launched, l.built)
	}
	if ms == nil {
		return
	}
	learning := l.purpose == "MEASURE_TIMEOUT" || l.failed && l.reason == timedOut && l.built.After(l.failedAt)
	for _, s := range b.learning[l.session] {
		learning = learning || !l.launched.Before(s.from) && (s.to.IsZero() || l.launched.Before(s.to))
	}
	if learning {
		b.left++
		return
	}
	b.times = append(b.times, *ms)
}

// distribution returns the rows about build times.
func (b *buildBook) distribution() []*Build {
	n := len(b.times)
	if n == 0 && b.left == 0 {
		return nil
	}
	sum := &Build{What: BuildSum, Circuits: &n, Learning: &b.left}
	if n == 0 {
		return []*Build{sum}
	}
	sum.BuildTimes = new(BuildTimes)
	slices.Sort(b.times)
	rank := func(p float64) int64 { return nearestRank(b.times, p) }
	sum.MinMS, sum.MaxMS = b.times[0], b.times[n-1]
	sum.P10MS, sum.P50MS, sum.P80MS, sum.P90MS, sum.P95MS, sum.P99MS = rank(.10), rank(.50), rank(.80), rank(.90), rank(.95), rank(.99)
	var total int64
	for _, ms := range b.times {
		total += ms
	}
	sum.MeanMS = total / int64(n)
	return append([]*Build{sum}, b.buckets(sum.P99MS)...)
}

// nearestRank returns the value that a share p of the sorted values does not
// exceed. There must be one.
func nearestRank[N int64 | uint64](sorted []N, p float64) N {
	return sorted[max(1, int(math.Ceil(p*float64(len(sorted)))))-1]
}

// buckets puts the times into parts of a round length; empty ones in front and
// behind are left out.
func (b *buildBook) buckets(p99 int64) (rows []*Build) {
	width := roundUp(max(1, (p99+bucketCount)/bucketCount))
	counts := make([]int, bucketCount+1)
	for _, ms := range b.times {
		counts[min(ms/width, bucketCount)]++
	}
	first, last := 0, len(counts)
	for counts[first] == 0 {
		first++
	}
	for counts[last-1] == 0 {
		last--
	}
	for i := first; i < last; i++ {
		from, to := int64(i)*width, int64(i+1)*width
		row := &Build{What: BuildBucket, Circuits: &counts[i], FromMS: &from}
		if i < bucketCount {
			row.ToMS = &to
		}
		rows = append(rows, row)
	}
	return rows
}

// roundUp returns the next of 1, 2, 5, 10, 20, 50 …
func roundUp(n int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, k := range []int64{1, 2, 5} {
			if k*unit >= n {
				return k * unit
			}
		}
	}
}
