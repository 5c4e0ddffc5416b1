package query

import (
	"cmp"
	"math"
	"slices"
)

// rankTest asks whether values of one of two samples tend to be greater than
// those of the other (H. B. Mann and D. R. Whitney, 1947). Of values it looks
// at the order only, so one of them that lies far out counts no more than
// others.
type rankTest struct {
	greater float64 // how likely one of b is greater than one of a; equal ones count half
	p       float64 // how likely chance makes them differ so much, or more, either way
	exact   bool    // p is counted out; else it is that of the normal distribution
}

// mostCounted is how many values both samples together may have for p to be
// counted out: of all ways to deal the ranks out, how many are as far from
// the middle.
const mostCounted = 50

// newRankTest compares two samples of independent values. None may be empty.
func newRankTest(a, b []float64) rankTest { return compareRanks(a, b, 1, true) }

// newSerialRankTest compares two samples whose values have to do with their
// neighbours, so that the variance is spread times that of independent ones.
func newSerialRankTest(a, b []float64, spread float64) rankTest {
	return compareRanks(a, b, spread, false)
}

func compareRanks(a, b []float64, spread float64, count bool) rankTest {
	ranks, ties := doubledRanks(a, b)
	n, m := len(a), len(b)
	sum := int64(0) // of b's ranks, doubled
	for _, r := range ranks[n:] {
		sum += r
	}
	// U is how many pairs have the greater value in b.
	u := float64(sum)/2 - float64(m)*float64(m+1)/2
	t := rankTest{greater: u / (float64(n) * float64(m))}
	if count && n+m <= mostCounted {
		t.p, t.exact = dealt(ranks, m, sum), true
		return t
	}
	all := float64(n + m)
	variance := spread * float64(n) * float64(m) / 12 * (all + 1 - ties/(all*(all-1)))
	if variance <= 0 {
		t.p = 1 // all are equal
		return t
	}
	off := max(0, math.Abs(u-float64(n)*float64(m)/2)-0.5) // U is a whole number
	t.p = math.Erfc(off / math.Sqrt(2*variance))
	return t
}

// doubledRanks returns twice the rank of each value among all, those of a first.
// Equal values share the mean of their ranks; ties is the sum of t³-t over each
// t that do.
func doubledRanks(a, b []float64) (ranks []int64, ties float64) {
	type value struct {
		v float64
		i int
	}
	all := make([]value, 0, len(a)+len(b))
	for _, sample := range [][]float64{a, b} {
		for _, v := range sample {
			all = append(all, value{v, len(all)})
		}
	}
	slices.SortFunc(all, func(x, y value) int { return cmp.Compare(x.v, y.v) })
	ranks = make([]int64, len(all))
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		for _, v := range all[i:j] {
			ranks[v.i] = int64(i + 1 + j) // the ranks are i+1 to j
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

// dealt returns the share of all choices of m of the ranks whose sum lies as far
// from the middle as sum does, or farther.
func dealt(ranks []int64, m int, sum int64) float64 {
	total := int64(0)
	for _, r := range ranks {
		total += r
	}
	ways := make([][]float64, m+1) // by how many are chosen, and their sum
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for _, r := range ranks {
		for k := m; k > 0; k-- {
			for s := total; s >= r; s-- {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	// The middle is m/n of the total: compared without division.
	n := int64(len(ranks))
	off := func(s int64) int64 { return max(s*n-total*int64(m), total*int64(m)-s*n) }
	far, count := 0.0, 0.0
	for s, w := range ways[m] {
		count += w
		if off(int64(s)) >= off(sum) {
			far += w
		}
	}
	return far / count
}

// serial returns how much each value of some series has to do with the one before
// it: the correlation of neighbours (lag 1), each series about its own mean,
// never below 0. Values that are NaN are gaps. What few values underestimate by is
// added (F. H. C. Marriott and J. A. Pope, 1954).
func serial(series ...[]float64) float64 {
	var products, squares, pairs, values float64
	for _, s := range series {
		mean, n := 0.0, 0.0
		for _, v := range s {
			if !math.IsNaN(v) {
				mean, n = mean+v, n+1
			}
		}
		if n == 0 {
			continue
		}
		mean /= n
		for i, v := range s {
			if math.IsNaN(v) {
				continue
			}
			values++
			squares += (v - mean) * (v - mean)
			if i > 0 && !math.IsNaN(s[i-1]) {
				pairs++
				products += (v - mean) * (s[i-1] - mean)
			}
		}
	}
	if squares == 0 || pairs == 0 {
		return 0
	}
	r := (products / pairs) / (squares / values)
	r += (1 + 4*r) * float64(len(series)) / values
	return min(max(r, 0), mostSerial)
}

// mostSerial bounds serial, whose inverse it would be infinite.
const mostSerial = 0.99
