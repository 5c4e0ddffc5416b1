package journal

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"torjournal/tor/event"
)

// index returns the headers of all blocks.
func indexOf(t testing.TB, s *store) (all []header) {
	t.Helper()
	err := s.view(func(tx *txn) error {
		index, err := appendOnly(tx, bucketIndex)
		if err != nil {
			return err
		}
		return index.each(func(_ []byte, v held) error {
			h, err := v.entry()
			all = append(all, h)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func storedSize(all []header) (n int) {
	for i := range all {
		n += all[i].size()
	}
	return n
}

func columnsOnly(all []header) bool {
	return !slices.ContainsFunc(all, func(h header) bool { return h.codec != codecColumns })
}

// lagging appends n records in batches that are large enough to be blocks at
// once, as they are.
func lagging(t testing.TB, j *Journal, n int) (wires [][]byte) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	for len(wires) < n {
		evs := make([]event.Event, 1500)
		for i := range evs {
			cells := rnd.IntN(5000)
			evs[i] = raw("650 CIRC_BW ID=%d READ=%d WRITTEN=%d TIME=2026-11-23T08:45:%02d.%06d DELIVERED_READ=%d OVERHEAD_READ=%d",
				i%70, cells*509, cells/90*509, i%60, rnd.IntN(1e6), cells*400, cells*98)
			wires = append(wires, evs[i].Format())
		}
		if err := j.Append(within(t), evs...); err != nil {
			t.Fatal(err)
		}
		if err := j.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	return wires
}

// hold keeps blocks from being packed, as a vacuum does while it copies them.
func hold(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.inWriter(within(t), func(w *writer) error { w.repack.held = true; return nil }); err != nil {
		t.Fatal(err)
	}
}

// release ends what hold began.
func release(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.inWriter(within(t), func(w *writer) error { w.repack.held = false; return nil }); err != nil {
		t.Fatal(err)
	}
}

func checkWires(t testing.TB, rd Reader, wires [][]byte) {
	t.Helper()
	n := 0
	for r, err := range Records(within(t), rd, Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Wire, wires[r.Seq-1]) {
			t.Fatalf("record %d is %q, not %q", r.Seq, r.Wire, wires[r.Seq-1])
		}
		n++
	}
	if n != len(wires) {
		t.Fatalf("%d of %d records", n, len(wires))
	}
}

func TestBlocksOfALaggingSealerArePackedAgain(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: 64 << 20, sealBytes: 256 << 10})
	hold(t, j) // or all could be packed before the test looks
	wires := lagging(t, j, 15000)
	if columnsOnly(indexOf(t, j.store)) {
		t.Fatal("no batch became a block as it was: the test tests nothing")
	}
	before := storedSize(indexOf(t, j.store))
	release(t, j)
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	if all := indexOf(t, j.store); !columnsOnly(all) || 2*storedSize(all) > before {
		t.Errorf("%d bytes became %d: %+v", before, storedSize(all), all)
	}
	checkWires(t, j, wires)
}

// A journal of an older schema has blocks that were never summed. Packing them
// again must not make them a part of the sums that begin later.
func TestRepackSumsNothing(t *testing.T) {
	opt := Options{MaxSize: 64 << 20, sealBytes: 256 << 10}
	j := openTest(t, "", opt)
	hold(t, j)
	wires := lagging(t, j, 6000)
	update(t, j, func(tx *txn) error {
		b := tx.bolt.Bucket(bucketRollups)
		return b.ForEach(func(k, _ []byte) error { return b.Delete(k) })
	})
	release(t, j)
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := j.store.view(func(tx *txn) error {
		if k, _ := tx.bolt.Bucket(bucketRollups).Cursor().First(); k != nil {
			t.Errorf("packing summed: %q", k)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	checkWires(t, j, append(wires, lagging(t, j, 1500)...))
}

// An idle journal packs by itself, also what an earlier run left.
func TestOldBlocksArePackedWhenIdle(t *testing.T) {
	opt := Options{MaxSize: 64 << 20, sealBytes: 256 << 10}
	j := openTest(t, "", opt)
	path := j.store.path
	hold(t, j)
	wires := lagging(t, j, 6000)
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	if columnsOnly(indexOf(t, j.store)) {
		t.Fatal("blocks were packed though they were held")
	}
	closeTest(t, j)
	j = openTest(t, path, opt)
	for deadline := time.Now().Add(patience); ; {
		ev := raw("650 BW 1 2")
		if err := j.Append(within(t), ev); err != nil {
			t.Fatal(err)
		}
		wires = append(wires, ev.Format())
		if err := j.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if columnsOnly(indexOf(t, j.store)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not packed: %+v", indexOf(t, j.store))
		}
	}
	checkWires(t, j, wires)
}

// Applying a change twice is the same as applying it once, and what the ring
// has taken stays taken.
func TestRepackTwiceAndTooLate(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: 64 << 20, sealBytes: 256 << 10})
	hold(t, j)
	wires := lagging(t, j, 6000)
	var r repacker
	run, err := r.find(j.store, &tail{sealAt: 1 << 20})
	if err != nil || len(run) < 2 {
		t.Fatalf("%d blocks to pack, %v", len(run), err)
	}
	s, err := (&sealer{store: j.store, enc: testPacker(t)}).seal(sealJob{run, bucketBlocks})
	if err != nil {
		t.Fatal(err)
	}
	apply := func() (applied bool) {
		update(t, j, func(tx *txn) (err error) {
			applied, err = applySeal(tx, s)
			return err
		})
		return applied
	}
	for range 2 {
		if !apply() {
			t.Fatal("not applied")
		}
		checkWires(t, j, wires)
	}
	update(t, j, func(tx *txn) error {
		if err := remove(tx, bucketBlocks, s.block); err != nil {
			return err
		}
		return putEvicted(tx, s.block.last)
	})
	if apply() {
		t.Error("what was evicted came back")
	}
}

// What was packed again leaves as a whole when its turn comes, and what is told of
// its circuits with it.
func TestPackedBlocksAreEvicted(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: MinMaxSize, sealBytes: 320 << 10}) // two of these batches make a block
	hold(t, j)
	lagging(t, j, 6000)
	before := len(indexOf(t, j.store))
	release(t, j)
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	if b, err := j.Bounds(within(t)); err != nil || b.First != 1 || len(indexOf(t, j.store)) >= before {
		t.Fatalf("%+v, %v, %d blocks of %d: the test tests nothing", b, err, len(indexOf(t, j.store)), before)
	}
	hold(t, j) // so that nothing happens beside what is appended
	rnd := rand.New(rand.NewPCG(3, 4))
	for gone := false; !gone; {
		var evs []event.Event
		for range 100 {
			evs = append(evs, raw("650 HS_DESC %x", rnd.Perm(150)))
		}
		appendAll(t, j, evs...)
		waitForSealer(t, j)
		b, err := j.Bounds(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if recs, gaps := readAll(t, j, Range{}); !slices.Equal(numbers(recs), span(b.First, b.Last)) || len(gaps) > 0 {
			t.Fatalf("%d records from %d, %v; want %d to %d", len(recs), recs[0].Seq, gaps, b.First, b.Last)
		}
		gone = b.First > 6000
	}
	blocks := map[uint64]bool{}
	for _, h := range indexOf(t, j.store) {
		blocks[h.first] = true
	}
	if err := j.store.view(func(tx *txn) error {
		return tx.optional(bucketEntities).each(func(k []byte, _ held) error {
			if !blocks[beNumber(k)] {
				t.Errorf("there are entities of a block that begins with record %d, and no such block", beNumber(k))
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
}
