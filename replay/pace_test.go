package replay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/journal"
)

func TestPace(t *testing.T) {
	f := func(speed float64, times []int, want ...time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p := pace{speed: speed, now: time.Now, sleep: sleep}
			began := time.Now()
			var got []time.Duration
			for _, s := range times {
				if err := p.until(t.Context(), at(s)); err != nil {
					t.Fatal(err)
				}
				got = append(got, time.Since(began))
			}
			if !slices.Equal(got, want) {
				t.Errorf("speed %v, times %v: passed at %v, want %v", speed, times, got, want)
			}
		})
	}
	const s = time.Second
	f(0, []int{0, 10, 20}, 0, 0, 0)
	f(1, []int{0, 10, 20}, 0, 10*s, 20*s)
	f(10, []int{0, 10, 20}, 0, s, 2*s)
	f(0.5, []int{5, 6}, 0, 2*s)
	f(1, []int{0, 10, 3, 5}, 0, 10*s, 10*s, 12*s) // the clock was put back
}

// A reader slower than the pace does not make it slower still.
func TestPaceCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := newTape(10, 3)
		began := time.Now()
		var passed []time.Duration
		err := Play(t.Context(), tp, Options{Speed: 1, each: tp.each}, func(r journal.Record) error {
			passed = append(passed, time.Since(began))
			if r.Seq == 3 {
				time.Sleep(2500 * time.Millisecond)
			}
			return nil
		}, nil)
		const ms = time.Millisecond
		want := []time.Duration{0, 1000 * ms, 2000 * ms, 4500 * ms, 4500 * ms, 5000 * ms, 6000 * ms, 7000 * ms, 8000 * ms, 9000 * ms}
		if err != nil || !slices.Equal(passed, want) {
			t.Errorf("passed at %v, %v", passed, err)
		}
	})
}

func TestPaceEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		tp := newTape(10, 3)
		var h heard
		err := Play(ctx, tp, Options{Speed: 1, each: tp.each}, h.emit, h.gap)
		if !errors.Is(err, context.DeadlineExceeded) || h.String() != "1 2 3 4" {
			t.Errorf("%s, %v", &h, err)
		}
	})
}
