package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/tor/event"
)

// aged makes a stopped journal of three sessions, a day each, with large and
// small batches, sealed and not, whose ring has given up its beginning if full.
func aged(t *testing.T, key *Key, full bool) (path string, clock *stepClock) {
	t.Helper()
	clock = &stepClock{now: time.Now().Add(-72 * time.Hour).Truncate(time.Second)}
	opt := Options{Key: key, MaxSize: 8 << 20, sealBytes: 16 << 10, Now: clock.Now}
	if full {
		opt.MaxSize = 2 << 20
	}
	path = filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, opt)
	for day := range 3 {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: day + 1}); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			appendAll(t, j, bw(day*1000+i*90, 90)...)
			appendAll(t, j, raw("650 CIRC %d %s", i, noise(day*100+i, 180<<10)))
			clock.step(3 * time.Hour)
		}
	}
	if b, err := j.Bounds(within(t)); err != nil || (b.First > 1) != full {
		t.Fatalf("bounds %+v, %v", b, err)
	}
	closeTest(t, j)
	return path, clock
}

// contents reads all of a stopped journal.
func contents(t *testing.T, path string, key *Key) []Record {
	t.Helper()
	f, err := OpenFile(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recs, gaps := readAll(t, f, Range{})
	if gaps != nil {
		t.Errorf("gaps %v", gaps)
	}
	return recs
}

// moved gives a closed journal another place, where nothing verifies it when the
// test ends.
func moved(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(path))
}

func sameRecords(a, b []Record) bool {
	return slices.EqualFunc(a, b, func(x, y Record) bool {
		return x.Seq == y.Seq && x.Session == y.Session && x.Type == y.Type && x.Time.Equal(y.Time) && bytes.Equal(x.Wire, y.Wire)
	})
}

// A stopped journal is as small as its records allow afterwards, holds the
// newest of them that the limits allow, and goes on.
func TestVacuumStopped(t *testing.T) {
	for name, c := range map[string]struct {
		full   bool
		limits Limits
		first  func(first, last uint64) bool // of what is left
	}{
		"all":          {false, Limits{}, func(first, last uint64) bool { return first == 1 }},
		"a full ring":  {true, Limits{}, nil},
		"by size":      {false, Limits{MaxSize: MinMaxSize}, func(first, last uint64) bool { return first > last/4 }},
		"by age":       {false, Limits{MaxAge: 25 * time.Hour}, func(first, last uint64) bool { return first > last/2 && first <= 2*last/3+1 }},
		"by both":      {false, Limits{MaxSize: 3 << 20, MaxAge: 25 * time.Hour}, func(first, last uint64) bool { return first > last/2 && first <= 2*last/3+1 }},
		"all too old":  {false, Limits{MaxAge: time.Minute}, func(first, last uint64) bool { return first == last+1 }},
		"size no care": {false, Limits{MaxSize: 1 << 30}, func(first, last uint64) bool { return first == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := aged(t, nil, c.full)
			was := contents(t, path, nil)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Vacuum(within(t), path, nil, c.limits)
			if err != nil {
				t.Fatal(err)
			}
			after, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if v.Before != before.Size() || v.After != after.Size() || v.After >= v.Before {
				t.Errorf("%+v, the file had %d bytes and has %d", v, before.Size(), after.Size())
			}
			if size := c.limits.MaxSize; size != 0 && v.After > size {
				t.Errorf("the file has %d bytes of %d", v.After, size)
			}
			if after.Mode() != 0o600 {
				t.Errorf("mode %v", after.Mode())
			}
			if _, err := Verify(path, nil); err != nil {
				t.Error(err)
			}
			last := was[len(was)-1].Seq
			if c.first != nil && !c.first(v.First, last) {
				t.Errorf("records from %d of %d are left", v.First, last)
			}
			left := was[len(was)-int(last-v.First+1):]
			if v.Last != last || v.Evicted != uint64(len(was)-len(left)) || !sameRecords(contents(t, path, nil), left) {
				t.Errorf("%+v of %d records: other records are left", v, len(was))
			}
			if stored := storedBytes(t, path); v.After > stored*11/10+64<<10 {
				t.Errorf("%d stored bytes take %d bytes", stored, v.After)
			}
			if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db"}) {
				t.Errorf("the folder holds %q", got)
			}
			j := openTest(t, path, Options{})
			appendAll(t, j, bw(1, 100)...)
			if b, err := j.Bounds(within(t)); err != nil || b.Last != last+100 {
				t.Errorf("then %+v, %v", b, err)
			}
			ss, err := j.Sessions(within(t))
			if err != nil || ss[len(ss)-1].ID != 3 {
				t.Errorf("sessions %+v, %v", ss, err)
			}
			closeTest(t, j)
		})
	}
}

