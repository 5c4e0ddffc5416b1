package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"unsafe"

	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

// hookT is what testing.T and rapid.T have in common of what writeHook needs.
type hookT interface {
	Helper()
	Fatal(...any)
}

// writeHook lets hook see every write of db, before it happens. bbolt offers
// no other way in; this fails loudly when an update moves the field.
func writeHook(t hookT, db *bolt.DB, hook func(b []byte, off int64)) {
	t.Helper()
	f := reflect.ValueOf(db).Elem().FieldByName("ops").FieldByName("writeAt")
	if !f.IsValid() || f.Type() != reflect.TypeFor[func([]byte, int64) (int, error)]() {
		t.Fatal("bbolt's DB.ops.writeAt is not what it was: look for the new place of its writes")
	}
	writeAt := (*func([]byte, int64) (int, error))(unsafe.Pointer(f.UnsafeAddr()))
	old := *writeAt
	*writeAt = func(b []byte, off int64) (int, error) {
		hook(b, off)
		return old(b, off)
	}
}

// write is one write of bbolt, and what was published before it.
type write struct {
	off       int64
	data      []byte
	published uint64
}

// recordWrites runs work on a journal and returns the file before it and every
// write that work made.
func recordWrites(t *testing.T, opt Options, work func(*Journal)) (base []byte, writes []write) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	closeTest(t, openTest(t, path, opt))
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	j := openTest(t, path, opt)
	var mu sync.Mutex
	writeHook(t, j.store.db, func(b []byte, off int64) {
		mu.Lock()
		defer mu.Unlock()
		writes = append(writes, write{off, bytes.Clone(b), j.win.published()})
	})
	work(j)
	closeTest(t, j)
	return base, writes
}

// Power fails at every write: before it all that was synced is on disk, of the
// rest any sectors. Whatever is left opens, holds everything that anybody had
// received, and can be written on.
func TestCrashImages(t *testing.T) {
	opt := Options{MaxSize: MinMaxSize, sealBytes: 8 << 10}
	var wires []string
	base, writes := recordWrites(t, opt, func(j *Journal) {
		add := func(evs ...event.Event) {
			for _, ev := range evs {
				wires = append(wires, string(ev.Format()))
			}
			appendAll(t, j, evs...)
		}
		for i := range 40 {
			if i%15 == 0 {
				if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: i + 1}); err != nil {
					t.Fatal(err)
				}
			}
			add(bw(i*100, 1+i*7%40)...)
		}
		for i := range 22 { // until blocks are evicted
			add(raw("650 CIRC %s", noise(i, 100<<10)))
		}
		waitForSeal(t, j)
		for range j.win.published() - uint64(len(wires)) {
			wires = append(wires, "650 BW 1 1\r\n") // waitForSeal's
		}
	})
	if last := writes[len(writes)-1].published; last < 400 {
		t.Fatalf("%d records of %d were published before the last write", last, len(wires))
	}
	page := int64(os.Getpagesize())
	r := rand.New(rand.NewPCG(1, 2))
	image := bytes.Clone(base) // what is synced for certain
	var epoch []write          // what is not
	images := 0
	for k, w := range writes {
		meta := w.off < 2*page
		if meta { // bbolt has synced the pages before it writes the meta
			image = applyWrites(image, epoch, nil)
			epoch = nil
		}
		epoch = append(epoch, w)
		images++
		checkImage(t, fmt.Sprintf("write %d of %d", k, len(writes)), applyWrites(bytes.Clone(image), epoch, r), opt, w.published, wires)
		if meta {
			image = applyWrites(image, epoch, nil)
			epoch = nil
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d images of %d writes", images, len(writes))
}

// applyWrites applies writes to image, all of them, or sectors at random.
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

// checkImage opens image and compares what it holds.
func checkImage(t *testing.T, what string, image []byte, opt Options, published uint64, wires []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(path); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	j, err := Open(path, opt)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	recs, _ := readAll(t, j, Range{})
	if len(recs) == 0 && published > 0 || len(recs) > 0 && recs[len(recs)-1].Seq < published {
		t.Errorf("%s: %d records, but %d had been published", what, len(recs), published)
	}
	for _, rec := range recs {
		if rec.Seq > uint64(len(wires)) || string(rec.Wire) != wires[rec.Seq-1] {
			t.Errorf("%s: record %d is %.40q", what, rec.Seq, rec.Wire)
			break
		}
	}
	appendAll(t, j, bw(7, 3)...)
	if err := j.Close(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if _, err := Verify(path); err != nil {
		t.Errorf("%s: after going on: %v", what, err)
	}
}

// What one event a commit costs the disk: a card must last.
func TestBytesWrittenPerCommit(t *testing.T) {
	opt := Options{MaxSize: 4 << 20}
	_, writes := recordWrites(t, opt, func(j *Journal) {
		for i := range 300 {
			appendAll(t, j, bw(i, 1)...)
		}
	})
	total := 0
	for _, w := range writes {
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
	_, writes := recordWrites(t, opt, func(j *Journal) {
		for i := range 30 {
			appendAll(t, j, raw("650 NS %s", noise(i, 1<<20)))
		}
		if err := j.store.view(func(tx *bolt.Tx) error {
			return tx.Bucket(bucketIndex).ForEach(func(k, v []byte) error {
				h, err := entryAt(k, v)
				stored += h.size()
				return err
			})
		}); err != nil {
			t.Fatal(err)
		}
	})
	total := 0
	for _, w := range writes {
		total += len(w.data)
	}
	if total > stored*11/10 {
		t.Errorf("%d bytes were written for %d of blocks", total, stored)
	}
}
