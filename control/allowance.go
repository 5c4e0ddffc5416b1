package control

import (
	"sync"
	"time"
)

// allowance lets a bounded amount through: so much at once, and later what time
// brings back. An amount is said as the time that brings it back.
type allowance struct {
	// Immutable.
	now   func() time.Time
	burst time.Duration // what may be taken at once

	mu   sync.Mutex
	full time.Time // guarded by mu: when all of burst is allowed again
}

// take takes an amount, or returns how long until it would.
func (a *allowance) take(cost time.Duration) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.full.Before(now) || a.full.Sub(now) > a.burst { // the clock may have been put back
		a.full = now
	}
	next := a.full.Add(cost)
	if wait = next.Sub(now) - a.burst; wait > 0 {
		return wait
	}
	a.full = next
	return 0
}
