package controlport

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestSupervision(t *testing.T) {
	var pauses []time.Duration
	lasted := []time.Duration{0, 0, 0, 0, 0, 0, 0, time.Hour, 0, time.Second, 3 * time.Second}
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	err := supervisor{
		live: func(context.Context) (time.Duration, error) {
			if n++; n > len(lasted) {
				cancel()
				return 0, nil
			}
			return lasted[n-1], errors.New("lost")
		},
		sleep:  func(_ context.Context, d time.Duration) { pauses = append(pauses, d) },
		jitter: func() float64 { return 0.5 },
		cap:    localRetryCap,
	}.run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if got := fmt.Sprint(pauses); got != "[100ms 200ms 400ms 800ms 1.6s 2s 2s 100ms 200ms 400ms 100ms]" {
		t.Errorf("pauses %s", got)
	}
	for _, j := range []float64{0, 0.999} {
		var pause time.Duration
		ctx, cancel := context.WithCancel(t.Context())
		_ = supervisor{
			live:   func(context.Context) (time.Duration, error) { return 0, errors.New("x") },
			sleep:  func(_ context.Context, d time.Duration) { pause = d; cancel() },
			jitter: func() float64 { return j },
			cap:    localRetryCap,
		}.run(ctx)
		if pause < 90*time.Millisecond || pause > 110*time.Millisecond {
			t.Errorf("jitter %v: a pause of %v", j, pause)
		}
	}
	if retryCap(UsualPlaces()) != 2*time.Second || retryCap([]Address{{"tcp", "10.0.0.1:9051"}}) != time.Minute {
		t.Error("the caps are 2 s on this machine and a minute elsewhere")
	}
}
