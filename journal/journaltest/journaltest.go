// Package journaltest makes journals for tests, in any state, and makes sure
// that each is intact when its test ends: Open registers a cleanup that closes
// the journal and verifies the whole file, every checksum, every number and
// the index included. It promises nothing to programs; only tests import it.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// J is an open journal of a test.
type J struct {
	*journal.Journal
	Path string

	t   testing.TB
	opt journal.Options
}

// Open returns a new journal in a folder of the test's own.
func Open(t testing.TB, opt journal.Options) *J {
	t.Helper()
	return OpenAt(t, filepath.Join(t.TempDir(), "journal.db"), opt)
}

// OpenAt opens the journal at path, or creates it.
func OpenAt(t testing.TB, path string, opt journal.Options) *J {
	t.Helper()
	j := &J{Path: path, t: t, opt: opt}
	j.open()
	t.Cleanup(func() {
		j.CloseNow()
		Verify(t, path)
	})
	return j
}

func (j *J) open() {
	j.t.Helper()
	var err error
	if j.Journal, err = journal.Open(j.Path, j.opt); err != nil {
		j.t.Fatal(err)
	}
}

// CloseNow closes the journal; a later cleanup does nothing.
func (j *J) CloseNow() {
	j.t.Helper()
	if err := j.Close(); err != nil && !errors.Is(err, journal.ErrClosed) {
		j.t.Error(err)
	}
}

// Reopen closes the journal and opens it again, as a restart does.
func (j *J) Reopen() {
	j.t.Helper()
	j.CloseNow()
	Verify(j.t, j.Path)
	j.open()
}

// Add appends events and waits until they are published.
func (j *J) Add(evs ...event.Event) {
	j.t.Helper()
	if err := j.Append(j.t.Context(), evs...); err != nil {
		j.t.Fatal(err)
	}
	if err := j.Flush(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// Begin begins a session of a source of that name and process.
func (j *J) Begin(name string, pid int) (id uint64, continued bool) {
	j.t.Helper()
	id, continued, err := j.BeginSession(j.t.Context(), event.Source{Name: name, PID: pid})
	if err != nil {
		j.t.Fatal(err)
	}
	return id, continued
}

// Verify fails the test if the closed journal at path is not intact.
func Verify(t testing.TB, path string) journal.Verified {
	t.Helper()
	v, err := journal.Verify(path, nil)
	if err != nil {
		t.Errorf("the journal is not intact: %v", err)
	}
	return v
}

// Event returns the i-th of a sequence of events of several types. Equal
// numbers give equal events.
func Event(i int) event.Event {
	switch i % 5 {
	case 0:
		return Wire("650 BW %d %d", i*37, i*53)
	case 1:
		return Wire("650 CIRC %d BUILT $%040X~relay%d PURPOSE=GENERAL", i, i*7919, i%17)
	case 2:
		return Wire("650 STREAM %d SUCCEEDED %d 192.0.2.%d:443", i, i/2, i%250)
	case 3:
		return Wire("650 ORCONN $%040X CONNECTED ID=%d", i*104729, i)
	}
	return Wire("650 NOTICE record %d of a test", i)
}

// Wire returns an event of that wire form, without its CRLF.
func Wire(format string, args ...any) event.Event {
	return event.NewRaw([]byte(fmt.Sprintf(format, args...) + "\r\n"))
}

// Events returns Event(from) to Event(from+n-1).
func Events(from, n int) []event.Event {
	out := make([]event.Event, n)
	for i := range out {
		out[i] = Event(from + i)
	}
	return out
}

// Tail returns a journal with n small records of one session, too few to be
// sealed.
func Tail(t testing.TB, n int) *J {
	t.Helper()
	j := Open(t, journal.Options{})
	j.Begin("tail", 1)
	j.Add(Events(0, n)...)
	return j
}

// Full returns a small journal whose ring is full: what is appended now
// evicts what is oldest.
func Full(t testing.TB) *J {
	t.Helper()
	j := Open(t, journal.Options{MaxSize: journal.MinMaxSize})
	j.Begin("full", 1)
	for i := 0; j.first() <= 1; i += 100 {
		j.Add(Big(i, 100)...)
	}
	if err := j.Pack(t.Context()); err != nil { // or a block that is sealed later evicts more
		t.Fatal(err)
	}
	return j
}

// Gap returns a full journal and the gap at its beginning: records that a
// reader from number 1 will miss.
func Gap(t testing.TB) (*J, journal.Gap) {
	t.Helper()
	j := Full(t)
	return j, journal.Gap{From: 1, To: j.first() - 1}
}

// Sessions returns a journal with n sessions of 10 records each.
func Sessions(t testing.TB, n int) *J {
	t.Helper()
	j := Open(t, journal.Options{})
	for i := range n {
		j.Begin("tor", 100+i)
		j.Add(Events(10*i, 10)...)
	}
	return j
}

// ClockBack returns a journal of 10 records after which the wall clock jumped
// back by an hour before another 10 came, and the time of the jump.
func ClockBack(t testing.TB) (*J, time.Time) {
	t.Helper()
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	j := Open(t, journal.Options{Now: clock.Now})
	for i := range 20 {
		if i == 10 {
			clock.Advance(-time.Hour)
		}
		j.Add(Event(i))
		clock.Advance(time.Second)
	}
	return j, time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)
}

func (j *J) first() uint64 {
	j.t.Helper()
	b, err := j.Bounds(j.t.Context())
	if err != nil {
		j.t.Fatal(err)
	}
	return b.First
}

// Big returns n events of about 1 KiB that hardly compress.
func Big(from, n int) []event.Event {
	out := make([]event.Event, n)
	x := uint64(from)*2862933555777941757 + 3037000493
	for i := range out {
		var b strings.Builder
		for b.Len() < 1000 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			fmt.Fprintf(&b, "%x", x)
		}
		out[i] = Wire("650 HS_DESC_CONTENT %d %s", from+i, b.String())
	}
	return out
}

// Read returns every record of r that rd holds; a gap fails the test unless r
// begins at 0.
func Read(t testing.TB, rd journal.Reader, r journal.Range) []journal.Record {
	t.Helper()
	var out []journal.Record
	for rec, err := range journal.Records(t.Context(), rd, r) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

// Next reads from c until it has n records, and returns copies of them and of
// the gaps and losses on the way.
func Next(t testing.TB, c *journal.Cursor, n int) (recs []journal.Record, gaps []journal.Gap, lost map[event.Type]uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lost = map[event.Type]uint64{}
	for len(recs) < n {
		ch, err := c.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", len(recs), n, err)
		}
		if ch.Gap != nil {
			gaps = append(gaps, *ch.Gap)
		}
		for typ, k := range ch.Lost {
			lost[typ] += k
		}
		for _, r := range ch.Records {
			r.Wire = append([]byte(nil), r.Wire...)
			recs = append(recs, r)
		}
		if len(ch.Records) > 0 || ch.Gap != nil || ch.Lost != nil {
			continue
		}
		select {
		case <-c.Ready():
		case <-ctx.Done():
			t.Fatalf("%d of %d records, then nothing came", len(recs), n)
		}
	}
	return recs, gaps, lost
}

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock returns a clock that shows now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is for journal.Options.Now.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, which may be negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set makes the clock show now.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}
