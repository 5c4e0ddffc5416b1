package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"torjournal/journal"
	"torjournal/tor/scrub"
)

const (
	// OwnAge is how long a journal keeps records that tell of its user alone:
	// those of a client or an onion service, and of a network for tests.
	OwnAge = 30 * 24 * time.Hour

	// othersAge is how long a relay or a bridge keeps what may tell of others,
	// and how often their journal is vacuumed: what is evicted is to be gone
	// from the file's bytes too.
	othersAge = 24 * time.Hour

	// vacuumRetry is when a vacuum that failed is tried again.
	vacuumRetry = time.Hour
)

// ring is what upkeep does to the journal.
type ring interface {
	Limits() journal.Limits
	SetLimits(context.Context, journal.Limits) error
	Vacuum(context.Context, journal.Limits) (journal.Vacuumed, error)
	Stats() journal.Stats
}

// Limits is what a journal may keep.
type Limits struct {
	journal.Limits
	AgeByRole bool // MaxAge is what the role of the recorded tor asks, once it is known
}

// upkeep sets the age limit that the role of the recorded tor asks for, and
// vacuums the journal: daily on a relay or a bridge, and whenever its file is
// larger than its limit, because the limit was lowered. It sees to it that what
// a migration has left does not stay longer than the records may.
type upkeep struct {
	// immutable
	ring    ring
	log     *slog.Logger
	backups func(keep time.Duration) // removes those that are older
	wake    chan struct{}            // capacity 1; sent to when others or wanted has changed

	others atomic.Bool            // the recorded tor serves others
	wanted atomic.Pointer[Limits] // to be set; nil: no new ones

	// owned by run
	byRole   bool      // the age limit is the role's; else it is what the user says
	vacuumed bool      // others was true when due was set
	due      time.Time // of the next vacuum; zero: none is
	first    uint64    // record of the journal before its limits were lowered, or the recorder began, until the vacuum after it; else 0
}

func newUpkeep(r ring, byRole bool, log *slog.Logger) *upkeep {
	return &upkeep{ring: r, byRole: byRole, log: log, backups: func(time.Duration) {}, wake: make(chan struct{}, 1)}
}

// recorded believes what the newest session was until tor says what it is.
func (u *upkeep) recorded(sessions []journal.Session) { u.others.Store(servesOthers(sessions)) }

// attached is called when a tor is attached. What is stripped for the sake of
// others is not kept for long either.
func (u *upkeep) attached(p *scrub.Policy) {
	u.others.Store(p.Strips())
	u.look()
}

// change is called when the journal shall have other limits.
func (u *upkeep) change(l Limits) {
	u.wanted.Store(&l)
	u.look()
}

func (u *upkeep) look() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// run keeps the journal until ctx ends.
func (u *upkeep) run(ctx context.Context) {
	hourly := time.NewTicker(backupCheck)
	defer hourly.Stop()
	u.first = u.ring.Stats().Found
	for {
		u.turn(ctx)
		var due <-chan time.Time
		stop := func() bool { return true }
		if !u.due.IsZero() {
			t := time.NewTimer(time.Until(u.due))
			due, stop = t.C, t.Stop
		}
		select {
		case <-ctx.Done():
		case <-u.wake:
		case <-due:
		case <-hourly.C:
		}
		stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// turn does what has to be done now, and says when something has to be again.
func (u *upkeep) turn(ctx context.Context) {
	others := u.others.Load()
	adopted := u.adopt(ctx, others)
	u.limit(ctx, others, adopted)
	u.backups(backupAge(u.ring.Limits(), others))
	now := time.Now()
	if others && !u.vacuumed {
		u.due = now
	}
	st := u.ring.Stats()
	tooLarge := st.Size > st.MaxSize
	switch {
	case tooLarge && (u.due.IsZero() || adopted):
		u.due = now
	case !others && !tooLarge:
		u.due = time.Time{}
	}
	u.vacuumed = others
	if u.due.IsZero() || now.Before(u.due) {
		u.first = 0
		return
	}
	v, err := u.ring.Vacuum(ctx, journal.Limits{})
	switch {
	case err == nil:
		// What new limits have no room for goes when they are set, not in the vacuum.
		if u.first != 0 && v.First > u.first {
			v.Evicted = v.First - u.first
		}
		u.first = 0
		u.log.Info("the journal was vacuumed", "bytes_before", v.Before, "bytes_after", v.After, "evicted", v.Evicted)
		u.due = time.Time{}
		if others {
			u.due = now.Add(othersAge)
		}
	case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
	default:
		u.log.Warn("the journal cannot be vacuumed, and its file keeps what was evicted until it can: make room for a copy of it", "error", err, "next_try", vacuumRetry)
		u.due = time.Now().Add(vacuumRetry)
	}
}

// setLimits sets other limits and notes where the journal began before.
func (u *upkeep) setLimits(ctx context.Context, l journal.Limits) error {
	if u.first == 0 {
		u.first = u.ring.Stats().First
	}
	return u.ring.SetLimits(ctx, l)
}

// adopt sets the limits that the user has changed, and reports whether he has.
func (u *upkeep) adopt(ctx context.Context, others bool) bool {
	wanted := u.wanted.Swap(nil)
	if wanted == nil {
		return false
	}
	u.byRole = wanted.AgeByRole
	was, l := u.ring.Limits(), wanted.Limits
	if u.byRole {
		l.MaxAge = roleAge(others)
	}
	if l == was {
		u.log.Info("the limits have been read again: they are as they were", "max_size", l.MaxSize, "max_age", l.MaxAge)
		return false
	}
	if err := u.setLimits(ctx, l); err != nil {
		u.log.Error("the journal cannot have these limits", "max_size", l.MaxSize, "max_age", l.MaxAge, "error", err)
		return false
	}
	u.log.Info("the limits have been changed", "max_size", l.MaxSize, "max_size_before", was.MaxSize, "max_age", l.MaxAge, "max_age_before", was.MaxAge)
	return true
}

// roleAge is how long records are kept where nobody says.
func roleAge(others bool) time.Duration {
	if others {
		return othersAge
	}
	return OwnAge
}

// limit sets the age limit of the role. One of the user's is judged when it is
// new, or the role is.
func (u *upkeep) limit(ctx context.Context, others, adopted bool) {
	l := u.ring.Limits()
	if !u.byRole {
		if others && (adopted || !u.vacuumed) && (l.MaxAge == 0 || l.MaxAge > othersAge) {
			u.log.Warn("this tor serves others, and what may tell of them is kept longer than a day: run without --max-age if it need not be", "max_age", l.MaxAge)
		}
		return
	}
	age := roleAge(others)
	if l.MaxAge == age {
		return
	}
	l.MaxAge = age
	if err := u.setLimits(ctx, l); err != nil {
		if ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
			u.log.Error("the journal's age limit cannot be set: see whether the disk is full", "error", err)
		}
		return
	}
	u.log.Info("records are kept so long, as the role of the recorded tor asks", "max_age", age)
}
