package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/migrations"
)

// patientFile is a journal that damage is done to, and what it held.
type patientFile struct {
	path    string
	key     *Key
	intact  []byte
	page    int
	used    int // pages
	root    int // page
	records []Record
	batches []found // live, in order
}

func newPatient(t *testing.T, key *Key) *patientFile {
	t.Helper()
	path, records := sample(t, key)
	p := &patientFile{path: path, key: key}
	var err error
	if p.intact, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	meta, err := newestMeta(bytes.NewReader(p.intact))
	if err != nil {
		t.Fatal(err)
	}
	p.page, p.used, p.root = int(meta.pageSize), int(meta.pages), int(meta.root)
	f, err := OpenFile(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p.records, _ = readAll(t, f, Range{}); uint64(len(p.records)) != records {
		t.Fatalf("%d records of %d", len(p.records), records)
	}
	keys := &keyring{key: key}
	live, err := readLive(bytes.NewReader(p.intact), meta, keys)
	if err != nil || !live.whole || !live.marked {
		t.Fatalf("the tree of an intact file: %+v, %v", live, err)
	}
	c := carver{r: bytes.NewReader(p.intact), size: int64(len(p.intact)), keys: keys, envelope: func(off int64, h header) {
		if live.live[h] && !slices.ContainsFunc(p.batches, func(f found) bool { return f.header == h }) {
			p.batches = append(p.batches, found{header: h, off: off, live: true})
		}
	}}
	if err := c.envelopes(within(t)); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(p.batches, func(a, b found) int { return int(a.first) - int(b.first) })
	return p
}

// stored is how many bytes of the file b takes.
func (p *patientFile) stored(b found) int { return b.size() + p.key.overhead() }

// examine does everything to a damaged file that may be done to a journal and
// fails the test if anything is lost in silence, or left behind. It returns
// what Verify found, what Salvage saved and the error of a reader.
func (p *patientFile) examine(t *testing.T, name string, content []byte) (found []*DamageError, saved Salvaged, read error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	read = readDamaged(t, name, path, p.key, uint64(len(p.records)))
	if read != nil {
		if !strings.Contains(read.Error(), path) {
			t.Errorf("%s: %v does not name the file", name, read)
		}
		var d *DamageError
		if errors.As(read, &d) && !strings.Contains(read.Error(), damageHint) {
			t.Errorf("%s: %v does not name the next step", name, read)
		}
	}
	_, verr := VerifyEach(path, p.key, func(d *DamageError) { found = append(found, d) })
	if verr != nil {
		found = append(found, &DamageError{Err: verr})
	}
	if read != nil && len(found) == 0 {
		t.Errorf("%s: a reader says %v, and Verify finds nothing", name, read)
	}
	salvagedPath := filepath.Join(dir, "salvaged.db")
	saved, err := Salvage(within(t), path, salvagedPath, SalvageOptions{Key: p.key})
	p.checkSalvaged(t, name, content, salvagedPath, saved, err)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
		t.Errorf("%s: reading, Verify or Salvage changed the file (%v)", name, err)
	}
	_ = appendDamaged(t, name, path, p.key, 16<<10)
	lockFree(t, path)
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("%s: %v were left behind", name, left)
	}
	return found, saved, read
}

