package query

import (
	"context"
	"errors"
	"strings"
	"testing"

	"torjournal/journal"
)

// outline is a journal of which nobody reads a record. It counts what it is asked.
type outline struct {
	journal.Reader
	memory
	bounds, lists int
	fault         error // of Sessions
}

func (o *outline) Bounds(ctx context.Context) (journal.Bounds, error) {
	o.bounds++
	return o.memory.Bounds(ctx)
}

func (o *outline) Sessions(ctx context.Context) ([]journal.Session, error) {
	o.lists++
	if o.fault != nil {
		return nil, o.fault
	}
	return o.memory.Sessions(ctx)
}

// ringStory has two sessions; without its first record the first one has lost its
// beginning.
const ringStory = `
	08:00:00 BW 1 1
	08:00:01 BW 1 1
	session 2
	08:00:02 BW 1 1`

// What the ring has given up of a range is known without a look at the sessions,
// where the range is of none or nothing was given up at all.
func TestEvicted(t *testing.T) {
	whole, ring := story(t, ringStory), story(t, ringStory)
	ring.recs = ring.recs[1:]
	early, late := clock(t, "07:00:00"), clock(t, "08:00:01")
	for _, c := range []struct {
		name          string
		m             *memory
		r             journal.Range
		gone          bool
		bounds, lists int
	}{
		{"all of a ring", ring, journal.Range{}, false, 0, 0},
		{"a time before its oldest record", ring, journal.Range{Since: early}, true, 1, 0},
		{"records from a number on", ring, journal.Range{Since: early, From: 2}, false, 1, 0},
		{"the time of its oldest record", ring, journal.Range{Since: late}, false, 1, 0},
		{"a session that began before", ring, journal.Range{Session: 1}, true, 1, 1},
		{"a time in it", ring, journal.Range{Session: 1, Since: late}, false, 1, 1},
		{"a session that is all there", ring, journal.Range{Session: 2, Since: early}, false, 1, 1},
		{"a time before a whole journal", whole, journal.Range{Since: early}, false, 1, 0},
		{"a session of a whole journal", whole, journal.Range{Session: 1}, false, 1, 0},
		{"an empty journal", &memory{}, journal.Range{Since: early, Session: 1}, false, 1, 0},
	} {
		o := &outline{memory: *c.m}
		b, gone, err := Evicted(t.Context(), o, c.r)
		if gone != c.gone || err != nil || gone && b.First != 2 {
			t.Errorf("%s: %+v, %t, %v", c.name, b, gone, err)
		}
		if o.bounds != c.bounds || o.lists != c.lists {
			t.Errorf("%s: the bounds were asked for %d times, the sessions %d times", c.name, o.bounds, o.lists)
		}
	}
	o := &outline{memory: *ring, fault: errors.New("no sessions today")}
	if _, gone, err := Evicted(t.Context(), o, journal.Range{Session: 1}); gone || !errors.Is(err, o.fault) || !strings.HasPrefix(err.Error(), "query: ") {
		t.Errorf("where sessions cannot be read: %t, %v", gone, err)
	}
}
