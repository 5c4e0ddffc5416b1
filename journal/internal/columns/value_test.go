package columns

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

func TestPutDecimal(t *testing.T) {
	vals := []int64{0, 1, -1, 9, 10, 99, 100, 99999999, 100000000, 100000001, math.MaxInt64, math.MinInt64}
	for n := int64(1); n < 1e18; n *= 10 {
		vals = append(vals, n-1, n, n+1, -n)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		vals = append(vals, int64(rnd.Uint64()>>rnd.IntN(64)))
	}
	buf := make([]byte, 1+numberRoom+padding)
	for _, v := range vals {
		if got, want := string(buf[1:putDecimal(buf, 1, v)]), strconv.FormatInt(v, 10); got != want {
			t.Fatalf("%d is written as %s", v, got)
		}
	}
}

// The clock remembers the second and the day before: it must tell them from
// all others.
func TestClock(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var c, reads clock
	buf := make([]byte, timeRoom)
	us := int64(start)
	for range 100_000 {
		switch rnd.IntN(8) {
		case 0:
			us = minSecond*1e6 + rnd.Int64N((maxSecond-minSecond+1)*1e6)
		case 1:
			us = -rnd.Int64N(3 * daySeconds * 1e6)
		case 2:
			us += (rnd.Int64N(3) - 1) * daySeconds * 1e6
		default:
			us += rnd.Int64N(1e7) - 5e6
		}
		us = min(max(us, minSecond*1e6), maxSecond*1e6)
		got := buf[:c.put(buf, 0, us)]
		if want := time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000"); string(got) != want {
			t.Fatalf("%d is written as %s, not %s", us, got, want)
		}
		if back, ok := reads.parse(got); !ok || back != us {
			t.Fatalf("%s is read as %d, %v, not %d", got, back, ok, us)
		}
	}
}

func TestKeyTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var k keyTable
	for _, n := range []int{5, 3000, 20, 700} {
		k.reset()
		want := make(map[int64]uint32)
		for range n {
			key := rnd.Int64() >> rnd.IntN(64)
			if _, ok := want[key]; !ok {
				want[key] = uint32(len(want) + 1)
			}
			if got := k.number(key); got != want[key] || k.keys[got] != key {
				t.Fatalf("key %d is number %d, not %d", key, got, want[key])
			}
		}
	}
}
