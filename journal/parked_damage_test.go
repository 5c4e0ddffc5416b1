package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	berrors "go.etcd.io/bbolt/errors"
)

// wipeRoot writes zeros over the root page of a bucket, as a disk that fails does.
func wipeRoot(t *testing.T, j *Journal, name []byte) {
	t.Helper()
	err := j.inWriter(within(t), func(*writer) error {
		var at int64
		if err := j.store.view(func(tx *txn) error {
			at = int64(tx.bolt.Bucket(name).RootPage()) * int64(j.store.pageSize())
			return nil
		}); err != nil {
			return err
		}
		if at == 0 {
			t.Errorf("%s has no page: the test tests nothing", name)
			return nil
		}
		_, err := j.store.file.WriteAt(make([]byte, j.store.pageSize()), at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goesOn makes sure that nothing has stopped the recorder.
func goesOn(t *testing.T, j *Journal) {
	t.Helper()
	if st := j.Stats(); st.WriteError != "" || st.Unjournaled > 0 {
		t.Errorf("recording stopped: %+v", st)
	}
}

// Damage of what is parked does not stop who parks more.
func TestParkingOverDamage(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, j *Journal){
		"the page": func(t *testing.T, j *Journal) { wipeRoot(t, j, bucketParked) },
		"a number that is too low": func(t *testing.T, j *Journal) {
			setParked(t, j, 0)
		},
		"a number that is too high": func(t *testing.T, j *Journal) {
			setParked(t, j, 1<<40)
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, wires := roomy(t)
			harm(t, j)
			if err := j.inWriter(within(t), func(w *writer) error {
				return j.committer.update(func(tx *txn) error { return park(tx.bolt, 1, parkSoon.run) })
			}); err != nil {
				t.Error(err)
			}
			if n, _ := parkedPages(t, j); n != parkSoon.run {
				t.Errorf("%d pages are parked", n)
			}
			small := raw("650 BW 1 2")
			appendAll(t, j, small)
			goesOn(t, j)
			checkWires(t, j, append(wires, small.Format()))
			leaveBehind(t, j)
		})
	}
}

func setParked(t *testing.T, j *Journal, n uint64) {
	t.Helper()
	update(t, j, func(tx *txn) error { return tx.bolt.Bucket(bucketParked).SetSequence(n) })
}

// Nor does damage of both the sums of the bandwidth and what is parked stop a recorder.
func TestDamageOfSumsAndParkedPages(t *testing.T) {
	j, wires := roomy(t)
	// so that the sums have a page of their own
	update(t, j, func(tx *txn) error {
		return tx.bolt.Bucket(bucketRollups).Put([]byte("z"), make([]byte, j.store.pageSize()/2))
	})
	wipeRoot(t, j, bucketRollups)
	wipeRoot(t, j, bucketParked)
	for i := range 2 {
		large := raw("650 CIRC %d %s", i, noise(i, 300<<10)) // a block, which is summed, and needs pages
		appendAll(t, j, large)
		wires = append(wires, large.Format())
	}
	goesOn(t, j)
	if err := j.store.view(func(tx *txn) error {
		all := tx.bolt.Bucket(bucketDamaged)
		n := 0
		if all == nil {
			t.Fatal("nothing was put aside")
		}
		err := all.ForEachBucket(func(k []byte) error {
			return all.Bucket(k).ForEachBucket(func([]byte) error { n++; return nil })
		})
		if n != 2 {
			t.Errorf("%d buckets were put aside", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	checkWires(t, j, wires)
	leaveBehind(t, j)
}

// Nor does damage of a page that bbolt merges with where a transaction ends.
func TestDamageBesideGivenBack(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog, MaxSize: 64 << 20, parkLimits: parkSoon})
	appendAll(t, j, raw("650 BW 1 2"))
	update := func(f func(tx *txn) error) {
		t.Helper()
		if err := j.inWriter(within(t), func(*writer) error { return j.committer.update(f) }); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *txn) error { return park(tx.bolt, 400, 1) })
	if err := j.inWriter(within(t), func(*writer) error {
		return j.store.view(func(tx *txn) error {
			size := int64(j.store.pageSize())
			root := make([]byte, size)
			if _, err := j.store.file.ReadAt(root, int64(tx.bolt.Bucket(bucketParked).RootPage())*size); err != nil {
				return err
			}
			n := binary.NativeEndian.Uint16(root[10:])
			if root[8] != 1 || n < 3 {
				t.Fatalf("%d children, flags %d: the test tests nothing", n, root[8])
			}
			leaf := binary.NativeEndian.Uint64(root[boltPageHeader+16*int(n-2)+8:])
			_, err := j.store.file.WriteAt(make([]byte, size), int64(leaf)*size)
			return err
		})
	}); err != nil {
		t.Fatal(err)
	}
	for left := 1; left > 0; left, _ = parkedPages(t, j) {
		update(func(tx *txn) error { return unpark(tx.bolt, 1) })
	}
	appendAll(t, j, raw("650 BW 1 2"))
	goesOn(t, j)
	leaveBehind(t, j)
}

// leaveBehind vacuums a journal in which something was put aside: it is intact then.
func leaveBehind(t *testing.T, j *Journal) {
	t.Helper()
	if _, err := j.Vacuum(within(t), Limits{}); err != nil {
		t.Errorf("vacuum: %v", err)
	}
}

// A reader that stays pins what is given back: nobody gains by it, and the list
// of free pages would be long again.
func TestPinnedPagesAreNoReasonToUnpark(t *testing.T) {
	j, wires := roomy(t)
	before, _ := parkedPages(t, j)
	tx, err := j.store.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		small := raw("650 CIRC %d %s", i, noise(i, 2000))
		appendAll(t, j, small)
		wires = append(wires, small.Format())
	}
	n, _ := parkedPages(t, j)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n < before-2*parkSoon.run {
		t.Errorf("%d of %d parked pages are left", n, before)
	}
	checkWires(t, j, wires)
}

// scatter makes a full file in which every second run of so many pages is free.
func scatter(t *testing.T, j *Journal, run int) {
	t.Helper()
	name, value := []byte("test"), bytes.Repeat([]byte("x"), runSize(run, j.store.pageSize()))
	if err := j.inWriter(within(t), func(*writer) error {
		db := j.store.db
		db.NoSync = true
		defer func() { db.NoSync = false }()
		n := uint64(0)
		var err error
		for ; err == nil; n++ { // in transactions of their own they follow each other
			err = j.store.update(func(tx *txn) error {
				b, err := tx.bolt.CreateBucketIfNotExists(name)
				if err != nil {
					return err
				}
				own, err := b.CreateBucket(key(n))
				if err != nil {
					return err
				}
				return own.Put(keyValue, value)
			})
		}
		if !errors.Is(err, berrors.ErrMaxSizeReached) {
			return err
		}
		free := func(from, to, step uint64) error {
			return j.store.update(func(tx *txn) error {
				for i := from; i < to; i += step {
					if err := tx.bolt.Bucket(name).DeleteBucket(key(i)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		last := n - 1 - 12
		err = free(last, n-1, 1) // for the list of free pages
		for i := uint64(0); i < last && err == nil; i += 100 {
			err = free(i, min(i+100, last), 2)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// What is parked in short runs does not keep a batch out that needs a long one:
// what can be evicted has one.
func TestLongRunBehindShortParkedOnes(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog, MaxSize: 64 << 20, sealBytes: 256 << 10, parkLimits: parkSoon})
	large := func(i int) { appendAll(t, j, raw("650 CIRC %d %s", i, noise(i, 100<<10))) }
	for i := range 16 {
		large(i)
	}
	scatter(t, j, 8)
	appendAll(t, j, raw("650 BW 1 2"))
	parkAll(t, j)
	if n, _ := parkedPages(t, j); n < 4000 {
		t.Fatalf("%d pages are parked: the test tests nothing", n)
	}
	for i := range 60 {
		large(16 + i)
	}
	goesOn(t, j)
}
