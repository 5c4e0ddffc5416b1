package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

// A batch that has grown is, byte for byte, the batch of all its records.
func TestJoinIsOneBatch(t *testing.T) {
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1e9, 0)
	record := func(seq uint64, after time.Duration, wire string) Record {
		return Record{Seq: seq, Session: 3, Time: start.Add(after).UTC(), Type: event.TypeOf([]byte(wire)), Wire: []byte(wire)}
	}
	for name, recs := range map[string][]Record{
		"two":                 {record(7, 0, "650 BW 1 2\r\n"), record(8, time.Second, "650 BW 3 4\r\n")},
		"the clock goes back": {record(7, time.Hour, "650 BW 1 2\r\n"), record(8, 0, "650 CIRC 1 BUILT\r\n"), record(9, time.Minute, "650 BW 3 4\r\n")},
		"unknown types":       {record(7, 0, "650 NEW_ONE 1\r\n"), record(8, 1e6, "650 NEWER 2\r\n"), record(9, 2e6, "650 NEW_ONE 3\r\n")},
		"live ones between":   {record(7, 0, "650 BW 1 2\r\n"), record(0, 1, "650 DEBUG a\r\n"), record(8, 2, "650 BW 3 4\r\n"), record(0, 3, "650 DEBUG b\r\n")},
		"compressed": slices.Collect(func(yield func(Record) bool) {
			for i := range uint64(100) {
				if !yield(record(7+i, time.Duration(i)*time.Second, "650 BW 5 6\r\n")) {
					return
				}
			}
		}),
	} {
		want, data := enc.encode(recs)
		for cut := 1; cut < len(recs); cut++ {
			a, b := recs[:cut], recs[cut:]
			if recorded(b).total() == 0 {
				continue
			}
			of := func(recs []Record) *growing {
				return &growing{hdr: headerOf(recs), payload: appendRecords(nil, recs), lastUs: lastArrival(recs)}
			}
			g := join(of(a), of(b))
			if got := enc.pack(&g); g.hdr != want || !bytes.Equal(got, data) || g.lastUs != lastArrival(recs) {
				t.Fatalf("%s, cut at %d: %+v, want %+v", name, cut, g.hdr, want)
			}
		}
	}
}

// A young batch is stored in whatever pieces it came, and reads as one.
func TestYoungBatchReadsAsOne(t *testing.T) {
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1e9, 0)
	for _, size := range []int{1, 100, 240, 255, 256, 257, growBatch - 40} {
		var g growing
		var recs []Record
		for i := range uint64(60) {
			r := Record{Seq: 1 + i, Session: 1, Time: start.Add(time.Duration(i) * time.Second).UTC(), Type: event.NOTICE,
				Wire: []byte("650 NOTICE " + strings.Repeat(fmt.Sprint(i%10), size) + "\r\n")}
			recs = append(recs, r)
			h, data := enc.encode(recs[i:])
			now := growing{hdr: h, payload: appendRecords(nil, recs[i:]), stored: data[headerSize:], lastUs: lastArrival(recs)}
			if i > 0 {
				before := g
				now = join(&before, &now)
				data = enc.packYoung(&now, &before)
			}
			g = now
			got, payload, rest, err := splitEnvelope(data)
			if err != nil || len(rest) != 0 || got != g.hdr {
				t.Fatalf("size %d, %d records: %+v, want %+v, %v", size, i+1, got, g.hdr, err)
			}
			if back, err := decodeBatch(got, payload, event.Set{}); err != nil || !sameRecords(back, recs) {
				t.Fatalf("size %d: %d records of %d, %v", size, len(back), len(recs), err)
			}
		}
		if g.hdr.codec != codecZstd {
			t.Errorf("size %d: codec %d at last, want zstd", size, g.hdr.codec)
		}
	}
}