// checkSalvaged holds the new journal against what was in the old one: it is
// in order, every record in it is the true one, it has those of each batch of
// which no byte was changed, and it tells what is missing.
func (p *patientFile) checkSalvaged(t *testing.T, name string, content []byte, path string, saved Salvaged, err error) {
	t.Helper()
	var intact []found
	for _, b := range p.batches {
		end := b.off + int64(p.stored(b))
		if end <= int64(len(content)) && bytes.Equal(content[b.off:end], p.intact[b.off:end]) {
			intact = append(intact, b)
		}
	}
	if errors.Is(err, ErrNothing) {
		if len(intact) > 0 {
			t.Errorf("%s: Salvage found nothing, %d batches are intact", name, len(intact))
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: a salvage of nothing made a file", name)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: Salvage: %v", name, err)
		return
	}
	v, err := Verify(path, p.key)
	if err != nil || v.Records != saved.Records || v.First != saved.First || v.Last != saved.Last {
		t.Errorf("%s: the salvaged journal: %+v, %v; Salvage said %+v", name, v, err, saved)
	}
	f, err := OpenFile(path, p.key)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer f.Close()
	got := map[uint64]bool{}
	recs, gaps := readAll(t, f, Range{From: 1})
	next := uint64(1)
	for _, r := range recs {
		if len(gaps) > 0 && gaps[0].From == next {
			next, gaps = gaps[0].To+1, gaps[1:]
		}
		if r.Seq != next {
			t.Errorf("%s: record %d where %d should follow, and no gap", name, r.Seq, next)
		}
		next = r.Seq + 1
		if r.Seq > uint64(len(p.records)) || !equalRecords(r, p.records[r.Seq-1]) {
			t.Errorf("%s: record %d is %+v", name, r.Seq, r)
			return
		}
		got[r.Seq] = true
	}
	for _, b := range intact {
		if !got[b.first] || !got[b.last] {
			t.Errorf("%s: records %d to %d are intact and were not saved", name, b.first, b.last)
		}
	}
	if len(got) != int(saved.Records) {
		t.Errorf("%s: %d records can be read, %d were saved", name, len(got), saved.Records)
	}
}

// Whatever is done to a file, it gives all its records or an error that names
// the next step; nothing panics or faults, no lock is left, Verify sees what
// readers stumble over, and Salvage saves every batch that is intact.
func TestDamage(t *testing.T) { plainAndEncrypted(t, testDamage) }

