package journal

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

func readRollups(t testing.TB, j interface {
	Rollups(context.Context, time.Time, time.Time) (StoredRollups, error)
}, since, until time.Time) Rollups {
	t.Helper()
	stored, err := j.Rollups(within(t), since, until)
	if err != nil {
		t.Fatal(err)
	}
	r, err := stored.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func total(rs []Rollup) (s stepSum) {
	for _, r := range rs {
		s.merge(&stepSum{0, r.Seconds, r.Read, r.Written, r.PeakRead, r.PeakWritten})
	}
	return s
}

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// The ring evicts most of what was recorded; every BW event is in the sums of
// its minute and its hour or, unsealed, in the tail, and in one of them only.
func TestRollupsOutliveTheRecords(t *testing.T) {
	clock := &stepClock{now: noon}
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{MaxSize: MinMaxSize, Now: clock.Now})
	minutes, hours := map[int64]*stepSum{}, map[int64]*stepSum{}
	add := func(to map[int64]*stepSum, start int64, s stepSum) {
		if to[start] == nil {
			to[start] = &stepSum{start: start}
		}
		to[start].merge(&s)
	}
	reopened := 0
	for i := 0; reopened < 3; i++ {
		read, written := uint64(i*7919%100_000), uint64(i)
		add(minutes, clock.Now().Unix()/60*60, stepSum{0, 1, read, written, read, written})
		add(hours, clock.Now().Unix()/3600*3600, stepSum{0, 1, read, written, read, written})
		evs := []event.Event{raw("650 BW %d %d", read, written), raw("650 CIRC %s", noise(i, 600)),
			event.Live{Event: raw("650 BW 1000000000 1000000000")}}
		if i%97 == 0 { // a large batch takes another way into the blocks
			evs = append(evs, raw("650 NS %s", noise(i, 40<<10)))
		}
		appendAll(t, j, evs...)
		clock.step(17 * time.Second)
		if b, _ := j.Bounds(within(t)); b.First > uint64(1000*(reopened+1)) {
			closeTest(t, j)
			j = openTest(t, path, Options{MaxSize: MinMaxSize, Now: clock.Now})
			reopened++
		}
	}
	r := readRollups(t, j, time.Time{}, time.Time{})
	if b, _ := j.Bounds(within(t)); r.First != 1 || b.First < 1000 || r.Last <= b.First {
		t.Fatalf("records %d to %d are summed, the journal begins with %d", r.First, r.Last, b.First)
	}
	tail, _ := readAll(t, j, Range{From: r.Last + 1, Types: event.NewSet(event.BW)})
	for _, s := range minuteSums(tail) {
		r.Minutes = append(r.Minutes, s.rollup())
		s.start -= s.start % 3600
		r.Hours = append(r.Hours, s.rollup())
	}
	for _, c := range []struct {
		got  []Rollup
		want map[int64]*stepSum
	}{{r.Minutes, minutes}, {r.Hours, hours}} {
		got := map[int64]*stepSum{}
		for _, s := range c.got {
			add(got, s.Start.Unix(), stepSum{0, s.Seconds, s.Read, s.Written, s.PeakRead, s.PeakWritten})
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d steps differ from the %d of what was recorded", len(got), len(c.want))
		}
	}
}

// A range gives the values that it touches.
func TestRollupsOfARange(t *testing.T) {
	clock := &stepClock{now: noon}
	j := openTest(t, "", Options{Now: clock.Now, sealBytes: 4 << 10})
	for range 600 {
		appendAll(t, j, raw("650 BW 10 20"), raw("650 CIRC %s", noise(1, 100)))
		clock.step(time.Minute)
	}
	waitForSeal(t, j)
	all := readRollups(t, j, time.Time{}, time.Time{})
	if len(all.Minutes) < 500 || len(all.Hours) < 9 {
		t.Fatalf("%d minutes and %d hours", len(all.Minutes), len(all.Hours))
	}
	part := readRollups(t, j, noon.Add(61*time.Minute), noon.Add(3*time.Hour))
	if len(part.Minutes) != 120 || !part.Minutes[0].Start.Equal(noon.Add(time.Hour)) || len(part.Hours) == 0 {
		t.Errorf("%d minutes from %v, %d hours", len(part.Minutes), part.Minutes[0].Start, len(part.Hours))
	}
	if none := readRollups(t, j, noon.Add(24*time.Hour), time.Time{}); len(none.Minutes) != 0 || none.Last != all.Last {
		t.Errorf("of tomorrow: %+v", none)
	}
}