// Where there was time to prepare, no small batch waits for zstd, whatever it
// goes with, and all of it reads as it came.
func TestPreparedGrowthPacksNothing(t *testing.T) {
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1e9, 0)
	for _, size := range []int{1, 20, 200, 300} {
		g, tl := grower{most: growBatch}, tail{sealAt: 4 << 20}
		var stored []Record // of the batches before the last two
		var ends [][]Record // of those
		grew := map[int]int{}
		for i := range uint64(3000) {
			r := Record{Seq: 1 + i, Session: 1, Time: start.Add(time.Duration(i) * time.Second / 10).UTC(), Type: event.NOTICE,
				Wire: []byte("650 NOTICE " + strings.Repeat(fmt.Sprint(i%10), size) + "\r\n")}
			b := &batch{recs: []Record{r}}
			b.hdr, b.data = (&encoder{plain: enc.plain}).encode(b.recs)
			grown := g.plan(&encoder{}, &tl, b) // it has no zstd
			n := len(grown.replaces)
			grew[n]++
			recs := append(slices.Concat(ends[len(ends)-n:]...), r)
			ends = append(ends[:len(ends)-n], recs)
			for len(ends) > 2 {
				stored, ends = append(stored, ends[0]...), ends[1:]
			}
			h, payload, rest, err := splitEnvelope(grown.data)
			if err != nil || len(rest) != 0 || h != grown.hdr {
				t.Fatalf("size %d, record %d: %+v, want %+v, %v", size, i, h, grown.hdr, err)
			}
			if back, err := decodeBatch(h, payload, event.Set{}); err != nil || !sameRecords(back, recs) {
				t.Fatalf("size %d, record %d: %d records of %d, %v", size, i, len(back), len(recs), err)
			}
			tl.grow(n, h)
			g.settled(grown)
			if g.unprepared() {
				g.prepare(enc, &tl)
			}
		}
		if len(stored)+len(slices.Concat(ends...)) != 3000 || grew[1] == 0 || grew[2] == 0 {
			t.Errorf("size %d: what was replaced: %v", size, grew)
		}
	}
}

