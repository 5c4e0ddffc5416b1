package journal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

var (
	soak     = flag.Bool("soak", false, "run the long forms of the random tests")
	seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: another one each time")
)

// seeded returns a source of random numbers, and says how to get it again if
// the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat: go test ./journal -run '^%s$' -seed=%d", t.Name(), seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// write is one write of bbolt, and the commit it belongs to.
type write struct {
	off    int64
	data   []byte
	commit int // index of the commit in recording.states that it makes
	kind   writeKind
}

// recording is a history as the disk sees it.
type recording struct {
	path   string
	base   []byte // the file before the first write
	mu     sync.Mutex
	writes []write       // guarded by mu; in order
	states []crashState  // guarded by mu; the file before the first commit, and after each
	done   crashFeatures // guarded by mu; what the history has had
	recs   []Record      // all that a cursor received, record n at n-1
}

// crashState is what a file that holds one commit whole, and nothing of the
// next, must show.
type crashState struct {
	last, evicted uint64
	sessions      []Session
}

// crashFeatures counts what a history must have had to be worth anything; a
// direct append is one whose batch is a block at once.
type crashFeatures struct{ appends, seals, promotes, direct, sessions, evictions, parked, logged int }

func (f crashFeatures) all() bool {
	return min(f.appends, f.seals, f.promotes, f.direct, f.sessions, f.evictions, f.parked, f.logged) >= 1
}

func stateOf(s *store) (st crashState, err error) {
	err = s.view(func(tx *txn) error {
		if st.last, _, err = newest(tx); err != nil {
			return err
		}
		if st.evicted, err = evicted(tx); err != nil {
			return err
		}
		st.sessions, err = sessions(tx)
		return err
	})
	return st, err
}

// recordWrites runs work on a journal and returns what its file has seen.
func recordWrites(t *testing.T, opt Options, work func(*Journal)) *recording {
	t.Helper()
	r := &recording{path: filepath.Join(t.TempDir(), "journal.db")}
	closeTest(t, openTest(t, r.path, opt))
	var err error
	if r.base, err = os.ReadFile(r.path); err != nil {
		t.Fatal(err)
	}
	var j *Journal
	opt.wrapCommit = func(commit commitFunc) commitFunc {
		return func(c *change) (outcome, error) {
			pages := 0
			if err := j.store.view(func(tx *txn) error { pages = parked(tx.bolt); return nil }); err != nil {
				t.Error(err)
			}
			out, err := commit(c)
			st, serr := stateOf(j.store)
			if err != nil && !errors.Is(err, errNoRoom) || serr != nil { // it is tried again when readers have ended
				t.Error(err, serr)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.done.note(c, out, st.evicted > r.states[len(r.states)-1].evicted, pages > 0)
			r.states = append(r.states, st)
			return out, err
		}
	}
	opt.wrapLog = func(log logFunc) logFunc {
		return func(turn logTurn) error {
			err := log(turn)
			if err != nil || len(turn.pages) == 0 {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			st := r.states[len(r.states)-1]
			st.last = turn.pages[len(turn.pages)-1].hdr.last
			r.done.logged++
			r.states = append(r.states, st)
			return nil
		}
	}
	j = openTest(t, r.path, opt)
	first, err := stateOf(j.store)
	if err != nil {
		t.Fatal(err)
	}
	r.states = []crashState{first}
	note := func(b []byte, off int64, kind writeKind) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.writes = append(r.writes, write{off, bytes.Clone(b), len(r.states), kind})
		return nil
	}
	if err := j.inWriter(within(t), func(w *writer) error {
		writeHook(t, j.store.db, func(b []byte, off int64) error { return note(b, off, kindOf(j.store.db, off)) })
		j.store.beforeLog = func(b []byte, off int64) error { return note(b, off, kindInLog(w, off)) }
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	work(j)
	closeTest(t, j)
	return r
}

func (f *crashFeatures) note(c *change, out outcome, evicted, parked bool) {
	for _, has := range []struct {
		it    bool
		count *int
	}{
		{c.batch != nil, &f.appends}, {c.seal != nil && out.sealed, &f.seals}, {len(c.promote) > 0, &f.promotes},
		{c.toBlock, &f.direct}, {c.session != nil, &f.sessions}, {evicted, &f.evictions}, {parked, &f.parked},
	} {
		if has.it {
			*has.count++
		}
	}
}

func (r *recording) features() crashFeatures {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// Power fails at every write: before it all that was synced is on disk, of the
// rest any sectors. Whatever is left opens, holds all that anybody had received
// and nothing that was not appended, and can be written on. That bbolt syncs
// before and after it writes a meta page is TestSyncedBeforeItCounts's.
func TestCrashImages(t *testing.T) {
	t.Parallel()
	plainAndEncrypted(t, testCrashImages)
}

func testCrashImages(t *testing.T, key *Key) {
	r := seeded(t)
	rounds := 1
	if *soak {
		rounds = 100
	}
	for range rounds {
		opt := Options{Key: key, MaxSize: MinMaxSize, sealBytes: 8 << 10, parkLimits: parkOften}
		var recs []Record
		rec := recordWrites(t, opt, func(j *Journal) {
			c := j.NewCursor(0, event.AllTypes())
			defer c.Close()
			crashHistory(t, j, r, func() { // before the ring takes it
				more, _, _ := drain(t, c)
				recs = append(recs, more...)
			})
		})
		for _, r := range recs {
			if r.Seq != 0 {
				rec.recs = append(rec.recs, r)
			}
		}
		if last := rec.states[len(rec.states)-1].last; !slices.Equal(numbers(rec.recs), span(1, last)) {
			t.Fatalf("a cursor that saw everything got %d records of %d", len(rec.recs), last)
		}
		if f := rec.features(); !f.all() {
			t.Errorf("the history had too little of something: %+v", f)
		}
		rec.crashEverywhere(t, opt, r)
		t.Logf("%d images, %+v", len(rec.writes), rec.features())
		if t.Failed() {
			return
		}
	}
}

// crashHistory does a little of everything, in any order, until the ring goes
// round. It calls receive after each step.
func crashHistory(t *testing.T, j *Journal, r *rand.Rand, receive func()) {
	appendAll(t, j, raw("650 CIRC %s", noise(1, 100<<10)))
	for i := range 30 {
		switch n := r.IntN(20); {
		case i < 8 || n < 6:
			appendAll(t, j, bw(i*100, 1+r.IntN(60))...)
		case n < 12:
			if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: i + 1}); err != nil {
				t.Fatal(err)
			}
		case n < 13: // waits in the queue together with what comes next
			if err := j.Append(within(t), append(bw(i*100, 3), event.Live{Event: raw("650 BW 0 0")})...); err != nil {
				t.Fatal(err)
			}
		default: // a block by itself, at once if nothing else is in the tail
			appendAll(t, j, raw("650 CIRC %d %s", i, noise(r.IntN(1<<30), 1+r.IntN(120<<10))))
		}
		receive()
	}
	// What chance has left out, and Close with a tail.
	for i, large := 0, raw("650 CIRC %s", noise(1, 120<<10)); i < 60; i++ {
		appendAll(t, j, large)
		receive()
		if i > 6 {
			waitForSealer(t, j)
			if err := j.park(within(t)); err != nil {
				t.Fatal(err)
			}
		}
		if i%3 == 0 {
			if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: 1000 + i}); err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, bw(i*100, 3)...)
		}
		if j.Stats().First > 10 && i > 12 {
			break
		}
	}
	appendAll(t, j, bw(1, 3)...)
	receive()
}

