package journal

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// flip changes a bit in a stored sum: the newest of a kind, or the oldest.
func flip(t *testing.T, j *Journal, kind byte, oldest bool) {
	t.Helper()
	err := j.inWriter(within(t), func(*writer) error {
		return j.store.update(func(tx *txn) error {
			b, err := appendOnly(tx, bucketRollups)
			if err != nil {
				return err
			}
			k := stateKey
			if kind != kindState {
				starts, err := b.starts(kind)
				if err != nil {
					return err
				}
				start := starts[len(starts)-1]
				if oldest {
					start = starts[0]
				}
				k = rollupKey(kind, start)
			}
			k = b.cipher.hide(k)
			v := bytes.Clone(b.bolt.Get(k))
			v[len(v)-5] ^= 1
			return b.bolt.Put(k, v)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever of the sums is damaged, records are written on; that it was damaged
// is logged, and told by verify and to who reads sums. What can be made again
// is.
func TestDamagedRollupsStopNothing(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testDamagedRollups(t, nil) })
	t.Run("encrypted", func(t *testing.T) { testDamagedRollups(t, testKey(t)) })
}

func testDamagedRollups(t *testing.T, key *Key) {
	for name, c := range map[string]struct {
		kind   byte
		oldest bool
		hole   time.Duration // of the hole; -1: there is none
		logs   string        // "": nothing
		first  bool          // sums begin anew
	}{
		"the minutes of this hour": {kind: 'm', hole: time.Minute, logs: "the sums of the minutes from 2026-11-01T14:00:00Z to 2026-11-01T15:00:00Z"},
		"the hours of today":       {kind: 'h', hole: -1, logs: "the sums of the hours of 2026-11-01"},
		"the state":                {kind: 's', hole: 0, logs: "all sums of before 2026-11-01T15:", first: true},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &stepClock{now: noon}
			var log lockedLog
			path := filepath.Join(t.TempDir(), "journal.db")
			opt := Options{Key: key, sealBytes: 4 << 10, Now: clock.Now, clocks: clock.since(noon), Logger: slog.New(slog.NewTextHandler(&log, nil))}
			j := openTest(t, path, opt)
			add := func() {
				for i := range 60 {
					appendAll(t, j, raw("650 BW 10 20"), raw("650 CIRC %s", noise(i, 100)))
					clock.step(time.Second)
				}
			}
			for i := range 4 {
				if i > 0 {
					clock.step(50 * time.Minute)
				}
				add()
			}
			waitForSeal(t, j)
			flip(t, j, c.kind, c.oldest)
			if c.kind == 'm' { // something of that hour is still to be sealed
				appendAll(t, j, raw("650 BW 10 20"))
			}
			clock.step(50 * time.Minute)
			add()
			waitForSeal(t, j)
			add()
			waitForSeal(t, j)
			if st := j.Stats(); !st.Outage.IsZero() || st.WriteError != "" {
				t.Fatalf("it is not written any more: %+v", st)
			}
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), c.logs) {
				t.Errorf("%d errors are logged, want one of %q:\n%s", n, c.logs, log.String())
			}
			r := readRollups(t, j, time.Time{}, time.Time{})
			if c.hole < 0 != (len(r.Holes) == 0) || len(r.Holes) > 0 && r.Holes[0].Step != c.hole {
				t.Errorf("holes %+v", r.Holes)
			}
			if c.first != (r.First > 1) || r.First > 1 && r.Last <= r.First {
				t.Errorf("records %d to %d are summed", r.First, r.Last)
			}
			if v := closeTest(t, j); len(v.Holes) != len(r.Holes) {
				t.Errorf("verify finds holes %+v", v.Holes)
			}
			j = openTest(t, path, opt) // and on
			add()
			waitForSeal(t, j)
			closeTest(t, j)
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%d errors are logged in the end:\n%s", n, log.String())
			}
		})
	}
}

