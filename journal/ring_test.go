package journal

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

// However much is appended, in whatever sizes and however often it is opened,
// the file stays below its limit, and the newest records are always there.
func TestRingStaysBelowLimit(t *testing.T) {
	for _, limit := range []int64{MinMaxSize, 3 << 20, 16 << 20}[:scaled(3, 1)] {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal.db")
			r := rand.New(rand.NewPCG(1, uint64(limit)))
			noise := make([]byte, 1<<20)
			for i := range noise {
				noise[i] = "0123456789abcdef"[r.IntN(16)]
			}
			oneEvent := func() event.Event {
				size := 20 + r.IntN(300)
				if r.IntN(100) == 0 {
					size = r.IntN(int(limit / 40)) // larger than a block's target now and then
				}
				from := r.IntN(len(noise) - size)
				return raw("650 HS_DESC %s", noise[from:from+size])
			}
			var total uint64
			check := func(j *Journal) {
				info, err := os.Stat(path)
				if err != nil || info.Size() > limit {
					t.Fatalf("after %d records the file has %d bytes of %d, %v", total, info.Size(), limit, err)
				}
				if last := j.win.published(); last != total {
					t.Fatalf("after %d records %d are published", total, last)
				}
			}
			for range 3 {
				j := openTest(t, path, Options{MaxSize: limit})
				for range 70 {
					var evs []event.Event
					for range 1 + r.IntN(420) {
						evs = append(evs, oneEvent())
					}
					total += uint64(len(evs))
					appendAll(t, j, evs...)
					check(j)
				}
				b, _ := j.Bounds(within(t))
				if b.First == 1 {
					t.Errorf("nothing was evicted after %d records", total)
				}
				recs, _ := readAll(t, j, Range{})
				// A block that is sealed meanwhile may evict another one.
				if recs[0].Seq < b.First || !slices.Equal(numbers(recs), span(recs[0].Seq, b.Last)) {
					t.Errorf("%d records from %d, want %d to %d", len(recs), recs[0].Seq, b.First, b.Last)
				}
				wireBytes := 0
				for _, rec := range recs {
					wireBytes += len(rec.Wire)
				}
				st := j.store.db.Stats()
				stored := 0
				_ = j.store.view(func(tx *txn) error {
					index, err := appendOnly(tx, bucketIndex)
					if err != nil {
						return err
					}
					return index.each(func(_ []byte, v held) error { h, err := v.entry(); stored += h.size(); return err })
				})
				t.Logf("%d records of %d in the ring, %d KiB of wire, %d KiB stored in %d KiB; %d free pages %d pending", len(recs), total, wireBytes>>10, stored>>10, limit>>10, st.FreePageN, st.PendingPageN)
				if int64(wireBytes) < limit/2 { // hexadecimal noise packs to a half
					t.Errorf("the ring of %d bytes holds only %d bytes of records", limit, wireBytes)
				}
				closeTest(t, j)
			}
		})
	}
}

// Readers that hold pages for a moment make the writer wait; they make it
// neither fail, nor grow the file, nor evict more than it would without them.
func TestRingWithReaders(t *testing.T) {
	held := func(readers int) int {
		// The writer waits for as long as a reader may be held up itself.
		j := openTest(t, "", Options{MaxSize: MinMaxSize, windowBytes: 1, roomWait: time.Hour})
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range readers {
			wg.Go(func() {
				for !isClosed(stop) {
					_ = j.store.view(func(*txn) error { time.Sleep(2 * time.Millisecond); return nil })
				}
			})
		}
		fill(t, j, 4<<20)
		close(stop)
		wg.Wait()
		st := j.Stats()
		// A block may still be on its way, and its room was held until now.
		for ctx := within(t); st.WriteError != "" && ctx.Err() == nil; st = j.Stats() {
			time.Sleep(time.Millisecond)
		}
		if st.Size > MinMaxSize || st.Dropped != 0 || st.WriteError != "" {
			t.Errorf("%+v", st)
		}
		return int(st.Last - st.First)
	}
	if alone, beside := held(0), held(3); beside < alone*2/3 {
		t.Errorf("%d records are held beside readers, %d without", beside, alone)
	}
}

// A lower limit makes the ring give away what is too much; a higher one lets
// it keep more.
func TestRingLimitChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	held := func(limit int64) uint64 {
		j := openTest(t, path, Options{MaxSize: limit})
		fill(t, j, 6<<20)
		b, err := j.Bounds(within(t))
		if err != nil {
			t.Fatal(err)
		}
		closeTest(t, j)
		return b.Last - b.First + 1
	}
	large, small, again := held(4<<20), held(MinMaxSize), held(4<<20)
	if small*2 > large || again < 2*small {
		t.Errorf("%d records at 4 MiB, %d at 1 MiB, %d at 4 MiB again", large, small, again)
	}
}