func testDamage(t *testing.T, key *Key) {
	p := newPatient(t, key)
	cases := map[string]func([]byte) []byte{}
	for n := 2; n < p.used; n += scaled(1, 13) {
		at := n * p.page
		each := func(what string, do func(page []byte, r *rand.Rand)) {
			cases[fmt.Sprintf("page %d %s", n, what)] = func(b []byte) []byte {
				do(b[at:at+p.page], rand.New(rand.NewPCG(uint64(n), uint64(len(what)))))
				return b
			}
		}
		each("zeroed", func(b []byte, _ *rand.Rand) { clear(b) })
		each("garbled", func(b []byte, r *rand.Rand) {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		})
		each("bit flips", func(b []byte, r *rand.Rand) {
			for range 3 {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
		})
		each("header", func(b []byte, r *rand.Rand) { b[r.IntN(48)] ^= 1 << r.IntN(8) })
		each("another", func(b []byte, _ *rand.Rand) {
			other := 2 + (n+3)%(p.used-2)
			copy(b, p.intact[other*p.page:])
		})
		if n == p.root {
			continue // see TestSalvageBehindAnOlderRoot
		}
		each("another that lies about its number", func(b []byte, _ *rand.Rand) {
			other := 2 + (n+5)%(p.used-2)
			copy(b[8:], p.intact[other*p.page+8:(other+1)*p.page])
		})
	}
	noticed := 0
	for name, do := range cases {
		_, _, read := p.examine(t, name, do(bytes.Clone(p.intact)))
		if read != nil {
			noticed++
		}
	}
	t.Logf("%d of %d damages hit something that is read", noticed, len(cases))
	if noticed < len(cases)/10 {
		t.Errorf("only %d of %d damages were noticed", noticed, len(cases))
	}
}

// A file that was cut short anywhere gives an error, and what lies before the
// cut can be saved.
func TestDamageTruncated(t *testing.T) { plainAndEncrypted(t, testDamageTruncated) }

func testDamageTruncated(t *testing.T, key *Key) {
	p := newPatient(t, key)
	used := p.used * p.page
	lengths := []int{0, 1, 40, 79, 80, p.page - 1, p.page, p.page + 40, 2 * p.page, 3 * p.page, used / 2, used - p.page, used - 1}
	for _, b := range p.batches {
		lengths = append(lengths, int(b.off), int(b.off)+headerSize, int(b.off)+p.stored(b)-1, int(b.off)+p.stored(b))
	}
	for i, n := range lengths {
		if testing.Short() && i > 13 && i%9 != 0 {
			continue
		}
		name := fmt.Sprintf("cut to %d bytes", n)
		_, _, read := p.examine(t, name, bytes.Clone(p.intact[:n]))
		if read == nil && n < used {
			t.Errorf("%s: a reader gives no error", name)
		}
		if n >= p.page+80 && n < used && !strings.Contains(fmt.Sprint(read), "cut short") {
			t.Errorf("%s: %v", name, read)
		}
	}
}

// What each kind of damage leads to: the error of readers, what Verify names,
// and how many records are saved.
func TestDamageKinds(t *testing.T) {
	p := newPatient(t, nil)
	all := uint64(len(p.records))
	block, batch := p.batches[0], p.batches[len(p.batches)-1]
	if block.size() < ownBucket || batch.size() >= ownBucket {
		t.Fatalf("the sample has no large block and small batch: %+v", p.batches)
	}
	flip := func(f found, off int) func([]byte) []byte { // in every copy of it
		return p.inPage(t, p.intact[f.off:f.off+int64(f.size())], off)
	}
	pageHeader := func(off int) func([]byte) []byte {
		return func(b []byte) []byte { b[int(block.off)/p.page*p.page+off] ^= 4; return b }
	}
	metas := func(do func(b []byte)) func([]byte) []byte {
		return func(b []byte) []byte { do(b[:p.page]); do(b[p.page : 2*p.page]); return b }
	}
	for _, c := range []struct {
		name  string
		do    func([]byte) []byte
		read  string // in the error of readers; "": none
		named header // what Verify names, if first is not 0
		saved uint64
	}{
		{"nothing", func(b []byte) []byte { return b }, "", header{}, all},
		{"garbage behind the end", func(b []byte) []byte { return append(b, bytes.Repeat([]byte("garbage tjbk\x01\x01"), 999)...) }, "", header{}, all},
		{"a bit of a block's payload", flip(block, headerSize+10), "checksum", block.header, all - block.count()},
		{"a bit of a block's checksum", flip(block, 68), "not the one that the index names", block.header, all - block.count()},
		{"a block's magic", flip(block, 0), "tjbk", block.header, all - block.count()},
		{"a block's version", flip(block, 4), "version", block.header, all - block.count()},
		{"a block's length", flip(block, 9), "bytes", block.header, all - block.count()},
		{"the number of a block's page", pageHeader(0), "Page expected", block.header, all},
		{"the kind of a block's page", pageHeader(8), "", block.header, all},
		{"a bit of a batch in the tail", flip(batch, headerSize+3), "checksum", batch.header, all - batch.count()},
		{"an entry of the index", p.inPage(t, indexKey(block.header), 16+20), "index", block.header, all},
		{"the key of an entry", p.inPage(t, indexKey(block.header), 7), "index", block.header, all},
		{"the newer meta page", func(b []byte) []byte { b[p.page*int(p.txid()&1)+40] ^= 1; return b }, "one of its two first pages", header{}, all},
		{"the older meta page", func(b []byte) []byte { b[p.page*int(1-p.txid()&1)+40] ^= 1; return b }, "one of its two first pages", header{}, all},
		{"a meta page over the other", func(b []byte) []byte { // the older one over the newer
			older := p.page * int(1-p.txid()&1)
			copy(b[p.page*int(p.txid()&1):], bytes.Clone(b[older:older+p.page]))
			return b
		}, "one of its two first pages", header{}, all},
		{"both meta pages", metas(func(b []byte) { b[40] ^= 1 }), "garbled", header{}, all},
		{"both metas zeroed", metas(func(b []byte) { clear(b) }), "salvage", header{}, all},
		{"the schema", p.inPage(t, append([]byte("schema"), key(migrations.Latest())...), 12), "schema", header{}, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, saved, read := p.examine(t, c.name, c.do(bytes.Clone(p.intact)))
			if (c.read == "" && c.named.first == 0) != (read == nil) || !strings.Contains(fmt.Sprint(read), c.read) {
				t.Errorf("readers say %v, want %q", read, c.read)
			}
			if c.named.first != 0 {
				i := slices.IndexFunc(found, func(d *DamageError) bool { return d.Seq == c.named.first && d.Last == c.named.last })
				if i < 0 || found[i].Since.UnixMicro() != c.named.minTime || found[i].Until.UnixMicro() != c.named.maxTime {
					t.Errorf("Verify does not name records %d to %d with their times: %v", c.named.first, c.named.last, found)
				}
			} else if read == nil && len(found) > 0 {
				t.Errorf("Verify finds %v", found)
			}
			if saved.Records != c.saved {
				t.Errorf("%d records were saved, want %d: %+v", saved.Records, c.saved, saved)
			}
		})
	}
}