// Where it is the pages of the sums that are damaged, records are written on as
// well, without a pause; verify tells of it until a vacuum has left them behind.
// Where elements lie outside of the page is not among it: bbolt then reads what
// memory there is, and whether that faults is luck.
func TestDamagedPagesOfRollupsStopNothing(t *testing.T) {
	for name, harm := range map[string]func(page []byte){
		"zeros":                func(page []byte) { clear(page) },
		"another kind of page": func(page []byte) { page[8] = pageFreelist },
		"many elements":        func(page []byte) { page[10], page[11] = 0xff, 0x7f },
		"values are buckets":   func(page []byte) { page[boltPageHeader], page[boltPageHeader+elementSize] = leafBucket, leafBucket },
	} {
		t.Run(name, func(t *testing.T) {
			clock := &stepClock{now: noon}
			var log lockedLog
			path := filepath.Join(t.TempDir(), "journal.db")
			j := openTest(t, path, Options{walPages: noLog, sealBytes: 4 << 10, Now: clock.Now, clocks: clock.since(noon), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			n := 0
			add := func() {
				for i := range 60 {
					appendAll(t, j, raw("650 BW 1000 2000"), raw("650 CIRC %s", noise(i, 100)))
					clock.step(time.Minute)
				}
				waitForSeal(t, j)
				n = int(j.Stats().Last) // it may have appended some itself
			}
			for range 4 {
				add()
			}
			err := j.inWriter(within(t), func(*writer) error {
				var root treeBucket
				meta, err := newestMeta(j.store.file)
				if err == nil {
					root = newTree(j.store.file, meta, func(e error) { err = e }).buckets()[string(bucketRollups)]
				}
				if err != nil || root.root == 0 {
					t.Fatalf("%+v, %v: there is no page", root, err)
				}
				page := make([]byte, meta.pageSize)
				off := int64(root.root) * int64(meta.pageSize)
				if _, err := j.store.file.ReadAt(page, off); err != nil {
					return err
				}
				harm(page)
				_, err = j.store.file.WriteAt(page, off)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			add()
			add()
			if st := j.Stats(); !st.Outage.IsZero() || st.WriteError != "" {
				t.Fatalf("it is not written any more: %+v", st)
			}
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "all sums of before") {
				t.Errorf("%d errors are logged, want one:\n%s", n, log.String())
			}
			if recs, gaps := readAll(t, j, Range{}); len(recs) != n || gaps != nil {
				t.Errorf("%d records of %d, gaps %v", len(recs), n, gaps)
			}
			r := readRollups(t, j, time.Time{}, time.Time{})
			if len(r.Holes) != 1 || r.Holes[0].Step != 0 || r.First < 400 || len(r.Hours) == 0 {
				t.Errorf("records %d to %d are summed, holes %+v", r.First, r.Last, r.Holes)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if v, err := Verify(path, nil); err == nil || v.Records != uint64(n) {
				t.Errorf("Verify: %+v, %v", v, err)
			}
			j = openTest(t, path, Options{walPages: noLog, sealBytes: 4 << 10, Now: clock.Now, clocks: clock.since(noon)})
			add()
			if _, err := j.Vacuum(within(t), Limits{}); err != nil {
				t.Errorf("vacuum: %v", err)
			}
			if v := closeTest(t, j); v.Records != uint64(n) || len(v.Holes) != 1 {
				t.Errorf("after a vacuum: %+v", v)
			}
		})
	}
}

// Hours that are made again of the minutes are what they were, with what is
// added; without all of the minutes they are not made again.
func TestHoursAreMadeOfMinutes(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testHoursAreMadeOfMinutes(t, nil) })
	t.Run("encrypted", func(t *testing.T) { testHoursAreMadeOfMinutes(t, testKey(t)) })
}

func testHoursAreMadeOfMinutes(t *testing.T, key *Key) {
	for _, whole := range []bool{true, false} {
		j := rollupsOf(t, filepath.Join(t.TempDir(), "journal.db"), key)
		l := &rollupLimits{bytes: maxRollups, now: func() time.Time { return noon }}
		sums := func(minute int64) []stepSum { return []stepSum{{noon.Unix() + 60*minute, 1, 2, 3, 2, 3}} }
		sumDirectly(t, j, l, 1, 10, sums(0))
		sumDirectly(t, j, l, 11, 10, sums(70))
		if !whole {
			flip(t, j, 'm', true)
		}
		flip(t, j, 'h', true)
		sumDirectly(t, j, l, 21, 10, sums(71))
		if len(l.found) != 1 {
			t.Errorf("whole %v: found %q", whole, l.found)
		}
		if !whole {
			continue
		}
		r := readRollups(t, j, time.Time{}, time.Time{})
		if got := total(r.Hours); got != total(r.Minutes) || got.seconds != 3 || len(r.Hours) != 2 || r.Hours[1].Seconds != 2 || len(r.Holes) != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// A damaged sum goes when its time is over, as any other, and so does what was
// set aside.
func TestDamagedRollupsGoInTheirTime(t *testing.T) {
	j := rollupsOf(t, filepath.Join(t.TempDir(), "journal.db"), nil)
	at := noon
	l := &rollupLimits{bytes: maxRollups, now: func() time.Time { return at }}
	n := uint64(1)
	add := func() {
		sumDirectly(t, j, l, n, 10, []stepSum{{at.Unix(), 1, 2, 3, 2, 3}})
		n += 10
	}
	add()
	flip(t, j, 'm', true)
	flip(t, j, 's', true)
	add() // the state is set aside, and all with it
	add()
	flip(t, j, 'm', true)
	add() // the minutes are
	if r := readRollups(t, j, time.Time{}, time.Time{}); len(r.Holes) != 2 {
		t.Errorf("holes %+v", r.Holes)
	}
	at = at.Add(time.Hour)
	add()
	flip(t, j, 'm', true) // the first hour's again, to which nothing is added
	for _, c := range []struct{ days, holes int }{{1, 2}, {32, 1}, {403, 0}} {
		at = noon.Add(time.Duration(c.days) * 24 * time.Hour)
		add()
		var holes []RollupHole
		err := j.store.view(func(tx *txn) error {
			var out StoredRollups
			b, err := appendOnly(tx, bucketRollups)
			if err != nil {
				return err
			}
			if err := appendHoles(&out, b, time.Time{}, time.Time{}); err != nil {
				return err
			}
			r, err := out.Decode()
			holes = r.Holes
			return err
		})
		if err != nil || len(holes) != c.holes {
			t.Errorf("after %d days: holes %+v, %v; want %d", c.days, holes, err, c.holes)
		}
	}
	if len(l.found) != 2 {
		t.Errorf("found %q", l.found)
	}
}

// lockedLog is a log for several goroutines.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
