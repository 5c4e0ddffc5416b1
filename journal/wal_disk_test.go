package journal

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// A turn of the log whose sync failed has made zeros that are in memory only. Who
// opens the file next must not take them for zeros on disk: the power fails while it
// writes over what lies there.
func TestLogZerosInMemoryOnly(t *testing.T) {
	j := loggedJournal(t, Options{walPages: 12})
	full := func(n int) { appendAll(t, j, raw("650 CIRC %d %s", n, noise(n, 3500))) }
	state := func() (zeros, pages int) {
		_ = j.inWriter(within(t), func(w *writer) error { zeros, pages = w.wal.zeros, len(w.wal.pages); return nil })
		return
	}
	for n := 0; ; n++ {
		full(n)
		if zeros, pages := state(); n > 40 && zeros == walAhead && pages > 0 && pages < 5 {
			break
		}
	}
	disk := image(t, j)
	full(1000) // its sync fails, of which the disk has nothing
	cache := image(t, j)

	opt, err := Options{walPages: 12}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(fileOf(t, cache), opt, false)
	if err != nil {
		t.Fatal(err)
	}
	var writes []write
	s.beforeLog = func(b []byte, off int64) error {
		writes = append(writes, write{off: off, data: bytes.Clone(b)})
		return nil
	}
	writeHook(t, s.db, func(b []byte, off int64) error {
		writes = append(writes, write{off: off, data: bytes.Clone(b)})
		return nil
	})
	j2, err := start(s, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer j2.Close()
	disk = applyWrites(disk, writes, nil) // Open has returned: all it wrote is on disk
	for n := range 5 {
		writes = nil
		appendAll(t, j2, raw("650 CIRC %d %s", n, noise(2000+n, 3500)))
		var torn []byte
		_ = j2.inWriter(within(t), func(*writer) error {
			torn = bytes.Clone(disk)
			copy(torn[writes[0].off:], writes[0].data[:sectorSize]) // one sector, then the power fails
			disk = applyWrites(disk, writes, nil)
			return nil
		})
		if _, err := Verify(fileOf(t, torn), nil); err != nil {
			t.Errorf("turn %d: the power failed while it was written, and: %v", n, err)
		}
	}
}

// The length of the value that the log lies in is under no checksum: a log that is
// shorter by that has lost its newest pages.
func TestLogCutShort(t *testing.T) {
	j := loggedJournal(t, Options{walPages: leastWAL})
	for nextPage(t, j) != 0 { // the newest page is the last one
		appendAll(t, j, bw(1, 1)...)
	}
	want, _ := readAll(t, j, Range{})
	records, pages := inLog(t, j)
	intact := image(t, j)
	meta, err := newestMeta(bytes.NewReader(intact))
	if err != nil {
		t.Fatal(err)
	}
	tr := newTree(bytes.NewReader(intact), meta, func(err error) { t.Fatal(err) })
	leaf := int(tr.buckets()["wal"].root) * int(meta.pageSize)
	size := leaf + boltPageHeader + 12
	for bit := range 32 {
		bad := bytes.Clone(intact)
		bad[size+bit/8] ^= 1 << (bit % 8)
		path := fileOf(t, bad)
		got, err := recordsIn(within(t), path, nil)
		if err == nil && !sameRecords(got, want) {
			_, verr := Verify(path, nil)
			t.Errorf("bit %d: %d records of %d (%d in %d pages of the log), no error; Verify says %v", bit, len(got), len(want), records, pages, verr)
		}
	}
}

// The log of the file that a vacuum has made has the size that its pages ask for.
func TestLogSizeAfterAVacuum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := makeJournal(db, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	j := openTest(t, path, Options{MaxSize: 1 << 20})
	appendAll(t, j, bw(1, 1)...)
	if _, err := j.Vacuum(within(t), Limits{}); err != nil {
		t.Fatal(err)
	}
	opt := j.limited()
	_ = j.inWriter(within(t), func(w *writer) error {
		if want := opt.logSize(j.store.pageSize()); w.wal.most != want || want < 0 {
			t.Errorf("pages of %d bytes: a log of %d, want %d", j.store.pageSize(), w.wal.most, want)
		}
		return nil
	})
}

// A recorder that ends well leaves zeros in the log.
func TestCloseLeavesZerosInTheLog(t *testing.T) {
	j := loggedJournal(t, Options{})
	for i := range 7 {
		appendAll(t, j, bw(i, 1)...)
	}
	region, err := findLog(bytes.NewReader(image(t, j)))
	if err != nil {
		t.Fatal(err)
	}
	closeTest(t, j)
	content, _ := fileNow(t, j.store.path)
	if !isZero(content[region.off:][:region.pages*region.pageSize]) {
		t.Error("there is something in the log")
	}
}

// behindAHole returns a killed recorder's file whose tail has lost its last batch; with
// known the file says up to where it reached.
func behindAHole(t *testing.T, known bool) (path string, last uint64) {
	j := loggedJournal(t, Options{growBytes: 1})
	for i := range 4 {
		appendAll(t, j, bw(i, 1)...)
	}
	path, last = fileOf(t, image(t, j)), j.Stats().Last
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketTail)
		c := b.Cursor()
		k, _ := c.Last()
		if !known {
			if err := b.SetSequence(beNumber(k) - 1); err != nil {
				return err
			}
		}
		if err := c.Delete(); err != nil {
			return err
		}
		return signRoot(tx)
	}); err != nil {
		t.Fatal(err)
	}
	return path, last
}

// A log that was begun behind a record that the buckets do not have shows that
// records are missing.
func TestLogOfALaterRecord(t *testing.T) {
	path, _ := behindAHole(t, false)
	if got, err := recordsIn(within(t), path, nil); err == nil {
		t.Errorf("%v, and no error", numbers(got))
	}
	if _, err := Verify(path, nil); err == nil {
		t.Error("Verify finds nothing")
	}
}

// What the log holds behind a hole is intact.
func TestVerifyCountsTheLogBehindAHole(t *testing.T) {
	path, last := behindAHole(t, true)
	v, err := Verify(path, nil)
	if err == nil || strings.Contains(err.Error(), "in wal") || v.Last != last {
		t.Errorf("%+v, want records up to %d; %v", v, last, err)
	}
}