func (p *patientFile) txid() uint64 {
	meta, _ := newestMeta(bytes.NewReader(p.intact))
	return meta.txid
}

// indexKey is how the index entry of h begins in a page, its key included.
func indexKey(h header) []byte {
	return append(key(h.first), appendIndex(nil, &h)...)
}

// inPage returns a damage that flips a bit of every copy of data in the file,
// off bytes from its beginning.
func (p *patientFile) inPage(t *testing.T, data []byte, off int) func([]byte) []byte {
	t.Helper()
	if !bytes.Contains(p.intact, data) {
		t.Fatalf("%q is not in the file", data)
	}
	return func(b []byte) []byte {
		for at := 0; ; {
			i := bytes.Index(b[at:], data)
			if i < 0 {
				return b
			}
			b[at+i+off] ^= 4
			at += i + len(data)
		}
	}
}

// readDamaged reads all of a file, and fails the test if that gives fewer
// records without an error.
func readDamaged(t *testing.T, name, path string, key *Key, records uint64) error {
	t.Helper()
	f, err := OpenFile(path, key)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Sessions(within(t)); err != nil {
		return err
	}
	if _, err := f.Rollups(within(t), time.Time{}, time.Time{}); err != nil {
		return err
	}
	var n uint64
	for rec, err := range Records(within(t), f, Range{}) {
		if err != nil {
			var d *DamageError
			if !errors.As(err, &d) {
				t.Errorf("%s: %v, want a *DamageError", name, err)
			}
			return at(path, err)
		}
		if n++; rec.Seq != n {
			t.Errorf("%s: record %d after %d", name, rec.Seq, n-1)
		}
	}
	if n != records {
		t.Errorf("%s: %d records of %d, and no error", name, n, records)
	}
	return nil
}

// appendDamaged opens a damaged file for writing and appends; all that
// matters is that it ends, and with an error if it failed.
func appendDamaged(t *testing.T, name, path string, key *Key, sealBytes int) error {
	t.Helper()
	j, err := Open(path, Options{Key: key, MaxSize: 8 << 20, sealBytes: sealBytes})
	if err != nil {
		return err
	}
	for i := range 3 {
		_ = j.Append(within(t), bw(i, 10)...)
	}
	err = j.Close()
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("%s: %v does not name the file", name, err)
	}
	return err
}

// A page that the disk did not write is an older page with the right number:
// the end of the journal is noted in another page, so that this does not pass
// for a shorter journal.
func TestDamageUnwrittenPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog, growBytes: 1})
	for i := range 100 { // more than fits into the root's page
		appendAll(t, j, bw(i, 1)...)
	}
	var stale []byte
	var pages map[uint64]bool
	for round := 0; ; round++ {
		appendAll(t, j, bw(round, 1)...)
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		leaf := lastTailLeaf(t, now)
		if pages[leaf] {
			size := os.Getpagesize()
			copy(now[int(leaf)*size:], stale[int(leaf)*size:(int(leaf)+1)*size])
			cut := filepath.Join(t.TempDir(), "stale.db")
			if err := os.WriteFile(cut, now, 0o600); err != nil {
				t.Fatal(err)
			}
			read := readDamaged(t, "unwritten page", cut, nil, uint64(101+round))
			if read == nil || !strings.Contains(read.Error(), "missing") {
				t.Errorf("readers say %v", read)
			}
			if _, err := Verify(cut, nil); err == nil {
				t.Error("Verify finds nothing")
			}
			if _, err := Open(cut, Options{}); err == nil || !strings.Contains(err.Error(), "missing") {
				t.Errorf("Open says %v", err)
			}
			return
		}
		if stale == nil {
			stale, pages = now, map[uint64]bool{leaf: true}
		}
	}
}

