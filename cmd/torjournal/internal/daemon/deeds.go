package daemon

import (
	"context"
	"errors"
	"sync/atomic"

	"torjournal/journal"
	"torjournal/tor/event"
	"torjournal/tor/scrub"
)

// deeds writes what controllers do into the journal: as little of it as the
// role of the recorded tor lets be kept, and hashed where its events are.
type deeds struct {
	journal *journal.Journal
	policy  atomic.Pointer[scrub.Policy] // of the tor that was attached last
}

// newDeeds keeps what a relay would until it is known what the tor is.
func newDeeds(j *journal.Journal, record string, h *scrub.Hasher) (*deeds, error) {
	p, err := scrub.New(record, map[string][]string{"ORPort": {"1"}})
	if err != nil {
		return nil, err
	}
	if h != nil {
		p = p.Hashed(h, nil)
	}
	d := &deeds{journal: j}
	d.policy.Store(p)
	return d, nil
}

// Offer never waits. What the journal has no room for it counts as dropped.
func (d *deeds) Offer(ev event.Event) {
	_ = d.journal.Offer(d.kept(ev)) // it fails only when the recorder ends
}

// errOutage is why a mark is not taken.
var errOutage = errors.New("the disk fails, and events are delivered without being recorded; torjournal status says since when")

// Record waits for the commit.
func (d *deeds) Record(ctx context.Context, ev event.Event) error {
	err := d.journal.Record(ctx, d.kept(ev))
	if errors.Is(err, journal.ErrUnjournaled) {
		return errOutage
	}
	return err
}

func (d *deeds) kept(ev event.Event) event.Event { return d.policy.Load().Keep(ev.Format()) }
