package replay

import (
	"context"
	"math"
	"time"
)

// pace lets records pass at a multiple of the speed at which they came. The
// first record passes at once and sets both clocks; a record that is older
// than the one before it (the wall clock was put back) sets them anew.
type pace struct {
	speed float64 // 0: everything passes at once
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	began  time.Time // by our clock, when the record of time origin passed
	origin time.Time // by the records' clock
	last   time.Time // time of the record that passed last
}

// until returns when a record of time t may pass.
func (p *pace) until(ctx context.Context, t time.Time) error {
	if p.speed == 0 {
		return ctx.Err()
	}
	if p.last.IsZero() || t.Before(p.last) {
		p.began, p.origin = p.now(), t
	}
	p.last = t
	due := math.Min(float64(t.Sub(p.origin))/p.speed, math.MaxInt64/2)
	if d := time.Duration(due) - p.now().Sub(p.began); d > 0 {
		return p.sleep(ctx, d)
	}
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
