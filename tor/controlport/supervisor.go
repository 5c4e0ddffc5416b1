package controlport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pauses between attempts to attach.
const (
	firstRetry = 100 * time.Millisecond

	// A tor on this machine is back within seconds, and asking costs a
	// system call. Elsewhere it costs packets and log lines.
	localRetryCap  = 2 * time.Second
	remoteRetryCap = time.Minute

	// steadyLife is how long a life must last for the pauses to begin anew:
	// a tor that takes us in and throws us out again must not be asked ten
	// times a second.
	steadyLife = 2 * time.Second

	// jitterPart is how much of a pause is left to chance, so that many
	// recorders of one machine do not ask all at once.
	jitterPart = 0.2
)

// supervisor lives again and again:
//
//	pause = 100 ms
//	for ever:
//	    live                        (returns how long it lasted, 0 if it did not begin)
//	    if it lasted 2 s: pause = 100 ms
//	    sleep pause ± 10 %; pause = min(2 × pause, cap)
type supervisor struct {
	live   func(ctx context.Context) (lasted time.Duration, err error)
	sleep  func(ctx context.Context, d time.Duration)
	jitter func() float64 // in [0, 1)
	cap    time.Duration
}

// run ends with ctx, or when live says that it is in vain.
func (s supervisor) run(ctx context.Context) error {
	for pause := firstRetry; ; {
		lasted, err := s.live(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var vain *inVain
		if errors.As(err, &vain) {
			return vain.error
		}
		if lasted >= steadyLife {
			pause = firstRetry
		}
		s.sleep(ctx, time.Duration(float64(pause)*(1-jitterPart/2+jitterPart*s.jitter())))
		pause = min(2*pause, s.cap)
	}
}

// inVain wraps an error after which there shall be no other attempt.
type inVain struct{ error }

func retryCap(addresses []Address) time.Duration {
	for _, a := range addresses {
		if !a.local() {
			return remoteRetryCap
		}
	}
	return localRetryCap
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// withTimeout is context.WithTimeout whose error says that tor kept silent.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %v: %w", d, context.DeadlineExceeded))
}