// restSealed returns when the sealer has nothing at work.
func restSealed(t testing.TB, j *Journal) {
	t.Helper()
	for ctx, rests := within(t), false; !rests; {
		if err := j.inWriter(ctx, func(w *writer) error {
			w.turnIdle()
			rests = !w.sealing && w.ready == nil
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRingAge(t *testing.T) {
	clock := &stepClock{now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	path := filepath.Join(t.TempDir(), "journal.db")
	opt := Options{MaxAge: 24 * time.Hour, Now: clock.Now}
	j := openTest(t, path, opt)
	for range 100 {
		appendAll(t, j, bw(1, 10)...)
		restSealed(t, j)
		clock.step(time.Hour)
	}
	b, err := j.Bounds(within(t))
	if err != nil {
		t.Fatal(err)
	}
	// Eviction takes whole batches, and a tail of 1/16 of the limit.
	if age := clock.Now().Sub(b.FirstTime); age < 23*time.Hour || age > 28*time.Hour {
		t.Errorf("the oldest record is %v old", age)
	}
	if b.Last != 1000 {
		t.Errorf("bounds %+v", b)
	}
	closeTest(t, j)

	// After a long silence all are too old, and numbers still go on.
	clock.step(100 * time.Hour)
	j = openTest(t, path, opt)
	// Any commit looks for what is too old.
	if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: 1}); err != nil {
		t.Fatal(err)
	}
	if b, err := j.Bounds(within(t)); err != nil || b.Last != 0 {
		t.Errorf("bounds %+v, %v; want nothing left", b, err)
	}
	if _, err := j.Fetch(within(t), 1, Range{}); !errors.Is(err, io.EOF) {
		t.Errorf("Fetch: %v, want io.EOF", err)
	}
	c := j.NewCursor(10, event.AllTypes())
	defer c.Close()
	appendAll(t, j, bw(1, 1)...)
	recs, gaps, _ := drain(t, c)
	if !slices.Equal(numbers(recs), span(1001, 1001)) || !slices.Equal(gaps, []Gap{{10, 1000}}) {
		t.Errorf("then %v, gaps %v", numbers(recs), gaps)
	}
	closeTest(t, j)
	j = openTest(t, path, opt)
	if b, err := j.Bounds(within(t)); err != nil || b.First != 1001 || b.Last != 1001 {
		t.Errorf("reopened: bounds %+v, %v", b, err)
	}
}

// stepClock stands still until it is moved.
type stepClock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *stepClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// since looks at c and at a monotonic clock that begins at start. Two looks
// with a step between them would show a jump.
func (c *stepClock) since(start time.Time) func() (time.Time, time.Duration) {
	return func() (time.Time, time.Duration) {
		now := c.Now()
		return now, now.Sub(start)
	}
}

func (c *stepClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A wall clock that jumps is believed after an hour, so that one that is set
// wrong does not empty the ring.
func TestAgeClock(t *testing.T) {
	wall, mono := time.Duration(0), time.Duration(0)
	base := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	a := &ageClock{maxAge: time.Hour, read: func() (time.Time, time.Duration) { return base.Add(wall + mono), mono }, base: base}
	age := func() time.Duration { return base.Add(mono).Sub(time.UnixMicro(a.evictBefore())) }
	advance := func(d time.Duration) { mono += d; age() }
	if got := age(); got != time.Hour {
		t.Fatalf("at first %v", got)
	}
	wall = 48 * time.Hour
	if got := age(); got != time.Hour {
		t.Errorf("right after the jump %v, want it not believed", got)
	}
	for range 59 {
		advance(time.Minute)
	}
	if got := age(); got != time.Hour {
		t.Errorf("after 59 minutes %v, want it not believed", got)
	}
	advance(2 * time.Minute)
	if got := age(); got != time.Hour-48*time.Hour {
		t.Errorf("after an hour %v, want the new time", got)
	}
	wall = 0
	advance(30 * time.Minute)
	wall = 48 * time.Hour // set back and forth: never two hours of the other
	advance(40 * time.Minute)
	if got := age(); got != time.Hour-48*time.Hour {
		t.Errorf("after a jump that was taken back %v", got)
	}
	for range 100 { // slewing is no jump
		wall += 10 * time.Second
		advance(time.Minute)
	}
	if got, want := age(), time.Hour-wall; got != want {
		t.Errorf("after slewing %v, want %v", got, want)
	}
}

func TestRangeSkipsBlocks(t *testing.T) {
	clock := &stepClock{now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	j := openTest(t, "", Options{MaxSize: 8 << 20, sealBytes: 16 << 10, Now: clock.Now})
	for i := range 40 {
		if i%10 == 0 {
			if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: 1 + i}); err != nil {
				t.Fatal(err)
			}
		}
		typ := []string{"CIRC", "STREAM"}[i/20]
		for range 10 {
			appendAll(t, j, raw("650 %s %d %s", typ, i, strings.Repeat("x", 2000)))
			clock.step(time.Minute)
		}
	}
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		r        Range
		from, to uint64
	}{
		"all":           {Range{}, 1, 400},
		"since":         {Range{Since: begin.Add(299 * time.Minute)}, 300, 400},
		"until":         {Range{Until: begin.Add(100 * time.Minute)}, 1, 100},
		"hour":          {Range{Since: begin.Add(60 * time.Minute), Until: begin.Add(120 * time.Minute)}, 61, 120},
		"type":          {Range{Types: event.NewSet(event.STREAM)}, 201, 400},
		"session":       {Range{Session: 3}, 201, 300},
		"numbers":       {Range{From: 77, To: 88}, 77, 88},
		"nothing":       {Range{Types: event.NewSet(event.BW)}, 1, 0},
		"none of it":    {Range{Session: 1, Types: event.NewSet(event.STREAM)}, 1, 0},
		"time and type": {Range{Since: begin.Add(150 * time.Minute), Types: event.NewSet(event.CIRC)}, 151, 200},
	} {
		recs, gaps := readAll(t, j, c.r)
		if !slices.Equal(numbers(recs), span(c.from, c.to)) || gaps != nil {
			t.Errorf("%s: %d records, gaps %v; want %d to %d", name, len(recs), gaps, c.from, c.to)
		}
	}
	st, err := j.Fetch(within(t), 1, Range{Session: 4})
	if err != nil || st.From != 1 || st.First < 290 {
		t.Errorf("Fetch of the last session begins at %d, from %d, %v: blocks before it are not skipped", st.First, st.From, err)
	}
	if _, err := j.Fetch(within(t), 401, Range{}); !errors.Is(err, io.EOF) {
		t.Errorf("Fetch behind the end: %v, want io.EOF", err)
	}
	for _, c := range []struct {
		minute int
		max    uint64
	}{{0, 1}, {200, 201}, {399, 400}} {
		seq, err := j.SeekTime(within(t), begin.Add(time.Duration(c.minute)*time.Minute))
		if err != nil || seq > c.max || seq+40 < c.max {
			t.Errorf("SeekTime of minute %d: %d, %v; want at most %d", c.minute, seq, err, c.max)
		}
	}
	if seq, err := j.SeekTime(within(t), begin.Add(1000*time.Hour)); err != nil || seq != 401 {
		t.Errorf("SeekTime of the future: %d, %v", seq, err)
	}
	ss, err := j.Sessions(within(t))
	if err != nil || len(ss) != 4 || ss[2].First != 201 || ss[2].Source.PID != 21 {
		t.Errorf("sessions %+v, %v", ss, err)
	}
}

// Sessions whose records are gone are forgotten, the newest never.
func TestSessionsAreEvicted(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: MinMaxSize})
	for pid := range 5 {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: 1 + pid}); err != nil {
			t.Fatal(err)
		}
		fill(t, j, 1<<20)
	}
	ss, err := j.Sessions(within(t))
	b, _ := j.Bounds(within(t))
	if err != nil || len(ss) == 0 || len(ss) > 4 || ss[len(ss)-1].ID != 5 {
		t.Fatalf("sessions %+v, %v", ss, err)
	}
	if ss[0].First > b.First || len(ss) > 1 && ss[1].First <= b.First {
		t.Errorf("the first session begins with %d, the second with %d, the journal with %d", ss[0].First, ss[1].First, b.First)
	}
}

