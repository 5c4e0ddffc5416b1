package query

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// pairs counts how often a value of b is above one of a, equal ones a half.
func pairs(a, b []float64) (u float64) {
	for _, x := range a {
		for _, y := range b {
			switch {
			case y > x:
				u++
			case y == x:
				u += .5
			}
		}
	}
	return u
}

// p of few values is the share of all ways to part them that differ as much.
func TestRankTestByEnumeration(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n, m := 1+random.IntN(6), 1+random.IntN(6)
		all := make([]float64, n+m)
		for i := range all {
			all[i] = float64(random.IntN(1 + random.IntN(12))) // with ties, mostly
		}
		middle := float64(n*m) / 2
		off := math.Abs(pairs(all[:n], all[n:]) - middle)
		far, count := 0, 0
		for set := range 1 << (n + m) {
			if bits.OnesCount(uint(set)) != m {
				continue
			}
			var a, b []float64
			for i, v := range all {
				if set>>i&1 == 1 {
					b = append(b, v)
				} else {
					a = append(a, v)
				}
			}
			if count++; math.Abs(pairs(a, b)-middle) >= off {
				far++
			}
		}
		got := newRankTest(all[:n], all[n:])
		if want := float64(far) / float64(count); !got.exact || math.Abs(got.p-want) > 1e-12 {
			t.Errorf("%v, %v: %+v, want p %v", all[:n], all[n:], got, want)
		}
		if want := pairs(all[:n], all[n:]) / float64(n*m); math.Abs(got.greater-want) > 1e-12 {
			t.Errorf("%v, %v: %+v, want %v greater", all[:n], all[n:], got, want)
		}
	}
}

// The permeability of membranes in Hollander and Wolfe, Nonparametric Statistical
// Methods, 69: U = 35 of 50, p = 0.2544.
func TestRankTestOfABook(t *testing.T) {
	at := []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}
	later := []float64{1.15, 0.88, 0.90, 0.74, 1.21}
	if got := newRankTest(later, at); got.greater != 35./50 || math.Abs(got.p-0.2544) > 5e-5 || !got.exact {
		t.Errorf("%+v", got)
	}
}

// p of many values: the variance is that of drawing ranks without putting them
// back, and at the border it is near what is counted out.
func TestRankTestOfMany(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, values := range []int{5, 40, 10_000} {
		a, b := make([]float64, 30), make([]float64, 40)
		for i := range a {
			a[i] = float64(random.IntN(values))
		}
		for i := range b {
			b[i] = float64(random.IntN(values)) * 1.1
		}
		ranks, _ := doubledRanks(a, b)
		n, m, all := 30., 40., 70.
		squares := 0.
		for _, r := range ranks {
			squares += math.Pow(float64(r)/2-(all+1)/2, 2)
		}
		z := (math.Abs(pairs(a, b)-n*m/2) - .5) / math.Sqrt(n*m/(all*(all-1))*squares)
		if got, want := newRankTest(a, b), math.Erfc(z/math.Sqrt2); got.exact || math.Abs(got.p-want) > 1e-9 {
			t.Errorf("of %d values: %+v, want %v", values, got, want)
		}
		few, near := newRankTest(a[:25], b[:25]), newSerialRankTest(a[:25], b[:25], 1)
		if !few.exact || near.exact || math.Abs(few.p-near.p) > .01 {
			t.Errorf("of %d values: %+v, nearly %+v", values, few, near)
		}
	}
	same := make([]float64, 100)
	if got := newRankTest(same, same); got.p != 1 || got.greater != .5 {
		t.Errorf("of equal values: %+v", got)
	}
}

// wandering makes a series each of whose values has to do with the one before.
func wandering(random *rand.Rand, n int, by float64) []float64 {
	out, at := make([]float64, n), random.NormFloat64()
	for i := range out {
		at = by*at + math.Sqrt(1-by*by)*random.NormFloat64()
		out[i] = at
	}
	return out
}

// Where neighbours have to do with each other the usual test sees changes where
// there are none; that of a wider spread does seldom, and sees real ones still.
func TestRankTestOfSeries(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	const trials, n = 1000, 60
	for _, by := range []float64{0, .4, .7} {
		naive, wide, real := 0, 0, 0
		for range trials {
			a, b := wandering(random, n, by), wandering(random, n, by)
			d := bandwidthDiff{sides: [2]bandwidthSide{{read: a, known: n}, {read: b, known: n}}}
			row := d.row(DiffRead)
			if newRankTest(a, b).p < .05 {
				naive++
			}
			if row.P != nil && *row.P < .05 {
				wide++
			}
			for i := range b {
				b[i] += 2
			}
			if row := d.row(DiffRead); row.P != nil && *row.P < .05 && *row.Above > .5 {
				real++
			}
		}
		t.Logf("correlation %.1f: %d of %d by the usual test, %d by the wider one, %d real ones seen", by, naive, trials, wide, real)
		if wide > trials*8/100 || by >= .4 && naive < trials*12/100 || real < trials*80/100 {
			t.Errorf("correlation %.1f: %d of %d by the usual test, %d by the wider one, %d real ones seen", by, naive, trials, wide, real)
		}
	}
}

func TestSerial(t *testing.T) {
	gap := math.NaN()
	for _, c := range []struct {
		series [][]float64
		want   float64
	}{
		{[][]float64{{1, 1, 1, 1}, {2, 2}}, 0}, // each about its own mean
		{[][]float64{{1, -1, 1, -1, 1, -1}}, 0},
		{[][]float64{{gap, gap}, {}}, 0},
		{[][]float64{{1, gap, 2, gap, 3}}, 0},                   // no neighbours
		{[][]float64{{1, 1, 1, 1, -1, -1, -1, -1}}, mostSerial}, // 5 of 7 agree more than not, and these are few
	} {
		if got := serial(c.series...); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v: %v, want %v", c.series, got, c.want)
		}
	}
	random := rand.New(rand.NewPCG(7, 8))
	if got := serial(wandering(random, 20_000, .6)); math.Abs(got-.6) > .03 {
		t.Errorf("of a long series that has 0.6: %v", got)
	}
}
