package query

import (
	"math"
	"math/big"
	"testing"
)

// Every table of few, against the sum over all tables of these margins by whole
// numbers.
func TestFisherByEnumeration(t *testing.T) {
	choose := func(n, k int) *big.Int { return new(big.Int).Binomial(int64(n), int64(k)) }
	for n := 1; n <= 9; n++ {
		for m := 1; m <= 7; m++ {
			for a := 0; a <= n; a++ {
				for b := 0; b <= m; b++ {
					came, far := new(big.Int).Mul(choose(n, a), choose(m, b)), new(big.Int)
					for x := 0; x <= n; x++ {
						y := a + b - x
						if y < 0 || y > m {
							continue
						}
						if w := new(big.Int).Mul(choose(n, x), choose(m, y)); w.Cmp(came) <= 0 {
							far.Add(far, w)
						}
					}
					want, _ := new(big.Rat).SetFrac(far, choose(n+m, a+b)).Float64()
					if got := fisher(a, n, b, m); math.Abs(got-want) > 1e-12 {
						t.Errorf("%d of %d, %d of %d: %v, want %v", a, n, b, m, got, want)
					}
				}
			}
		}
	}
}

func TestFisher(t *testing.T) {
	for _, c := range []struct {
		a, n, b, m int
		want, off  float64
	}{
		{3, 4, 1, 4, 0.4857142857, 1e-9},             // Fisher's lady and her tea, two-sided
		{2, 17, 10, 13, 0.0005367, 5e-8},             // Fisher's convicts that were twins
		{500, 10_000, 500, 10_000, 1, 0},             // nothing differs
		{5000, 100_000, 5300, 100_000, 0.0024, 1e-4}, // what z = 3.035 has
		{0, 1_000_000, 900_000, 1_000_000, 0, 1e-300},
		{0, 5, 0, 7, 1, 0},
	} {
		if got := fisher(c.a, c.n, c.b, c.m); math.Abs(got-c.want) > c.off {
			t.Errorf("%d of %d, %d of %d: %v, want %v", c.a, c.n, c.b, c.m, got, c.want)
		}
	}
}

func TestHolm(t *testing.T) {
	for _, c := range []struct{ p, want []float64 }{
		{nil, nil},
		{[]float64{.04}, []float64{.04}},
		{[]float64{.01, .04, .03, .005}, []float64{.03, .06, .06, .02}},
		{[]float64{.9, .8, .01}, []float64{1, 1, .03}},
	} {
		got := holm(c.p)
		for i, want := range c.want {
			if math.Abs(got[i]-want) > 1e-12 {
				t.Errorf("%v becomes %v, want %v", c.p, got, c.want)
			}
		}
	}
}
