package query

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"torjournal/journal"
)

// Steps by which the bandwidth of two ranges is compared: the longest one of
// which each range has enoughSteps, else the shortest. Longer steps have less to
// do with each other.
var diffSteps = []time.Duration{time.Hour, 10 * time.Minute, time.Minute}

const (
	enoughSteps = 24
	// fewestSteps is how many steps each range must have at least, and those
	// that count when neighbours are taken together where they say the same.
	fewestSteps = 5
)

// bandwidthDiff is the bandwidth of two ranges.
type bandwidthDiff struct {
	step  time.Duration
	sides [2]bandwidthSide
}

// bandwidthSide has the mean of each step, NaN where it is known for less than a
// half.
type bandwidthSide struct {
	read, written []float64
	known         int   // steps that are
	seconds       int64 // all that are known
	sum           [2]uint64
}

// bandwidthSides reads what two ranges carried.
func bandwidthSides(ctx context.Context, src source, sides [2]*diffSide, part Part, held int) (d bandwidthDiff, gaps []journal.Gap, err error) {
	for i, step := range diffSteps {
		next, more, err := bandwidthBy(ctx, src, step, sides, part, held)
		gaps = append(gaps, more...)
		if i > 0 && errors.Is(err, errManySteps) {
			break // one range is so much longer than the other: the steps before must do
		}
		if err != nil {
			return d, gaps, err
		}
		if d = next; min(d.sides[0].known, d.sides[1].known) >= enoughSteps {
			break
		}
	}
	return d, gaps, nil
}

// bandwidthBy is bandwidthSides of steps of one length.
func bandwidthBy(ctx context.Context, src source, step time.Duration, sides [2]*diffSide, part Part, held int) (d bandwidthDiff, gaps []journal.Gap, err error) {
	d.step = step
	for i, s := range sides {
		more, err := d.sides[i].take(ctx, src, s.r, step, part, held)
		if gaps = append(gaps, more...); err != nil {
			return d, gaps, err
		}
	}
	return d, gaps, nil
}

func (s *bandwidthSide) take(ctx context.Context, src source, r journal.Range, step time.Duration, part Part, held int) ([]journal.Gap, error) {
	if r.Session == 0 {
		r.To = 0 // kept sums know no numbers; where the range ends is a time
	}
	if part.Memory > 0 {
		part.Memory = max(part.Memory-held, stepBytes)
	}
	w := newBandwidthWalk(src, step, Part{Memory: part.Memory})
	ok, err := w.read(ctx, r)
	if ok && err == nil {
		err = w.rows(func(b *Bandwidth) error {
			s.add(b)
			return nil
		})
	}
	return w.gaps, err
}

func (s *bandwidthSide) add(b *Bandwidth) {
	read, written := math.NaN(), math.NaN()
	if b.Seconds > 0 {
		s.seconds += b.Seconds
		s.sum[0] += *b.ReadBytes
		s.sum[1] += *b.WrittenBytes
	}
	if b.Seconds > 0 && 2*b.Seconds >= b.StepS {
		s.known++
		read, written = float64(*b.ReadBytes)/float64(b.Seconds), float64(*b.WrittenBytes)/float64(b.Seconds)
	}
	s.read, s.written = append(s.read, read), append(s.written, written)
}

// row compares what was read, or what was written.
func (d *bandwidthDiff) row(what string) *Difference {
	row := &Difference{What: what, StepS: int64(d.step / time.Second)}
	var series, samples [2][]float64
	for i, side := range []*Side{&row.A, &row.B} {
		s := &d.sides[i]
		sum := s.sum[0]
		series[i] = s.read
		if what == DiffWritten {
			sum, series[i] = s.sum[1], s.written
		}
		samples[i] = slices.DeleteFunc(slices.Clone(series[i]), math.IsNaN)
		side.Steps = &s.known
		if s.seconds > 0 {
			side.Mean = pointer(perSecond(sum, s.seconds))
		}
		if s.known > 0 {
			sorted := slices.Sorted(slices.Values(samples[i]))
			side.Median = pointer(uint64(math.Round(sorted[(len(sorted)-1)/2])))
		}
	}
	r := serial(rankSeries(series)...)
	apart := (1 - r) / (1 + r)
	if fewest := float64(min(d.sides[0].known, d.sides[1].known)); fewest < fewestSteps || fewest*apart < fewestSteps {
		if fewest >= fewestSteps {
			row.Serial = pointer(decimals(r))
		}
		return row
	}
	t := newSerialRankTest(samples[0], samples[1], 1/apart)
	row.Serial, row.Test, row.P, row.Above = pointer(decimals(r)), SerialRankTest, &t.p, pointer(decimals(t.greater))
	return row
}

// rankSeries replaces values by their ranks among all: what the test compares.
func rankSeries(series [2][]float64) [][]float64 {
	known := func(s []float64) []float64 { return slices.DeleteFunc(slices.Clone(s), math.IsNaN) }
	ranks, _ := doubledRanks(known(series[0]), known(series[1]))
	var out [][]float64
	for _, s := range series {
		s = slices.Clone(s)
		for i, v := range s {
			if !math.IsNaN(v) {
				s[i], ranks = float64(ranks[0]), ranks[1:]
			}
		}
		out = append(out, s)
	}
	return out
}

// figures rounds to three figures.
func figures(f float64) float64 {
	f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'g', 3, 64), 64)
	return f
}