// What may grow, and what stays as it is.
func TestGrowthOfTheTail(t *testing.T) {
	one := func(i int) []event.Event { return bw(i, 1) }
	batches := func(j *Journal) (out []header) {
		if err := j.store.view(func(tx *txn) error { return eachBatch(tx, func(h header) bool { out = append(out, h); return true }) }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Run("single events", func(t *testing.T) {
		j := openTest(t, "", Options{walPages: noLog})
		for i := range 3000 {
			appendAll(t, j, one(i)...)
		}
		got := batches(j)
		if len(got) > 6 || got[len(got)-1].last != 3000 {
			t.Errorf("%d batches for 3,000 events: %+v", len(got), got)
		}
		for _, h := range got {
			if h.raw > oldRaw {
				t.Errorf("a batch has grown to %d bytes", h.raw)
			}
		}
		if recs, gaps := readAll(t, j, Range{}); gaps != nil || !slices.Equal(numbers(recs), span(1, 3000)) {
			t.Errorf("%d records, gaps %v", len(recs), gaps)
		}
	})
	t.Run("large commits", func(t *testing.T) {
		j := openTest(t, "", Options{walPages: noLog})
		for i := range 10 {
			appendAll(t, j, raw("650 NOTICE %s", noise(i, growBatch)))
		}
		if got := batches(j); len(got) != 10 {
			t.Errorf("%d batches, want 10", len(got))
		}
	})
	t.Run("sessions", func(t *testing.T) {
		j := openTest(t, "", Options{walPages: noLog})
		for i := range 4 {
			if _, _, err := j.BeginSession(within(t), event.Source{Name: fmt.Sprint(i), PID: i + 1}); err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, one(i)...)
			appendAll(t, j, one(i)...)
		}
		if got := batches(j); len(got) != 4 {
			t.Errorf("%d batches for 4 sessions: %+v", len(got), got)
		}
	})
	t.Run("times", func(t *testing.T) {
		j := openTest(t, "", Options{walPages: noLog})
		for i := range 5 {
			ev := Arrival{Time: time.Unix(1e9, 0).Add(time.Duration(i) * 40 * time.Minute), Wire: []byte("650 BW 1 2\r\n")}
			if err := j.Import(within(t), []Arrival{ev}); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range batches(j) {
			if d := time.Duration(h.maxTime-h.minTime) * time.Microsecond; d > growSpan {
				t.Errorf("a batch spans %v", d)
			}
		}
	})
}

// What leaves the tail with a commit does not grow by it, and what grows is not
// given up by the same commit, however little room there is.
func TestGrowthAndWhatLeaves(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog})
	for i := range 3 {
		appendAll(t, j, bw(i, 1)...) // one batch
	}
	err := j.inWriter(within(t), func(w *writer) error {
		b := w.number([]item{{wire: []byte("650 BW 1 2\r\n"), typ: event.BW, bit: bitOf(event.BW), us: 1}}, nil)
		b.recs[0].Time, b.recs[0].Session = arrival(w.tail.batches[0].maxTime), w.tail.batches[0].session
		w.encode(b)
		c := &change{batch: b}
		if c.grown = w.grow(c); len(c.replaced()) != 1 {
			t.Fatalf("it takes the place of %v: nothing is tested", c.replaced())
		}
		errBack := errors.New("nothing is to be written")
		err := j.store.update(func(tx *txn) error {
			if err := j.committer.evict(tx, c, -1000, j.store.pageSize()); err != nil {
				return err
			}
			given, err := evicted(tx)
			if given > 0 {
				t.Errorf("records up to %d are given up, and grow", given)
			}
			return errors.Join(err, errBack)
		})
		if !errors.Is(err, errBack) {
			return err
		}
		c.promote = w.tail.batches
		if c.grown = w.grow(c); len(c.replaced()) != 0 {
			t.Errorf("what leaves the tail grows: %v", c.replaced())
		}
		w.grower.forget()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The pages that one event costs: the root page, the list of free pages and a
// meta page, and now and then those of a tail that moves on. In a ring that is
// full and has gone round the list of free pages stays short.
func TestPagesWrittenPerCommit(t *testing.T) {
	commits := scaled(1000, 300)
	for _, c := range []struct {
		name  string
		aged  bool
		bytes int
	}{
		{"young", false, 17 << 10},
		{"aged, full", true, 20 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := openTest(t, "", Options{MaxSize: 16 << 20})
			for i := 0; c.aged && j.Stats().First <= 20_000; i++ {
				evs := bw(i, 64+i*7%1900)
				for k := range evs {
					if k%64 == 0 {
						evs[k] = raw("650 NOTICE %s", noise(i*2000+k, 14<<10))
					}
				}
				appendAll(t, j, evs...)
			}
			settleRing(t, j)
			written := 0
			if err := j.inWriter(within(t), func(*writer) error {
				writeHook(t, j.store.db, func(b []byte, _ int64) error { written += len(b); return nil })
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for i := range commits {
				appendAll(t, j, bw(i, 1)...)
			}
			if err := j.Flush(within(t)); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes a commit", written/commits)
			if each := written / commits; each > c.bytes {
				t.Errorf("%d bytes a commit, at most %d should do", each, c.bytes)
			}
		})
	}
}

// The disk did not write the newest root page: what lay in its place is an
// older one. All of a small tail lies in it, and all else is whole.
func TestDamageUnwrittenRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog})
	size, roots := os.Getpagesize(), 0
	seen := map[uint64]bool{}
	for i := range 12 {
		before, meta := fileNow(t, path)
		seen[meta.root] = true
		appendAll(t, j, bw(i, 1)...)
		now, meta := fileNow(t, path)
		if at := int(meta.root) * size; at+size <= len(before) {
			copy(now[at:][:size], before[at:])
		} else {
			continue
		}
		file := filepath.Join(t.TempDir(), "unwritten.db")
		if err := os.WriteFile(file, now, 0o600); err != nil {
			t.Fatal(err)
		}
		if seen[meta.root] {
			roots++
		}
		if _, err := OpenFile(file, nil); err == nil {
			t.Errorf("commit %d: a reader opens it", i)
		}
		if _, err := Verify(file, nil); err == nil {
			t.Errorf("commit %d: Verify finds nothing", i)
		}
		if _, err := Open(file, Options{}); err == nil || !strings.Contains(err.Error(), "salvage") {
			t.Errorf("commit %d: Open says %v", i, err)
		}
	}
	if roots < 3 {
		t.Errorf("%d root pages came where one had been: nothing is tested", roots)
	}
}

// The disk did not write the root pages of the last commits: none of the two
// that the file knows is what its commit has made.
func TestDamageUnwrittenRoots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog})
	size, tested := os.Getpagesize(), 0
	var last boltMeta
	var images [][]byte // after each commit
	for i := range 16 {
		appendAll(t, j, bw(i, 1)...)
		now, meta := fileNow(t, path)
		images = append(images, now)
		before := last
		if last = meta; i < 4 {
			continue // no page of before had been a root
		}
		now = bytes.Clone(now)
		for back, root := range []uint64{meta.root, before.root} {
			at := int(root) * size
			copy(now[at:][:size], images[i-1-back][at:])
		}
		if signature(bytes.NewReader(now), meta) == 0 || signature(bytes.NewReader(now), before) == 0 {
			continue // one of them was no root page: others see that
		}
		tested++
		file := filepath.Join(t.TempDir(), "unwritten.db")
		if err := os.WriteFile(file, now, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(file, nil); err == nil || !strings.Contains(err.Error(), "newest records") {
			t.Errorf("commit %d: a reader that opens it says %v", i, err)
		}
	}
	if tested < 3 {
		t.Errorf("%d pairs of root pages came where root pages had been: nothing is tested", tested)
	}
}