func TestReopenContinues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	src := event.Source{Name: "127.0.0.1:9051", Version: "0.4.9.11", Role: "client", PID: 4711, Started: time.Unix(1_772_000_000, 0).UTC()}
	var want []string
	for life := range 5 {
		j := openTest(t, path, Options{sealBytes: 4 << 10, MaxSize: 8 << 20})
		id, continued, err := j.BeginSession(within(t), src)
		if err != nil || id != 1 || continued != (life > 0) {
			t.Fatalf("life %d: session %d, continued %v, %v", life, id, continued, err)
		}
		for i := range 20 {
			evs := bw(life*1000+i, 7)
			for _, ev := range evs {
				want = append(want, string(ev.Format()))
			}
			appendAll(t, j, evs...)
		}
		recs, _ := readAll(t, j, Range{})
		if !slices.Equal(wires(recs), want) || !slices.Equal(numbers(recs), span(1, uint64(len(want)))) {
			t.Fatalf("life %d: %d records, want %d", life, len(recs), len(want))
		}
		src.Started = src.Started.Add(time.Second) // an uptime in seconds rounds
		closeTest(t, j)
	}
	j := openTest(t, path, Options{})
	src.PID++
	if id, continued, err := j.BeginSession(within(t), src); id != 2 || continued || err != nil {
		t.Errorf("another process: session %d, continued %v, %v", id, continued, err)
	}
}

func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{})
	done := make(chan error, 1)
	go func() { done <- j.Wait(within(t), 2) }()
	appendAll(t, j, bw(1, 1)...)
	select {
	case err := <-done:
		t.Fatalf("after one record: %v", err)
	default:
	}
	appendAll(t, j, bw(2, 1)...)
	if err := <-done; err != nil {
		t.Error(err)
	}
	closeTest(t, j)
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.poll = time.Millisecond
	if err := f.Wait(within(t), 2); err != nil {
		t.Error(err)
	}
	go func() { done <- f.Wait(within(t), 3) }()
	for {
		j, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, bw(3, 1)...)
		closeTest(t, j)
		err = <-done
		if errors.Is(err, ErrLocked) {
			go func() { done <- f.Wait(within(t), 3) }()
			continue
		}
		if err != nil {
			t.Error(err)
		}
		break
	}
}
