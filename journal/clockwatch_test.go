package journal

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

// twoClocks are a wall clock that can be set and a monotonic clock that
// cannot.
type twoClocks struct {
	mu   sync.Mutex
	wall time.Time     // guarded by mu
	mono time.Duration // guarded by mu
}

func newTwoClocks() *twoClocks {
	return &twoClocks{wall: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

func (c *twoClocks) options(opt Options) Options {
	opt.Now = func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall }
	opt.clocks = func() (time.Time, time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); return c.wall, c.mono }
	return opt
}

// pass lets time go on; set moves the wall clock alone.
func (c *twoClocks) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(d), c.mono+d
}

func (c *twoClocks) set(jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(jump)
}

// A wall clock that is set, forward or back, is told right before the first
// event that bears the new time; one that is slewed is not.
func TestClockJumps(t *testing.T) {
	clock := newTwoClocks()
	j := openTest(t, "", clock.options(Options{}))
	clock.pass(time.Hour)
	appendAll(t, j, bw(1, 2)...)
	clock.pass(time.Minute)
	clock.set(time.Hour)
	appendAll(t, j, bw(2, 1)...)
	for range 100 { // a second and a half altogether, in both directions
		clock.pass(time.Second)
		clock.set(15 * time.Millisecond)
		appendAll(t, j, bw(3, 1)...)
		clock.set(-30 * time.Millisecond)
	}
	clock.set(clockJump) // exactly as much as is no jump yet
	appendAll(t, j, bw(3, 1)...)
	clock.set(-48*time.Hour - 123456*time.Microsecond)
	appendAll(t, j, bw(4, 2)...)

	recs, _ := readAll(t, j, Range{})
	var got []string
	for i, r := range recs {
		if r.Type == event.JOURNAL {
			got = append(got, strings.TrimSpace(string(r.Wire)))
			if next := recs[i+1]; !next.Time.Equal(r.Time) {
				t.Errorf("the mark is of %v, the event behind it of %v", r.Time, next.Time)
			}
		}
	}
	want := []string{
		"650 JOURNAL CLOCK FROM=2026-03-01T01:01:00.000000Z TO=2026-03-01T02:01:00.000000Z JUMP_MS=3600000",
		"650 JOURNAL CLOCK FROM=2026-03-01T02:02:39.500000Z TO=2026-02-27T02:02:39.376544Z JUMP_MS=-172800124",
	}
	if !slices.Equal(got, want) {
		t.Errorf("marks\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A jump between events of one turn is told between them.
func TestClockJumpInsideATurn(t *testing.T) {
	f := &fakeFile{gate: make(chan struct{})}
	clock := newTwoClocks()
	opt := clock.options(Options{})
	w, stop := startWriter(t, f, func(w *writer) {
		w.q.now, w.q.clocks, w.env.now = opt.Now, opt.clocks, opt.Now
	})
	put(t, w, word("held"))
	for w.q.waits() { // until the writer has it
		time.Sleep(time.Millisecond)
	}
	put(t, w, word("a"), word("b"))
	clock.set(-time.Minute)
	put(t, w, word("c"))
	clock.set(time.Minute)
	put(t, w, word("d"))
	close(f.gate)
	if err := flush(t, w); err != nil {
		t.Fatal(err)
	}
	stop()
	var words []string
	for _, r := range f.published {
		words = append(words, strings.Fields(string(r.Wire) + " x x")[2])
	}
	if got := strings.Join(words, " "); got != "x x x CLOCK x CLOCK x" {
		t.Errorf("published %q, %q", got, f.got())
	}
}

func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items.len() > 0
}

// However the wall clock has jumped, a look by time finds exactly the records
// whose own time is in the range, in the order of their numbers, though the
// times of blocks overlap.
func TestTimeRangesUnderClockJumps(t *testing.T) {
	clock := newTwoClocks()
	j := openTest(t, "", clock.options(Options{walPages: noLog, MaxSize: 8 << 20, sealBytes: 4 << 10}))
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range 300 {
		clock.pass(time.Duration(rng.IntN(120)) * time.Second)
		if rng.IntN(20) == 0 {
			clock.set(time.Duration(rng.IntN(48)-24) * time.Hour)
		}
		appendAll(t, j, raw("650 NOTICE %d %s", i, noise(i, 300)))
	}
	all, _ := readAll(t, j, Range{})
	if n := blocks(t, j); n < 10 {
		t.Fatalf("%d blocks: nothing is tested", n)
	}
	for range 200 {
		a, b := all[rng.IntN(len(all))].Time, all[rng.IntN(len(all))].Time
		r := Range{Since: a.Add(time.Duration(rng.IntN(3)-1) * time.Microsecond)}
		if rng.IntN(2) == 0 {
			r.Until = b
		}
		var want []uint64
		for i := range all {
			if tm := all[i].Time; !tm.Before(r.Since) && (r.Until.IsZero() || tm.Before(r.Until)) {
				want = append(want, all[i].Seq)
			}
		}
		got, _ := readAll(t, j, r)
		if !slices.Equal(numbers(got), want) {
			t.Fatalf("seed %d: %v to %v: %v, want %v", seed, r.Since, r.Until, numbers(got), want)
		}
		from, err := j.SeekTime(within(t), r.Since)
		if i := slices.IndexFunc(all, func(x Record) bool { return !x.Time.Before(r.Since) }); err != nil || i >= 0 && from > all[i].Seq {
			t.Fatalf("seed %d: SeekTime %v gives %d, record %d is of that time", seed, r.Since, from, all[i].Seq)
		}
	}
}

// blocks returns how many sealed blocks j has.
func blocks(t *testing.T, j *Journal) (n int) {
	t.Helper()
	err := j.store.view(func(tx *txn) error {
		return tx.bolt.Bucket(bucketIndex).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is past the age limit is judged by a time that has held for an hour of
// the monotonic clock, so a clock that is set wrong for a while empties nothing.
func TestClockJumpEvictsNothing(t *testing.T) {
	clock := newTwoClocks()
	j := openTest(t, "", clock.options(Options{MaxAge: 24 * time.Hour}))
	for i := range 10 {
		appendAll(t, j, raw("650 NOTICE %d", i))
		clock.pass(time.Minute)
	}
	clock.set(365 * 24 * time.Hour)
	for i := range 50 {
		appendAll(t, j, raw("650 NOTICE later %d", i))
		clock.pass(time.Minute)
	}
	if b, err := j.Bounds(within(t)); err != nil || b.First != 1 {
		t.Errorf("50 minutes after the jump: %+v, %v", b, err)
	}
	for range 30 { // blocks go whole, and one holds records from both sides of the jump
		clock.pass(time.Hour)
		appendAll(t, j, raw("650 NOTICE believed"))
	}
	if b, err := j.Bounds(within(t)); err != nil || b.First <= 11 {
		t.Errorf("30 hours after the jump: %+v, %v", b, err)
	}
}
