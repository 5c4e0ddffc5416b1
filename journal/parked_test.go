package journal

import (
	"bytes"
	"os"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// parkedPages returns how many pages of the file are parked, and how many are
// listed as free.
func parkedPages(t testing.TB, j *Journal) (n, free int) {
	t.Helper()
	if err := j.inWriter(within(t), func(*writer) error {
		free = j.store.listedPages()
		return j.store.view(func(tx *txn) error { n = parked(tx.bolt); return nil })
	}); err != nil {
		t.Fatal(err)
	}
	return n, free
}

// roomy is a journal of a few records with some 500 parked pages.
func roomy(t *testing.T) (j *Journal, wires [][]byte) {
	t.Helper()
	j = openTest(t, "", Options{walPages: noLog, MaxSize: 64 << 20, sealBytes: 256 << 10, parkLimits: parkSoon})
	wires = lagging(t, j, 3000)
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	room := []byte("room")
	update(t, j, func(tx *txn) error {
		b, err := tx.bolt.CreateBucket(room)
		if err != nil {
			return err
		}
		return b.Put(keyValue, bytes.Repeat([]byte("x"), runSize(500, j.store.pageSize())))
	})
	update(t, j, func(tx *txn) error { return tx.bolt.DeleteBucket(room) })
	update(t, j, func(*txn) error { return nil }) // what was freed can be used from now on
	parkAll(t, j)
	if n, free := parkedPages(t, j); n < 400 || free >= parkSoon.from {
		t.Fatalf("%d pages are parked and %d free: the test tests nothing", n, free)
	}
	return j, wires
}

// parkAll parks what can be parked, also where the writer packs old blocks in
// between.
func parkAll(t testing.TB, j *Journal) {
	t.Helper()
	for more := true; more; {
		restSealed(t, j)
		err := j.park(within(t))
		if err == nil {
			err = j.inWriter(within(t), func(w *writer) error { more = w.parking.look; return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var parkSoon = parkLimits{from: 64, run: 16, after: 4}

// parkOften is for journals that are small and do many things: they park and give
// back pages all the time.
var parkOften = parkLimits{from: 12, run: 4, after: 1}

// What a program leaves that fills a journal and closes it does not make the
// commits of who records next longer.
func TestPackParksPages(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: 64 << 20, sealBytes: 256 << 10, parkLimits: parkSoon})
	hold(t, j)
	wires := lagging(t, j, 50000)
	release(t, j)
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	if n, free := parkedPages(t, j); n == 0 || free >= parkSoon.from {
		t.Errorf("%d pages are parked, and %d listed as free still", n, free)
	}
	checkWires(t, j, wires)
}

// A journal that records parks pages once it is quiet, not before, whatever it has
// to pack still.
func TestQuietJournalParksPages(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: 64 << 20, sealBytes: 256 << 10, parkLimits: parkSoon})
	hold(t, j)
	wires := lagging(t, j, 50000)
	release(t, j)
	restSealed(t, j)
	if n, free := parkedPages(t, j); n > 0 || free < parkSoon.from {
		t.Fatalf("%d pages are parked and %d free before it was quiet", n, free)
	}
	small := raw("650 BW 1 2")
	commit := func() {
		t.Helper()
		appendAll(t, j, small)
		wires = append(wires, small.Format())
	}
	for range parkSoon.after - 1 {
		commit()
	}
	if n, _ := parkedPages(t, j); n > 0 {
		t.Fatalf("%d pages are parked after %d small commits", n, parkSoon.after-1)
	}
	for ctx := within(t); ; {
		commit()
		restSealed(t, j)
		if n, free := parkedPages(t, j); n > 0 && free < parkSoon.from {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("pages are not parked")
		}
	}
	checkWires(t, j, wires)
}

// A vacuum leaves what is free behind, so it parks nothing before.
func TestVacuumDoesNotPark(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: 64 << 20, sealBytes: 256 << 10, parkLimits: parkSoon})
	hold(t, j)
	lagging(t, j, 100000)
	closeTest(t, j)
	if packed, err := packFile(within(t), j.store.path, j.opt); !packed || err != nil {
		t.Fatalf("%v, %v", packed, err)
	}
	j = openTest(t, j.store.path, j.opt)
	if n, free := parkedPages(t, j); n > 0 || free < 2*parkSoon.from {
		t.Errorf("%d pages are parked, %d free", n, free)
	}
}

// Parked pages are room: the file does not grow by what they can take.
func TestParkedPagesAreUsedBeforeTheFileGrows(t *testing.T) {
	j, wires := roomy(t)
	size, pageSize := j.store.fileSize(), j.store.pageSize()
	room, _ := parkedPages(t, j)
	written := 0
	for left := room; left > 0; left, _ = parkedPages(t, j) {
		large := raw("650 CIRC %d %s", written, noise(written, 30<<10))
		appendAll(t, j, large)
		wires = append(wires, large.Format())
		written += pages(len(large.Format()), pageSize)
	}
	if grown := int(j.store.fileSize()-size) / pageSize; grown > written-room/2 {
		t.Errorf("the file has grown by %d pages, %d were written and %d were parked", grown, written, room)
	}
	checkWires(t, j, wires)
}

