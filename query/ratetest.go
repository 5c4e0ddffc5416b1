package query

import (
	"cmp"
	"math"
	"slices"
)

// fisher returns how likely chance alone makes two rates differ as much as a
// of n and b of m do, or more: R. A. Fisher's exact test, two-sided, which adds
// up what is not more likely than what came about. It holds for few and for
// many.
func fisher(a, n, b, m int) float64 {
	k := a + b
	low, high := max(0, k-m), min(n, k)
	// Of x of n, with k of all: how likely x+1 is, by x.
	next := func(x int) float64 {
		return float64(n-x) * float64(k-x) / (float64(x+1) * float64(m-k+x+1))
	}
	// From the likeliest one, whose weight is 1, to both ends, as far as it counts.
	mode := int(float64(k+1) * float64(n+1) / float64(n+m+2))
	mode = min(max(mode, low), high)
	const nothing = 1e-300
	weight := func(x int) float64 {
		w := 1.0
		for i := mode; i < x && w > nothing; i++ {
			w *= next(i)
		}
		for i := mode; i > x && w > nothing; i-- {
			w /= next(i - 1)
		}
		return w
	}
	came := weight(a) * (1 + 1e-7) // equal ones may differ by rounding
	sum, far := 0.0, 0.0
	add := func(w float64) {
		if sum += w; w <= came {
			far += w
		}
	}
	add(1)
	for x, w := mode, 1.0; x < high && w > nothing; x++ {
		w *= next(x)
		add(w)
	}
	for x, w := mode, 1.0; x > low && w > nothing; x-- {
		w /= next(x - 1)
		add(w)
	}
	return min(1, far/sum)
}

// holm makes of the p of several tests what each would be if it were the only one
// (S. Holm, 1979): who asks twenty questions gets one answer by chance that looks
// like one in twenty. The order is that of p.
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	out := make([]float64, len(p))
	least := 0.0
	for nth, i := range order {
		least = max(least, math.Min(1, float64(len(p)-nth)*p[i]))
		out[i] = least
	}
	return out
}