// sumDirectly adds sums as a seal of n records would.
func sumDirectly(t *testing.T, j *Journal, l *rollupLimits, first, n uint64, sums []stepSum) {
	t.Helper()
	update(t, j, func(tx *txn) error { return l.add(tx, header{first: first, last: first + n - 1}, sums) })
}

func rollupsOf(t *testing.T, path string, key *Key) *Journal {
	t.Helper()
	j, err := Open(path, Options{Key: key, MaxSize: MinMaxSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // its sums are of no records: it is not verified
	return j
}

// A year of seconds: never more than a tenth of the limit in pages, the
// newest days by the minute, all of it by the hour.
func TestRollupsStayWithinTheirShare(t *testing.T) { plainAndEncrypted(t, testRollupsShare) }

func testRollupsShare(t *testing.T, key *Key) {
	j := rollupsOf(t, filepath.Join(t.TempDir(), "journal.db"), key)
	clock := &stepClock{now: noon}
	l := &rollupLimits{bytes: rollupBudget(MinMaxSize), now: clock.Now}
	most := 0
	for hour := range 24 * 60 {
		sums := make([]stepSum, 60)
		for i := range sums {
			sums[i] = stepSum{clock.Now().Unix() + int64(60*i), 60, 123_456_789, 987_654_321, 5_000_000, 40_000_000}
		}
		clock.step(time.Hour)
		sumDirectly(t, j, l, uint64(hour*3600+1), 3600, sums)
		if err := j.store.view(func(tx *txn) error {
			st := tx.bolt.Bucket(bucketRollups).Stats()
			most = max(most, st.BranchAlloc+st.LeafAlloc)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if most > MinMaxSize/10 {
		t.Errorf("the rollups took %d bytes of a journal of %d", most, MinMaxSize)
	}
	r := readRollups(t, j, time.Time{}, time.Time{})
	if len(r.Hours) != 24*60 || !r.HoursFrom.Equal(time.Unix(0, 0)) {
		t.Errorf("%d hours from %v, want all of 60 days", len(r.Hours), r.HoursFrom)
	}
	if n := len(r.Minutes); n == 0 || n%60 != 0 || !r.Minutes[0].Start.Equal(r.MinutesFrom) || r.Minutes[n-1].Start.Before(clock.Now().Add(-time.Hour)) {
		t.Errorf("%d minutes, from %v", n, r.MinutesFrom)
	}
	t.Logf("at most %d bytes of %d; %d hours by the minute", most, MinMaxSize/10, len(r.Minutes)/60)
}

// Minutes go after 30 days, hours after 400; what comes late for a time that
// is given up makes no half sum, and a clock that was wrong for a while does
// not end the summing.
func TestRollupsAge(t *testing.T) {
	j := rollupsOf(t, filepath.Join(t.TempDir(), "journal.db"), nil)
	clock := &stepClock{now: noon}
	l := &rollupLimits{bytes: maxRollups, now: clock.Now}
	day := 24 * time.Hour
	seq := uint64(1)
	add := func(at time.Time) {
		sumDirectly(t, j, l, seq, 1, []stepSum{{at.Unix() / 60 * 60, 1, 2, 3, 2, 3}})
		seq++
	}
	count := func(what string, minutes, hours int) {
		t.Helper()
		if r := readRollups(t, j, time.Time{}, time.Time{}); len(r.Minutes) != minutes || len(r.Hours) != hours {
			t.Errorf("%s: %d minutes and %d hours, want %d and %d", what, len(r.Minutes), len(r.Hours), minutes, hours)
		}
	}
	add(noon)
	clock.step(30*day - time.Hour)
	add(clock.Now())
	count("29 days", 2, 2)
	clock.step(2 * time.Hour)
	add(clock.Now())
	count("30 days", 2, 3)
	add(noon.Add(time.Minute))
	count("late", 2, 3)
	clock.step(371 * day)
	add(clock.Now())
	count("400 days", 1, 3)
	clock.step(10000 * day)
	add(clock.Now())
	count("the clock is wrong", 1, 1)
	clock.step(-9999 * day)
	add(clock.Now())
	count("it is put right", 2, 2)
}

// What was summed is not summed again, what was never summed is not passed
// over.
func TestRollupsCountOnce(t *testing.T) {
	j := rollupsOf(t, filepath.Join(t.TempDir(), "journal.db"), nil)
	l := &rollupLimits{bytes: maxRollups, now: func() time.Time { return noon }}
	sums := []stepSum{{noon.Unix(), 1, 2, 3, 2, 3}}
	for range 3 {
		sumDirectly(t, j, l, 11, 10, sums)
	}
	if r := readRollups(t, j, time.Time{}, time.Time{}); r.First != 11 || r.Last != 20 || total(r.Minutes).seconds != 1 {
		t.Errorf("%+v after the same block three times", r)
	}
	// What does not follow begins anew: records are written on.
	for _, first := range []uint64{19, 33} {
		sumDirectly(t, j, l, first, 10, sums)
		r := readRollups(t, j, time.Time{}, time.Time{})
		if r.First != first || r.Last != first+9 || total(r.Minutes).seconds != 1 || len(r.Holes) != 1 || r.Holes[0].Step != 0 {
			t.Errorf("records %d to %d are summed as %+v", first, first+9, r)
		}
	}
	if len(l.found) != 2 {
		t.Errorf("found %q", l.found)
	}
}

// A large batch is a block at once, or moves into the blocks as it is: both
// ways it is summed, but for what is live only.
func TestLargeBatchesAreSummed(t *testing.T) {
	large := func(read int) []event.Event {
		return []event.Event{raw("650 BW %d 1", read), raw("650 NS %s", noise(read, 40<<10)), event.Live{Event: raw("650 BW 10000 10000")}}
	}
	for name, before := range map[string]int{"empty tail": 0, "small batches before": 1} {
		t.Run(name, func(t *testing.T) {
			j := openTest(t, "", Options{MaxSize: MinMaxSize})
			appendAll(t, j, bw(1, before)...)
			for i := range 12 {
				appendAll(t, j, large(i)...)
			}
			waitForSeal(t, j)
			for ctx, sealed := within(t), false; !sealed; { // the sealer takes its time
				r := readRollups(t, j, time.Time{}, time.Time{})
				recs, _ := readAll(t, j, Range{Types: event.NewSet(event.BW), To: r.Last})
				var want stepSum
				for _, s := range minuteSums(recs) {
					want.merge(&s)
				}
				if got := total(r.Minutes); got != want || ctx.Err() != nil {
					t.Fatalf("the sum is %+v, want %+v", got, want)
				}
				if sealed = want.seconds >= 10; !sealed {
					appendAll(t, j, bw(1, 1)...)
				}
			}
		})
	}
}

// A batch that the ring takes from the tail, because it has become too old
// before there was enough for a block, is summed like any other.
func TestEvictedTailIsSummed(t *testing.T) {
	clock := &stepClock{now: noon}
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog, Now: clock.Now, MaxAge: time.Hour})
	appendAll(t, j, raw("650 BW 10 20"))
	closeTest(t, j)
	clock.step(3 * time.Hour)
	j = openTest(t, path, Options{walPages: noLog, Now: clock.Now, MaxAge: time.Hour})
	appendAll(t, j, raw("650 BW 30 40"))
	if b, err := j.Bounds(within(t)); b.First != 2 || err != nil {
		t.Fatalf("%+v, %v: the first record should be evicted", b, err)
	}
	want := []Rollup{{noon, 1, 10, 20, 10, 20}}
	if r := readRollups(t, j, time.Time{}, time.Time{}); r.Last != 1 || !reflect.DeepEqual(r.Minutes, want) || !reflect.DeepEqual(r.Hours, want) {
		t.Errorf("%+v", r)
	}
}

// What a vacuum leaves out of the tail is in the sums of the copy.
func TestVacuumSumsWhatItLeavesOut(t *testing.T) {
	clock := &stepClock{now: noon}
	j := openTest(t, "", Options{Now: clock.Now})
	appendAll(t, j, raw("650 BW 10 20"))
	clock.step(3 * time.Hour)
	appendAll(t, j, raw("650 BW 30 40"))
	if _, err := j.Vacuum(within(t), Limits{MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	want := []Rollup{{noon, 1, 10, 20, 10, 20}}
	if r := readRollups(t, j, time.Time{}, time.Time{}); r.Last != 1 || !reflect.DeepEqual(r.Minutes, want) {
		t.Errorf("%+v", r)
	}
}

// Rollups that are lost are made again of the blocks.
func TestRebuildRollups(t *testing.T) {
	clock := &stepClock{now: noon}
	j := openTest(t, "", Options{Now: clock.Now, sealBytes: 4 << 10})
	for i := range 300 {
		appendAll(t, j, raw("650 BW %d 20", i), raw("650 CIRC %s", noise(1, 100)))
		clock.step(time.Minute)
	}
	waitForSeal(t, j)
	before := readRollups(t, j, time.Time{}, time.Time{})
	update(t, j, func(tx *txn) error { return rebuildRollups(tx, j.opt.MaxSize, clock.Now()) })
	if after := readRollups(t, j, time.Time{}, time.Time{}); !reflect.DeepEqual(before, after) || len(after.Minutes) < 100 {
		t.Errorf("%d minutes became %d", len(before.Minutes), len(after.Minutes))
	}
}

// The bytes of FORMAT.md.
func TestRollupFormat(t *testing.T) {
	for name, c := range map[string]struct {
		v    rollupValue
		want string
	}{
		"minutes": {
			rollupValue{kind: 'm', start: 7200, sums: []stepSum{{7200, 60, 300, 1, 200, 1}, {7380, 1, 2, 0, 2, 0}}},
			"746a6277016d000e" + "0000000000001c20" + "003cac0201c80101" + "020102000200",
		},
		"set aside": {
			rollupValue{kind: 'x', start: 7200, of: 'm', raw: []byte{1, 2}},
			"746a627701780003" + "0000000000001c20" + "6d0102",
		},
		"state": {
			rollupValue{kind: 's', state: rollupState{1, 20, 99, [2]int64{3600, 0}}},
			"746a627701730028" + "0000000000000000" + "0000000000000001" + "0000000000000014" + "0000000000000063" + "0000000000000e10" + "0000000000000000",
		},
	} {
		data := c.v.append([]byte("x"))[1:]
		if got := hex.EncodeToString(data[:len(data)-4]); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		got, rest, err := splitRollup(append(data, "more"...))
		if err != nil || string(rest) != "more" || !reflect.DeepEqual(got, c.v) {
			t.Errorf("%s: %+v, %q, %v", name, got, rest, err)
		}
		for i := range data {
			bad := bytes.Clone(data)
			bad[i] ^= 4
			if v, _, err := splitRollup(bad); err == nil {
				t.Errorf("%s: byte %d flipped reads as %+v", name, i, v)
			}
		}
	}
}

func FuzzRollup(f *testing.F) {
	for _, v := range []rollupValue{
		{kind: 's', state: rollupState{first: 1, last: 5}},
		{kind: 'h', start: 86400, sums: []stepSum{{90000, 1, 2, 3, 4, 5}}},
		{kind: 'x', start: 86400, of: 'h', raw: []byte("what was there")},
	} {
		f.Add(v.append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, rest, err := splitRollup(data)
		if err != nil {
			return
		}
		again, _, err := splitRollup(v.append(nil))
		if err != nil || !reflect.DeepEqual(again, v) || len(rest) >= len(data) {
			t.Errorf("%+v reads back as %+v, %v", v, again, err)
		}
	})
}

// Damage in a rollup is found by verify, with a word of where.
func TestVerifyFindsWrongRollups(t *testing.T) {
	for name, harm := range map[string]func(*bolt.Bucket) error{
		"a flipped bit": func(b *bolt.Bucket) error {
			k, v := b.Cursor().First()
			v = bytes.Clone(v)
			v[len(v)-5] ^= 1
			return b.Put(k, v)
		},
		"a missing value": func(b *bolt.Bucket) error {
			k, _ := b.Cursor().First()
			return b.Delete(k)
		},
		"a wrong sum": func(b *bolt.Bucket) error {
			k, data := b.Cursor().First()
			v, err := rollupAt(k, data)
			if err != nil {
				return err
			}
			v.sums[0].read++
			return b.Put(k, v.append(nil))
		},
		"another key": func(b *bolt.Bucket) error {
			_, data := b.Cursor().First()
			return b.Put([]byte("h1"), bytes.Clone(data))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			j, err := Open(path, Options{sealBytes: 4 << 10})
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				appendAll(t, j, raw("650 BW 10 20"), raw("650 CIRC %s", noise(1, 100)))
			}
			waitForSeal(t, j)
			err = j.inWriter(within(t), func(*writer) error {
				return j.store.update(func(tx *txn) error { return harm(tx.bolt.Bucket(bucketRollups)) })
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(path, nil); err == nil || !strings.Contains(err.Error(), "rollups") {
				t.Errorf("Verify: %v", err)
			} else {
				t.Log(fmt.Sprint(err))
			}
		})
	}
}