// A program that does not sign root pages may write in between, and a crash may
// cut short what is written after it: then the root page of the commit before
// the last may be one of a commit that never was.
func TestUnsignedRootsAreNoDamage(t *testing.T) {
	for _, commits := range []int{1, 2, 3} {
		path := filepath.Join(t.TempDir(), "journal.db")
		j := openTest(t, path, Options{walPages: noLog})
		for i := range 5 {
			appendAll(t, j, bw(i, 1)...)
		}
		closeTest(t, j)
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range commits {
			if err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketSessions).SetSequence(uint64(i)) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		unsigned, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		j = openTest(t, path, Options{walPages: noLog})
		appendAll(t, j, bw(5, 1)...)
		if recs, gaps := readAll(t, j, Range{}); gaps != nil || len(recs) != 6 {
			t.Errorf("after %d commits: %d records, gaps %v", commits, len(recs), gaps)
		}
		crashed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		closeTest(t, j)
		copy(crashed[:2*os.Getpagesize()], unsigned) // no meta page names what was written
		if err := os.WriteFile(path, crashed, 0o600); err != nil {
			t.Fatal(err)
		}
		j = openTest(t, path, Options{walPages: noLog})
		if recs, gaps := readAll(t, j, Range{}); gaps != nil || len(recs) != 5 {
			t.Errorf("after %d commits and a crash: %d records, gaps %v", commits, len(recs), gaps)
		}
		closeTest(t, j)
	}
}

// settleRing returns when the journal has nothing more to do by itself.
func settleRing(t *testing.T, j *Journal) {
	t.Helper()
	for idle := false; !idle; time.Sleep(2 * lull) {
		before := j.Stats().Commits
		if err := j.inWriter(within(t), func(w *writer) error {
			w.turnIdle()
			idle = !w.sealing && w.ready == nil
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		idle = idle && j.Stats().Commits == before
	}
}

// A reader that may have what was published up to a number gets just that of a
// batch that has grown beyond it, whatever was written behind it since.
func TestFetchUpToTheMiddleOfABatch(t *testing.T) {
	j := openTest(t, "", Options{})
	for i := range 6 { // one batch
		appendAll(t, j, bw(i, 1)...)
	}
	appendAll(t, j, raw("650 CIRC 1 %s", noise(1, 2*growBatch))) // another
	for limit := uint64(1); limit <= 7; limit++ {
		for from := uint64(1); from <= limit+1; from++ {
			st, err := j.store.fetch(t.Context(), from, limit, Range{})
			if from > limit {
				if !errors.Is(err, io.EOF) {
					t.Errorf("from %d up to %d: %v, %v", from, limit, st, err)
				}
				continue
			}
			if err != nil || st.Last != limit || st.First > from {
				t.Errorf("from %d up to %d: %d to %d, %v", from, limit, st.First, st.Last, err)
				continue
			}
			recs, err := st.Decode(noTypes)
			if err != nil || recs[len(recs)-1].Seq != limit {
				t.Errorf("from %d up to %d: %v, %v", from, limit, numbers(recs), err)
			}
		}
		_, err := j.store.fetch(t.Context(), 1, limit, Range{Types: event.NewSet(event.STREAM)})
		if !errors.Is(err, io.EOF) {
			t.Errorf("nothing wanted up to %d: %v", limit, err)
		}
	}
}
