package journal

import "time"

// ageClock says what is too old. It believes a wall clock that has jumped
// only after an hour: a clock that is set wrong must not empty the ring.
type ageClock struct {
	// immutable
	read func() (time.Time, time.Duration) // wall clock, and monotonic clock since base
	base time.Time                         // wall clock when the monotonic clock showed 0

	// owned by the writer goroutine
	maxAge    time.Duration // 0: no limit
	offset    time.Duration // of the wall clock against base and the monotonic clock, as believed
	candidate time.Duration // another offset, seen since…
	since     time.Duration // …this monotonic time
	jumped    bool          // candidate is valid
}

const (
	clockTrust = time.Hour   // how long a new time must hold
	clockSlew  = time.Minute // a difference that is no jump
)

func newAgeClock(opt Options) *ageClock {
	start := opt.Now()
	return &ageClock{maxAge: opt.MaxAge, base: start.Round(0), read: func() (time.Time, time.Duration) {
		if opt.clocks != nil {
			return opt.clocks()
		}
		now := opt.Now()
		return now.Round(0), now.Sub(start)
	}}
}

// evictBefore returns the time, in µs since 1970, before which records are
// past the age limit; 0 without a limit.
func (a *ageClock) evictBefore() int64 { return a.before(a.maxAge) }

// before is evictBefore for another limit.
func (a *ageClock) before(maxAge time.Duration) int64 {
	if maxAge == 0 {
		return 0
	}
	return max(1, a.now().Add(-maxAge).UnixMicro())
}

// now returns the wall time that is believed.
func (a *ageClock) now() time.Time {
	wall, mono := a.read()
	offset := wall.Sub(a.base) - mono
	switch {
	case (offset - a.offset).Abs() <= clockSlew:
		a.offset, a.jumped = offset, false
	case !a.jumped || (offset-a.candidate).Abs() > clockSlew:
		a.candidate, a.since, a.jumped = offset, mono, true
	case mono-a.since >= clockTrust:
		a.offset, a.jumped = offset, false
	}
	return a.base.Add(mono + a.offset)
}