// In a full ring nothing is evicted before they are used up, and the file never
// exceeds its limit.
func TestParkedPagesAreUsedBeforeAnythingIsEvicted(t *testing.T) {
	j, _ := roomy(t)
	var used int64
	if err := j.store.view(func(tx *txn) error { used = tx.bolt.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	closeTest(t, j)
	path := j.store.path
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	limit := used + 64<<10 + int64(allocSize(used))
	most := max(limit, size())
	j = openTest(t, path, Options{MaxSize: limit, sealBytes: 256 << 10, parkLimits: parkSoon})
	room, _ := parkedPages(t, j)
	written, each := 0, 0
	for fresh := 0; ; fresh++ {
		large := raw("650 CIRC %d %s", fresh, noise(fresh, 300<<10)) // more than is free
		appendAll(t, j, large)
		if j.Stats().First > 1 {
			break
		}
		each = pages(len(large.Format())*3/4, j.store.pageSize())
		if written += each; written > 4*room {
			t.Fatal("nothing is evicted")
		}
		if size() > most {
			t.Fatalf("the file has %d bytes, %d are its limit", size(), most)
		}
	}
	// A commit may put a batch and a block.
	if n, _ := parkedPages(t, j); n > 2*each+j.committer.reserve || written < room/4 {
		t.Errorf("records were evicted while %d pages were parked, after %d of %d were written", n, written, room)
	}
}

// Where free pages lie scattered shorter runs are parked, and the file does not
// grow by it.
func TestScatteredPagesAreParked(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog, MaxSize: 64 << 20, parkLimits: parkSoon})
	value := bytes.Repeat([]byte("x"), runSize(8, j.store.pageSize()))
	if err := j.inWriter(within(t), func(*writer) error {
		err := j.store.update(func(tx *txn) error {
			b, err := tx.bolt.CreateBucket([]byte("test"))
			for i := uint64(0); i < 80 && err == nil; i++ {
				own, cerr := b.CreateBucket(key(i))
				if err = cerr; err == nil {
					err = own.Put(keyValue, value)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		return j.store.update(func(tx *txn) error {
			for i := uint64(0); i < 80; i += 2 {
				if err := tx.bolt.Bucket([]byte("test")).DeleteBucket(key(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, raw("650 BW 1 2"))
	size := j.store.fileSize()
	parkAll(t, j)
	if n, free := parkedPages(t, j); n < 160 || free > 160 || j.store.fileSize() != size {
		t.Errorf("%d pages are parked and %d free, the file has %d bytes and had %d", n, free, j.store.fileSize(), size)
	}
	// Where nothing is left that can be parked, it is not tried again and again.
	commits := j.Stats().Commits
	if err := j.park(within(t)); err != nil || j.Stats().Commits != commits {
		t.Errorf("%v, %d commits more", err, j.Stats().Commits-commits)
	}
}

// Damage of what is parked stops no recorder, and is told by verify. Pages that
// may be somebody's are not given back.
func TestDamagedParkedPages(t *testing.T) {
	top := func(b *bolt.Bucket) []byte { return key(b.Sequence()) }
	for name, harm := range map[string]func(b *bolt.Bucket) error{
		"something in a page": func(b *bolt.Bucket) error {
			own := b.Bucket(top(b))
			data := bytes.Clone(own.Get(keyValue))
			data[len(data)/2] = 1
			return own.Put(keyValue, data)
		},
		"a shorter run": func(b *bolt.Bucket) error {
			own := b.Bucket(top(b))
			return own.Put(keyValue, bytes.Clone(own.Get(keyValue)[5:]))
		},
		"a missing run": func(b *bolt.Bucket) error { return b.DeleteBucket(top(b)) },
		"another number": func(b *bolt.Bucket) error {
			return b.SetSequence(b.Sequence() + 16)
		},
		"a value that is no bucket": func(b *bolt.Bucket) error {
			k := top(b)
			if err := b.DeleteBucket(k); err != nil {
				return err
			}
			return b.Put(k, []byte("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, wires := roomy(t)
			update(t, j, func(tx *txn) error { return harm(tx.bolt.Bucket(bucketParked)) })
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(j.store.path, nil); err == nil || !strings.Contains(err.Error(), "parked") {
				t.Errorf("verify says %v", err)
			}
			j = openTest(t, j.store.path, j.opt)
			for fresh, there := 0, 1; there > 0; fresh++ {
				large := raw("650 CIRC %d %s", fresh, noise(fresh, 100<<10))
				appendAll(t, j, large)
				wires = append(wires, large.Format())
				there, _ = parkedPages(t, j)
				if st := j.Stats(); st.WriteError != "" || st.Unjournaled > 0 {
					t.Fatalf("recording stopped: %+v", st)
				}
			}
			checkWires(t, j, wires)
			if err := j.store.view(func(tx *txn) error {
				if tx.bolt.Bucket(bucketDamaged) == nil {
					t.Error("what is damaged was given back")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