// The root page of an earlier commit in the place of the newest one leads to a
// whole journal, but for the newest records.
func TestDamageOlderRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{growBytes: 1})
	for i := range 100 { // more than fits into the root's page
		appendAll(t, j, bw(i, 1)...)
	}
	size := os.Getpagesize()
	var older [][]byte // root pages
	for round := range 8 {
		appendAll(t, j, bw(round, 1)...)
		now, meta := fileNow(t, path)
		root := now[int(meta.root)*size:][:size]
		for back := range older {
			bad := bytes.Clone(now)
			copy(bad[int(meta.root)*size+8:], older[back][8:])
			file := filepath.Join(t.TempDir(), "older.db")
			if err := os.WriteFile(file, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			_ = readDamaged(t, fmt.Sprintf("commit %d with the root of commit %d", round, back), file, nil, uint64(101+round))
		}
		older = append(older, bytes.Clone(root))
	}
}

// The root page of a journal with a small tail holds all of it: an older one in
// its place is a whole tree. Salvage finds the batches that lie elsewhere all
// the same.
func TestSalvageBehindAnOlderRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{})
	size := os.Getpagesize()
	root := func() (content, page []byte) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := newestMeta(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return content, content[int(meta.root)*size:][:size]
	}
	appendAll(t, j, bw(0, 3)...)
	_, older := root()
	appendAll(t, j, raw("650 NOTICE %s", noise(1, 20<<10))) // has pages of its own
	bad, newest := root()
	copy(newest[8:], older[8:])
	file := filepath.Join(t.TempDir(), "older.db")
	if err := os.WriteFile(file, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	saved, err := Salvage(within(t), file, file+".new", SalvageOptions{})
	if err != nil || saved.Records != 4 {
		t.Errorf("%+v, %v, want 4 records", saved, err)
	}
}

// lastTailLeaf returns the page that holds the newest batch of the tail.
func lastTailLeaf(t *testing.T, content []byte) (leaf uint64) {
	t.Helper()
	meta, err := newestMeta(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	tr := newTree(bytes.NewReader(content), meta, func(err error) { t.Error(err) })
	tr.each(tr.buckets()[string(bucketTail)], func(e element) { leaf = uint64(e.off) / uint64(meta.pageSize) })
	return leaf
}

// A mark of what was evicted that covers what is there would hide it.
func TestDamageEvictedMark(t *testing.T) {
	path, records := sample(t, nil)
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyEvicted, binary.BigEndian.AppendUint64(nil, 1<<40))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := readDamaged(t, "evicted mark", path, nil, records); err == nil {
		t.Error("a reader gives no error")
	}
	if _, err := Verify(path, nil); err == nil {
		t.Error("Verify finds nothing")
	}
	saved, err := Salvage(within(t), path, path+".new", SalvageOptions{})
	if err != nil || saved.Records != records || saved.Marked {
		t.Errorf("Salvage: %+v, %v; want %d records without a mark", saved, err, records)
	}
}

// A branch page that leads back to itself would use up the stack.
func TestDamageCircle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog, growBytes: 1})
	for i := range 100 {
		appendAll(t, j, bw(i, 1)...)
	}
	closeTest(t, j)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := newestMeta(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	tr := newTree(bytes.NewReader(content), meta, func(err error) { t.Error(err) })
	root := tr.buckets()[string(bucketTail)].root
	at := int(root) * int(meta.pageSize)
	if binary.NativeEndian.Uint16(content[at+8:]) != pageBranch {
		t.Fatal("the tail has no branch page")
	}
	for i := range int(binary.NativeEndian.Uint16(content[at+10:])) {
		bad := bytes.Clone(content)
		binary.NativeEndian.PutUint64(bad[at+boltPageHeader+i*elementSize+8:], root)
		p := &patientFile{path: path, intact: content, records: make([]Record, 100)}
		dir := filepath.Join(t.TempDir(), "circle.db")
		if err := os.WriteFile(dir, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readDamaged(t, "circle", dir, nil, uint64(len(p.records))); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("element %d: readers say %v", i, err)
		}
		if err := appendDamaged(t, "circle", dir, nil, 16<<10); err == nil {
			t.Errorf("element %d: a writer may append", i)
		}
		if _, err := Verify(dir, nil); err == nil {
			t.Errorf("element %d: Verify finds nothing", i)
		}
		if saved, err := Salvage(within(t), dir, dir+".new", SalvageOptions{}); err != nil || saved.Records != 100 {
			t.Errorf("element %d: Salvage: %+v, %v", i, saved, err)
		}
	}
}
