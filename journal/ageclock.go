package journal

import "time"

// ageClock says what is too old. It believes a wall clock that has jumped
// only after an hour: a clock that is set wrong must not empty the ring.
type ageClock struct {
	// immutable
	maxAge time.Duration // 0: no limit
	now    func() time.Time
	start  time.Time

	// owned by the writer goroutine
	offset    time.Duration // wall clock minus monotonic clock, as believed
	candidate time.Duration // another offset, seen since…
	since     time.Duration // …this monotonic time
}

const (
	clockTrust = time.Hour   // how long a new time must hold
	clockSlew  = time.Minute // a difference that is no jump
)

func newAgeClock(opt Options) *ageClock {
	return &ageClock{maxAge: opt.MaxAge, now: opt.Now, start: opt.Now()}
}

// evictBefore returns the time, in µs since 1970, before which records are
// past the age limit; 0 without a limit.
func (a *ageClock) evictBefore() int64 {
	if a.maxAge == 0 {
		return 0
	}
	now := a.now()
	mono := now.Sub(a.start)
	offset := now.Round(0).Sub(a.start.Round(0)) - mono
	switch {
	case (offset - a.offset).Abs() <= clockSlew:
		a.offset, a.candidate = offset, 0
	case a.candidate == 0 || (offset-a.candidate).Abs() > clockSlew:
		a.candidate, a.since = offset, mono
	case mono-a.since >= clockTrust:
		a.offset, a.candidate = offset, 0
	}
	return max(1, a.start.Round(0).Add(mono+a.offset-a.maxAge).UnixMicro())
}