// waitForSealer returns when nothing is being sealed or waits to be put in.
func waitForSealer(t *testing.T, j *Journal) {
	t.Helper()
	for {
		busy := false
		err := j.inWriter(within(t), func(w *writer) error { busy = w.sealing || w.ready != nil; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if !busy {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// crashEverywhere checks an image of the disk for a power failure at every
// write.
func (r *recording) crashEverywhere(t *testing.T, opt Options, random *rand.Rand) {
	dir, remove := inMemory(t)
	defer remove()
	image := bytes.Clone(r.base) // what is synced for certain
	var epoch []write            // what is not
	for k := range r.writes {
		w := &r.writes[k]
		if k > 0 && synced(r.writes[k-1].kind, w.kind) {
			image = applyWrites(image, epoch, nil)
			epoch = nil
		}
		epoch = append(epoch, *w)
		if k%scaled(1, 11) == 0 {
			r.checkImage(t, dir, k, applyWrites(bytes.Clone(image), epoch, random), opt)
		}
		if t.Failed() {
			return
		}
	}
}

// inMemory returns a new folder where syncs cost nothing, if there is such a
// place: what the disk of an image would do is not of interest.
func inMemory(t interface{ Fatal(...any) }) (dir string, remove func()) {
	dir, err := os.MkdirTemp("/dev/shm", "journal-test-")
	if err != nil {
		dir, err = os.MkdirTemp("", "journal-test-")
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

// applyWrites applies writes to image: all of them, or sectors at random.
func applyWrites(image []byte, writes []write, r *rand.Rand) []byte {
	const sector = 512
	for _, w := range writes {
		if need := int(w.off) + len(w.data); need > len(image) {
			image = append(image, make([]byte, need-len(image))...)
		}
		for i := 0; i < len(w.data); i += sector {
			if r == nil || r.IntN(2) == 0 {
				copy(image[int(w.off)+i:], w.data[i:min(i+sector, len(w.data))])
			}
		}
	}
	return image
}

// checkImage opens the image of a crash at write k and compares what it holds.
func (r *recording) checkImage(t *testing.T, dir string, k int, image []byte, opt Options) {
	t.Helper()
	path := filepath.Join(dir, "image.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	fail := func(format string, args ...any) {
		t.Helper()
		kept := filepath.Join(os.TempDir(), fmt.Sprintf("journal-crash-%d-%d.db", os.Getpid(), k))
		_ = os.WriteFile(kept, image, 0o600)
		t.Errorf("write %d of %d: %s (the file before it was opened: %s)", k, len(r.writes), fmt.Sprintf(format, args...), kept)
	}
	if _, err := Verify(path, opt.Key); err != nil {
		fail("%v", err)
		return
	}
	file, err := OpenFile(path, opt.Key)
	if err != nil {
		fail("%v", err)
		return
	}
	var st crashState
	if err := file.with(func(s *store) (err error) { st, err = stateOf(s); return err }); err != nil {
		fail("%v", err)
		return
	}
	acked := r.states[r.writes[k].commit-1]
	next := r.states[min(r.writes[k].commit, len(r.states)-1)]
	// Of a turn in the log some pages may be there.
	if st.last != acked.last && st.last != next.last && (r.writes[k].kind < logWrite || st.last < acked.last || st.last > next.last) || st.evicted < acked.evicted || st.evicted > next.evicted {
		fail("it holds %d to %d; %d to %d were committed, %d to %d on the way",
			st.evicted+1, st.last, acked.evicted+1, acked.last, next.evicted+1, next.last)
	}
	if !sameSessions(next.kept(st), next.kept(acked)) && !sameSessions(next.kept(st), next.sessions) {
		fail("sessions %v, want %v or %v", st.sessions, acked.sessions, next.sessions)
	}
	recs, gaps := readAll(t, file, Range{})
	if len(gaps) > 0 || !slices.Equal(numbers(recs), span(st.evicted+1, st.last)) {
		fail("records %v with gaps %v, want %d to %d", numbers(recs), gaps, st.evicted+1, st.last)
	}
	for _, rec := range recs {
		if want := r.recs[rec.Seq-1]; string(rec.Wire) != string(want.Wire) || rec.Session != want.Session ||
			rec.Type != want.Type || !rec.Time.Equal(want.Time) {
			fail("record %d of session %d, %s, is %.40q; want session %d, %s, %.40q",
				rec.Seq, rec.Session, rec.Time.Format(time.StampMicro), rec.Wire, want.Session, want.Time.Format(time.StampMicro), want.Wire)
			break
		}
	}
	j, err := Open(path, opt)
	if err != nil {
		fail("%v", err)
		return
	}
	c := j.NewCursor(0, event.AllTypes())
	appendAll(t, j, bw(7, 3)...)
	if recs, gaps, _ := drain(t, c); len(gaps) > 0 || !slices.Equal(numbers(recs), span(st.last+1, st.last+3)) {
		fail("what is appended then gets the numbers %v, gaps %v; the last was %d", numbers(recs), gaps, st.last)
	}
	c.Close()
	if err := j.Close(); err != nil {
		fail("%v", err)
	}
	if v, err := Verify(path, opt.Key); err != nil || v.Last != st.last+3 {
		fail("after going on: %+v, %v", v, err)
	}
}

// kept returns the sessions of earlier that c has not given up. A commit that
// needs room evicts in transactions of its own before.
func (c crashState) kept(earlier crashState) []Session {
	for i, s := range earlier.sessions {
		if len(c.sessions) > 0 && s.ID >= c.sessions[0].ID {
			return earlier.sessions[i:]
		}
	}
	return nil
}

func sameSessions(a, b []Session) bool {
	return slices.EqualFunc(a, b, func(a, b Session) bool {
		return a.ID == b.ID && a.First == b.First && a.Source == b.Source && a.Begun.Equal(b.Begun)
	})
}

// What one event a commit costs the disk: a card must last.
func TestBytesWrittenPerCommit(t *testing.T) {
	opt := Options{MaxSize: 4 << 20}
	r := recordWrites(t, opt, func(j *Journal) {
		for i := range 300 {
			appendAll(t, j, bw(i, 1)...)
		}
	})
	total := 0
	for _, w := range r.writes {
		total += len(w.data)
	}
	if each := total / 300; each > 20<<10 {
		t.Errorf("%d bytes a commit", each)
	} else {
		t.Logf("%d bytes a commit", each)
	}
}

// Storing a block writes no other block again.
func TestBlocksAreWrittenOnce(t *testing.T) {
	opt := Options{MaxSize: 64 << 20}
	stored := 0
	r := recordWrites(t, opt, func(j *Journal) {
		for i := range scaled(30, 6) {
			appendAll(t, j, raw("650 NS %s", noise(i, 1<<20)))
		}
		if err := j.store.view(func(tx *txn) error {
			index, err := appendOnly(tx, bucketIndex)
			if err != nil {
				return err
			}
			return index.each(func(_ []byte, v held) error {
				h, err := v.entry()
				stored += h.size()
				return err
			})
		}); err != nil {
			t.Fatal(err)
		}
	})
	total := 0
	for _, w := range r.writes {
		total += len(w.data)
	}
	if total > stored*11/10 {
		t.Errorf("%d bytes were written for %d of blocks", total, stored)
	}
}