// storedBytes is what all batches of a stopped journal have together.
func storedBytes(t *testing.T, path string) (n int64) {
	t.Helper()
	opt, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(path, opt, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	err = s.view(func(tx *txn) error {
		return eachBatch(tx, func(h header) bool { n += int64(h.size()); return true })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestVacuumTwiceChangesNothing(t *testing.T) {
	path, _ := aged(t, nil, true)
	first, err := Vacuum(within(t), path, nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Vacuum(within(t), path, nil, Limits{})
	if err != nil || second.After != first.After || second.Evicted != 0 {
		t.Errorf("first %+v, then %+v, %v", first, second, err)
	}
}

// liveBlock returns the bytes of a block that the tree of a stopped journal
// leads to: others may lie in free pages.
func liveBlock(t *testing.T, path string) []byte {
	t.Helper()
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Fetch(within(t), 1, Range{})
	if err != nil {
		t.Fatal(err)
	}
	h, _, _, err := splitEnvelope(st.Data) // the sealer may not have come to it: then there are several
	if err != nil {
		t.Fatal(err)
	}
	return st.Data[:h.size()]
}

func TestVacuumRefuses(t *testing.T) {
	path, _ := aged(t, nil, false)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	opt, err := vacuumOptions(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	opt.freeSpace = func(string) (int64, error) { return 1<<20 + 64<<10, nil }
	if _, err := vacuumFile(within(t), path, opt, Limits{}); err == nil || !strings.Contains(err.Error(), "the copy needs ") {
		t.Errorf("without room: %v", err)
	}
	opt.MaxAge = time.Minute
	if _, err := vacuumFile(within(t), path, opt, Limits{MaxAge: time.Minute}); err != nil {
		t.Errorf("without room, but nothing to keep: %v", err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, l := range []Limits{{MaxSize: 1}, {MaxSize: -1}, {MaxAge: -1}} {
		if _, err := Vacuum(within(t), path, nil, l); !errors.Is(err, ErrLimit) {
			t.Errorf("%+v: %v, want ErrLimit", l, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Vacuum(ended, path, nil, Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended: %v", err)
	}
	if _, err := Vacuum(within(t), path+"no", nil, Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
	// A copy of damage would be all that is left.
	sound := bytes.Clone(whole)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	live := liveBlock(t, path)
	if !bytes.Contains(whole, live) {
		t.Fatal("the first block is not in the file")
	}
	hurt := bytes.Clone(live)
	hurt[headerSize+100] ^= 1
	whole = bytes.ReplaceAll(whole, live, hurt) // what a commit has left of it too
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	var d *DamageError
	if _, err := Vacuum(within(t), path, nil, Limits{}); !errors.As(err, &d) {
		t.Errorf("damaged: %v", err)
	}
	now, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the damaged file was changed, %v", err)
	}
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db"}) {
		t.Errorf("the folder holds %q", got)
	}
}

// While a journal is vacuumed, again and again, everything that is appended is
// recorded once and read once by who follows, from the window and from the
// file.
func TestVacuumRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	opt := Options{MaxSize: 64 << 20, sealBytes: 32 << 10, windowBytes: 64 << 10}
	j := openTest(t, path, opt)
	appendAll(t, j, bw(1, 1)...)
	total := scaled(60_000, 10_000)
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, from := range map[string]uint64{"live": 0, "from the beginning": 1} {
		// Before anything more is appended: a live cursor begins at the end of
		// its moment.
		c := j.NewCursor(from, event.AllTypes())
		wg.Go(func() {
			defer c.Close()
			if from == 0 {
				from = 2
			}
			for next := from; next <= uint64(total); {
				ch, err := c.Next(within(t))
				if err != nil || ch.Gap != nil {
					t.Errorf("%s: gap %v, %v", name, ch.Gap, err)
					return
				}
				for _, r := range ch.Records {
					if r.Seq != next {
						t.Errorf("%s: record %d, want %d", name, r.Seq, next)
						return
					}
					next++
				}
				if ch.empty() {
					select {
					case <-c.Ready():
					case <-within(t).Done():
						t.Errorf("%s: nothing comes after %d", name, next)
						return
					}
				}
			}
		})
	}
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for i := 1; i < total; i += 100 {
			n := min(100, total-i)
			evs := bw(i+1, n)
			if i%1000 == 1 {
				evs[0] = raw("650 CIRC %d %s", i, noise(i, 30<<10))
			}
			if err := j.Append(within(t), evs...); err != nil {
				t.Error(err)
				return
			}
		}
		if err := j.Flush(within(t)); err != nil {
			t.Error(err)
		}
	})
	vacuums := 0
	for ; vacuums < 3 || !isClosed(done); vacuums++ {
		v, err := j.Vacuum(within(t), Limits{})
		if err != nil || v.Evicted != 0 || v.First != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		if _, err := OpenFile(path, nil); !errors.Is(err, ErrLocked) {
			t.Fatalf("the file is not locked: %v", err)
		}
	}
	wg.Wait()
	v, err := j.Vacuum(within(t), Limits{})
	if err != nil || v.Last != uint64(total) {
		t.Fatalf("%+v, %v", v, err)
	}
	// A block that is sealed just now lets the file grow by one step.
	if size := j.Stats().Size; size < v.After || size > v.After+int64(2*allocSize(opt.MaxSize)) {
		t.Errorf("the file has %d bytes, want %d", size, v.After)
	}
	t.Logf("%d vacuums, %d bytes at last", vacuums, v.After)
	closeTest(t, j)
	if got := contents(t, path, nil); len(got) != total {
		t.Errorf("%d records of %d", len(got), total)
	}
}

// A vacuum for limits of its own evicts once; cursors are told.
func TestVacuumRunningEvicts(t *testing.T) {
	path, clock := aged(t, nil, false)
	j := openTest(t, path, Options{MaxSize: 8 << 20, Now: clock.Now})
	first := j.NewCursor(1, event.AllTypes())
	defer first.Close()
	v, err := j.Vacuum(within(t), Limits{MaxAge: 25 * time.Hour})
	if err != nil || v.First < 1000 || v.Evicted != v.First-1 {
		t.Fatalf("%+v, %v", v, err)
	}
	recs, gaps, _ := drain(t, first)
	if !slices.Equal(gaps, []Gap{{1, v.First - 1}}) || !slices.Equal(numbers(recs), span(v.First, v.Last)) {
		t.Errorf("a cursor gets %d records from %d, gaps %v; want %d to %d", len(recs), recs[0].Seq, gaps, v.First, v.Last)
	}
	if l := j.Limits(); l != (Limits{MaxSize: 8 << 20}) {
		t.Errorf("limits %+v", l)
	}
	for i := range 3 {
		appendAll(t, j, raw("650 CIRC %d %s", i, noise(1000+i, 600<<10)))
	}
	if w, err := j.Vacuum(within(t), Limits{MaxSize: MinMaxSize}); err != nil || w.After > MinMaxSize || w.First <= v.First {
		t.Errorf("then %+v, %v", w, err)
	}
	appendAll(t, j, bw(1, 7)...)
	if b, err := j.Bounds(within(t)); err != nil || b.Last != v.Last+10 {
		t.Errorf("bounds %+v, %v", b, err)
	}
	// Its own limits go on to hold.
	if err := j.SetLimits(within(t), Limits{MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	clock.step(2 * time.Hour)
	if w, err := j.Vacuum(within(t), Limits{}); err != nil || w.First <= w.Last {
		t.Errorf("all is too old: %+v, %v", w, err)
	}
}

// What is lowered holds after the vacuum.
func TestLoweredLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{MaxSize: 64 << 20})
	fill(t, j, 40<<20)
	closeTest(t, j)
	opened := func(j *Journal) {
		t.Helper()
		if st := j.Stats(); st.Size <= st.MaxSize {
			t.Fatalf("%d bytes of %d before the vacuum", st.Size, st.MaxSize)
		}
		if int64(j.store.db.MaxSize) < j.store.fileSize() {
			t.Errorf("bbolt may use %d bytes of the %d that are there", j.store.db.MaxSize, j.store.fileSize())
		}
		appendAll(t, j, bw(1, 10)...)
		v, err := j.Vacuum(within(t), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if st := j.Stats(); st.Size > st.MaxSize || v.After > st.Size || v.After < st.MaxSize/3 {
			t.Errorf("%d bytes of %d after %+v", st.Size, st.MaxSize, v)
		}
		fill(t, j, 3<<20)
		if st := j.Stats(); st.Size > st.MaxSize {
			t.Errorf("%d bytes of %d", st.Size, st.MaxSize)
		}
	}
	j = openTest(t, path, Options{MaxSize: 20 << 20})
	opened(j)
	if err := j.SetLimits(within(t), Limits{MaxSize: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	opened(j)
	if err := j.SetLimits(within(t), Limits{MaxSize: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	fill(t, j, 6<<20)
	if st := j.Stats(); st.Size > 4<<20 || st.Size < 3<<20 {
		t.Errorf("%d bytes after the limit was raised to 4 MiB", st.Size)
	}
	if err := j.SetLimits(within(t), Limits{MaxSize: 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("SetLimits: %v, want ErrLimit", err)
	}
}

// A vacuum keeps what comes behind a border between two batches of the tail.
// Meanwhile no batch grows over it.
func TestVacuumFromTheMiddleOfTheTail(t *testing.T) {
	clock := &stepClock{now: noon}
	j := openTest(t, "", Options{walPages: noLog, Now: clock.Now, clocks: clock.since(noon)})
	tail := func() (all []header) {
		if err := j.inWriter(within(t), func(w *writer) error { all = slices.Clone(w.tail.batches); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	n := 0
	for len(tail()) < 3 { // the last two grow, one into the other
		appendAll(t, j, raw("650 NOTICE %s", noise(n, 300)))
		n++
	}
	clock.step(growSpan / 2)
	appendAll(t, j, raw("650 NOTICE %s", noise(n, 300)))
	n++
	border := tail()[2].first
	c, err := j.beginVacuum(within(t), Limits{MaxAge: growSpan / 4})
	if err != nil {
		t.Fatal(err)
	}
	defer c.discard()
	if err := c.begin(); err != nil || c.from != border {
		t.Fatalf("it begins with record %d, not %d, %v: nothing is tested", c.from, border, err)
	}
	for range 250 {
		appendAll(t, j, raw("650 NOTICE %s", noise(n, 300)))
		n++
	}
	var v Vacuumed
	if err := j.inWriter(within(t), func(w *writer) error { return j.swapIn(w, c, &v) }); err != nil || v.First != border {
		t.Fatalf("%+v, %v; want it to begin with %d", v, err, border)
	}
	if err := c.old.close(); err != nil {
		t.Error(err)
	}
	j.letRepack(within(t))
	if recs, gaps := readAll(t, j, Range{}); gaps != nil || !slices.Equal(numbers(recs), span(border, uint64(n))) {
		t.Errorf("%d records of %d to %d, gaps %v", len(recs), border, n, gaps)
	}
}

// Whatever step a vacuum has come to when the process is killed, the next
// opening finds all that was published, in a file that nobody else had.
func TestVacuumKilledAtAnyStep(t *testing.T) {
	for _, c := range []struct {
		running  bool
		from, to *Key
	}{{true, testKey(t), testKey(t)}, {false, nil, nil}, {true, nil, nil}, {false, nil, testKey(t)}, {false, testKey(t), nil}}[:scaled(5, 1)] {
		running := c.running
		path, clock := aged(t, c.from, true)
		path = moved(t, path) // it may get another key
		want := contents(t, path, c.from)
		var steps []string
		var j *Journal
		step := func(name string) {
			steps = append(steps, name)
			key := c.from
			if name == "swap" || name == "close" {
				key = c.to
			}
			if f, err := OpenFile(path, key); !errors.Is(err, ErrLocked) && name != "close" {
				t.Errorf("running %v, %s: the journal is not locked: %v, %v", running, name, f, err)
			}
			image := filepath.Join(t.TempDir(), "image")
			if err := os.CopyFS(image, os.DirFS(filepath.Dir(path))); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(image, "journal.db")
			if _, err := Verify(file, key); err != nil {
				t.Errorf("running %v, %s: %v", running, name, err)
			}
			got := contents(t, file, key)
			if !sameRecords(got, want) {
				t.Errorf("running %v, %s: %d records, want %d", running, name, len(got), len(want))
			}
			closeTest(t, openTest(t, file, Options{Key: key, MaxSize: 4 << 20}))
			if left := names(t, image); !slices.Equal(left, []string{"journal.db"}) {
				t.Errorf("running %v, %s: afterwards the folder holds %q", running, name, left)
			}
		}
		if running {
			j = openTest(t, path, Options{Key: c.from, MaxSize: 4 << 20, Now: clock.Now, vacuumStep: step})
			if _, err := j.Vacuum(within(t), Limits{}); err != nil {
				t.Fatal(err)
			}
		} else {
			opt, err := vacuumOptions(path, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			opt.vacuumStep, opt.Key = step, c.from
			if _, err := rewriteFile(within(t), path, opt, c.to, Limits{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(steps) != 2 {
			t.Errorf("steps %q", steps)
		}
	}
}

// One at a time, none after the end, and none that was not to be.
func TestVacuumRunningRefuses(t *testing.T) {
	path, clock := aged(t, nil, false)
	var again atomic.Bool
	var j *Journal
	var space atomic.Int64
	space.Store(1 << 40)
	j = openTest(t, path, Options{MaxSize: 8 << 20, Now: clock.Now, freeSpace: func(string) (int64, error) { return space.Load(), nil },
		vacuumStep: func(string) {
			if _, err := j.Vacuum(within(t), Limits{}); errors.Is(err, ErrVacuuming) {
				again.Store(true)
			}
		}})
	if _, err := j.Vacuum(within(t), Limits{}); err != nil || !again.Load() {
		t.Errorf("%v; a second was refused: %v", err, again.Load())
	}
	space.Store(1 << 20)
	if _, err := j.Vacuum(within(t), Limits{}); err == nil || !strings.Contains(err.Error(), "the copy needs") {
		t.Errorf("without room: %v", err)
	}
	if _, err := j.Vacuum(within(t), Limits{MaxSize: 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("with 1 byte: %v", err)
	}
	space.Store(1 << 40)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Vacuum(ended, Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended: %v", err)
	}
	appendAll(t, j, bw(1, 5)...)
	closeTest(t, j)
	if _, err := j.Vacuum(within(t), Limits{}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db"}) {
		t.Errorf("the folder holds %q", got)
	}
}

// A journal that is closed in the middle of a vacuum ends it and is whole.
func TestCloseEndsVacuum(t *testing.T) {
	for i := range scaled(4, 2) {
		path, clock := aged(t, nil, false)
		want := contents(t, path, nil)
		j := openTest(t, path, Options{MaxSize: 8 << 20, Now: clock.Now})
		got := make(chan error, 1)
		go func() {
			_, err := j.Vacuum(within(t), Limits{})
			got <- err
		}()
		time.Sleep(time.Duration(3*i) * time.Millisecond)
		closeTest(t, j)
		if err := <-got; err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if !sameRecords(contents(t, path, nil), want) {
			t.Error("records are missing")
		}
		if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db"}) {
			t.Errorf("the folder holds %q", got)
		}
	}
}

// Of what was evicted not a byte is left after a vacuum: no text, and no
// envelope that tells its numbers and its time.
func TestVacuumLeavesNoTrace(t *testing.T) {
	for _, running := range []bool{false, true} {
		clock := &stepClock{now: time.Now().Add(-48 * time.Hour)}
		path := filepath.Join(t.TempDir(), "journal.db")
		j := openTest(t, path, Options{MaxSize: 8 << 20, sealBytes: 8 << 10, Now: clock.Now})
		for i := range 200 { // short ones are stored as they are
			if i == 100 {
				clock.step(24 * time.Hour)
			}
			appendAll(t, j, raw("650 CIRC %d target%d.example", i, i))
			if i%10 == 0 {
				appendAll(t, j, raw("650 STREAM %d target%d.example %s", i, i, noise(i, 9<<10)))
			}
		}
		clock.step(24 * time.Hour)
		b, err := j.Bounds(within(t))
		if err != nil {
			t.Fatal(err)
		}
		l := Limits{MaxAge: 30 * time.Hour}
		var v Vacuumed
		if running {
			v, err = j.Vacuum(within(t), l)
			closeTest(t, j)
		} else {
			closeTest(t, j)
			if traces(t, path, 1<<62) == 0 {
				t.Fatal("the search does not find what is there")
			}
			v, err = Vacuum(within(t), path, nil, l)
		}
		if err != nil || v.First < 50 || v.First > 120 || v.Last != b.Last {
			t.Fatalf("%+v of %d, %v", v, b.Last, err)
		}
		if n := traces(t, path, v.First); n != 0 {
			t.Errorf("running %v: %d traces of evicted records are in the file", running, n)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kept := contents(t, path, nil)
		var words []string
		for _, r := range kept {
			words = append(words, strings.Fields(string(r.Wire))[3])
		}
		for i := range 200 {
			word := fmt.Sprintf("target%d.example", i)
			if bytes.Contains(data, []byte(" "+word)) && !slices.Contains(words, word) {
				t.Errorf("running %v: %s is in the file", running, word)
			}
		}
	}
}

// traces counts envelopes anywhere in the file that begin before record first.
func traces(t *testing.T, path string, first uint64) (n int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for {
		i := bytes.Index(data, []byte(magic))
		if i < 0 {
			return n
		}
		if data = data[i:]; len(data) > headerSize && binary.BigEndian.Uint64(data[16:]) < first {
			n++
		}
		data = data[4:]
	}
}

// Records that shall be kept are sealed, together with some that shall not,
// before the copy has come to them: the block is kept as a whole.
func TestVacuumMeetsASealOfWhatItLeavesOut(t *testing.T) {
	clock := &stepClock{now: time.Now()}
	j := openTest(t, "", Options{walPages: noLog, MaxSize: 4 << 20, sealBytes: 64 << 10, growBytes: 1, Now: clock.Now, clocks: clock.since(clock.now)})
	for range 10 {
		appendAll(t, j, bw(1, 10)...)
		clock.step(time.Minute)
	}
	c, err := j.beginVacuum(within(t), Limits{MaxAge: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.discard()
	if err := c.begin(); err != nil || c.from <= 1 || c.from > 100 {
		t.Fatalf("it keeps from %d, %v", c.from, err)
	}
	appendAll(t, j, raw("650 CIRC 1 %s", noise(1, 50<<10)))
	waitForSeal(t, j)
	var v Vacuumed
	last := j.win.published()
	if err := j.inWriter(within(t), func(w *writer) error { return j.swapIn(w, c, &v) }); err != nil {
		t.Fatal(err)
	}
	if recs, gaps := readAll(t, j, Range{}); v.First != 1 || v.Last != last || gaps != nil || !slices.Equal(numbers(recs), span(1, last)) {
		t.Errorf("%+v, gaps %v; want all of %d", v, gaps, last)
	}
}

// What the ring gives up while it is copied is in the copy already. It does
// not stay there, not even in a page that is free.
func TestVacuumWipesWhatIsEvictedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{MaxSize: 2 << 20})
	fill(t, j, 4<<20)
	c, err := j.beginVacuum(within(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.discard()
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		if more, err = c.blocks(); err != nil {
			t.Fatal(err)
		}
	}
	first, err := j.store.firstNumber()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.SetLimits(within(t), Limits{MaxSize: MinMaxSize}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, bw(1, 10)...)
	var v Vacuumed
	if err := j.inWriter(within(t), func(w *writer) error { return j.swapIn(w, c, &v) }); err != nil {
		t.Fatal(err)
	}
	if v.First <= first {
		t.Fatalf("nothing was evicted after record %d: %+v", first, v)
	}
	closeTest(t, j)
	if n := traces(t, path, v.First); n != 0 {
		t.Errorf("%d traces of evicted records are in the file", n)
	}
}
