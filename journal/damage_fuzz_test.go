package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"torjournal/tor/event"
)

// smallSample makes a journal that has one of everything in few pages: two
// sessions, blocks of one page and of several, sums, a tail below a branch
// page, free pages. It returns the bytes that are used, and root pages of
// before the last two.
func smallSample(t testing.TB, key *Key) (content []byte, records uint64, roots [][]byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{Key: key, MaxSize: 1 << 20, sealBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for pid := range 2 {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: pid}); err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, raw("650 NOTICE %s", noise(pid, 6000)))
		for i := range 12 {
			appendAll(t, j, bw(i*40, 40)...)
		}
	}
	waitForSeal(t, j)
	for i := range 30 { // more than fits into one page
		roots = append(roots, rootPage(t, path))
		appendAll(t, j, raw("650 NOTICE %s", noise(i, 100)))
	}
	v := closeTest(t, j)
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	meta, err := newestMeta(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	// That of the commit before never lies in the place of the newest, see checkRoot.
	_, before := (&vandal{b: content, page: os.Getpagesize()}).rootPages()
	roots = slices.DeleteFunc(roots, func(root []byte) bool { return bytes.Equal(root[8:], content[before+8:][:len(root)-8]) })
	return content[:meta.pages*uint64(meta.pageSize)], v.Records, roots
}

// fileNow returns what a file holds, and the newest of its meta pages.
func fileNow(t testing.TB, path string) ([]byte, boltMeta) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := newestMeta(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return content, meta
}

func rootPage(t testing.TB, path string) []byte {
	t.Helper()
	content, meta := fileNow(t, path)
	return content[meta.root*uint64(meta.pageSize):][:meta.pageSize]
}

// vandal changes a journal's file where it hurts: edits are 10 bytes each, what
// is done, to which page, to which part of it, and with which value. forged is
// set where a checksum was made good again: then the file may say something
// else than it did, and nobody can tell. So it is where another page was put in
// the place of the root page and that of the commit before, which shows that,
// is not as it was either.
type vandal struct {
	b           []byte
	page        int // size
	forged      bool
	roots       [][]byte // older ones
	root, older bool     // what was done to the two root pages
}

const editSize = 10

func (v *vandal) edit(e []byte) {
	pages := len(v.b) / v.page
	at := int(e[1]) % pages * v.page
	page := v.b[at : at+v.page]
	part := int(binary.BigEndian.Uint16(e[2:]))
	value := v.value(e[4], binary.BigEndian.Uint32(e[5:]))
	kind := e[0]
	if kind > 12 {
		kind %= 12
	}
	newest, older := v.rootPages()
	if kind == 5 && at == newest {
		v.root = true
		v.older = v.older || int(e[5])%pages*v.page == older // as it is after a commit of a program that signs nothing
	}
	v.root = v.root || kind == 12
	v.older = v.older || kind < 11 && at == older
	v.forged = v.forged || v.root && v.older
	switch kind {
	case 0: // the head of a page
		switch part % 4 {
		case 0:
			binary.NativeEndian.PutUint64(page, value)
		case 1:
			binary.NativeEndian.PutUint16(page[8:], uint16(value))
		case 2:
			binary.NativeEndian.PutUint16(page[10:], uint16(value))
		case 3:
			binary.NativeEndian.PutUint32(page[12:], uint32(value))
		}
	case 1: // an element
		count := max(1, min(int(binary.NativeEndian.Uint16(page[10:])), v.page/elementSize-1))
		i := boltPageHeader + part/4%count*elementSize + part%4*4
		binary.NativeEndian.PutUint32(page[i:], uint32(value))
	case 2: // where an element of a branch leads to, or a bucket's root and sequence
		i := boltPageHeader + part%((v.page-boltPageHeader)/8)*8
		binary.NativeEndian.PutUint64(page[i:], value)
	case 3: // a bucket's value, behind its name
		names := [][]byte{bucketMeta, bucketTail, bucketBlocks, bucketIndex, bucketSessions, bucketRollups, bucketEntities, keyValue}
		name := names[part%len(names)]
		if i := bytes.Index(page, name); i >= 0 && i+len(name)+bucketSize < v.page {
			binary.NativeEndian.PutUint64(page[i+len(name)+part/len(names)%4*4:], value)
		}
	case 4: // a meta page
		v.meta(part, value)
	case 5: // another page, its own number kept or not
		other := v.b[int(e[5])%pages*v.page:][:v.page]
		copy(page[part%2*8:], other[part%2*8:])
	case 6: // the head of an envelope
		v.envelope(part, value, e[9]%2 == 0)
	case 7: // an entry of the index
		v.index(part, value, e[9]%2 == 0)
	case 8: // a few bytes
		i := part % v.page
		copy(page[i:], e[4:editSize])
	case 9:
		page[part%v.page] ^= e[4]
	case 10:
		clear(page[part%v.page:][:min(v.page-part%v.page, int(e[4]))])
	case 11: // the end of the file
		if n := len(v.b) - int(value%uint64(len(v.b))); part%8 == 0 && n >= v.page {
			v.b = v.b[:n/v.page*v.page]
		}
	case 12: // the root page, as if an older one had been there and none was written
		if newest > 0 && newest+v.page <= len(v.b) {
			copy(v.b[newest+8:newest+v.page], v.roots[part%len(v.roots)][8:])
		}
	}
}

// rootPages returns where the root pages of the newest commit and of the one before
// are.
func (v *vandal) rootPages() (newest, older int) {
	meta, err := newestMeta(bytes.NewReader(v.b))
	if err != nil {
		return -1, -1
	}
	before, err := readMeta(bytes.NewReader(v.b), int64(meta.txid+1)%2*int64(v.page))
	if err != nil {
		return -1, -1
	}
	return int(meta.root) * v.page, int(before.root) * v.page
}

// value makes a number that is likely to be believed.
func (v *vandal) value(kind byte, n uint32) uint64 {
	switch kind % 6 {
	case 0:
		return uint64(n % 4)
	case 1:
		return uint64(n) % uint64(len(v.b)/v.page)
	case 2:
		return uint64(n) % uint64(2*v.page)
	case 3:
		return 1 << (n % 64)
	case 4:
		return -uint64(n%3) - 1
	}
	return uint64(n)
}

// meta changes a field of one meta page or of both, and makes its checksum good.
func (v *vandal) meta(part int, value uint64) {
	fields := [...]int{8, 16, 24, 32, 40, 48, 52, 56}
	for which := range 2 {
		if part/len(fields)%3 == which {
			continue
		}
		m := v.b[which*v.page+boltPageHeader:][:boltMetaSize]
		if f := fields[part%len(fields)]; f == 8 || f == 52 {
			binary.NativeEndian.PutUint32(m[f:], uint32(value))
		} else {
			binary.NativeEndian.PutUint64(m[f:], value)
		}
		sum := fnv.New64a()
		_, _ = sum.Write(m[:boltMetaSize-8])
		binary.NativeEndian.PutUint64(m[boltMetaSize-8:], sum.Sum64())
	}
	v.forged = true
}

// envelope changes a byte or number in the head of an envelope.
func (v *vandal) envelope(part int, value uint64, good bool) {
	at := v.find([]byte(magic), part/32)
	if i := v.find([]byte(cryptoMagic), part/32); i >= 0 && i+cryptoHeader <= len(v.b) { // the head of a cryptogram
		v.number(v.b[i+4:i+cryptoHeader], part%32, value)
		return
	}
	if at < 0 || at+headerSize > len(v.b) {
		return
	}
	h := v.b[at : at+headerSize]
	v.number(h[4:68], part%32, value)
	if size := headerSize + int(binary.BigEndian.Uint32(h[8:])); good && size > 0 && at+size <= len(v.b) && size < 1<<24 {
		crc := crc32.Update(crc32.Checksum(h[:68], castagnoli), castagnoli, v.b[at+headerSize:at+size])
		binary.BigEndian.PutUint32(h[68:], crc)
		v.forged = true
	}
}

// index changes an entry of the index.
func (v *vandal) index(part int, value uint64, good bool) {
	entry := []byte{batchVersion, codecColumns, 0, 0}
	at := v.find(entry, part/32)
	if at < 0 || at+indexSize > len(v.b) {
		return
	}
	h := v.b[at : at+indexSize]
	v.number(h[1:68], part%32, value)
	if good {
		binary.BigEndian.PutUint32(h[68:], crc32.Checksum(h[:68], castagnoli))
		v.forged = true
	}
}

// number writes a value over 1, 4 or 8 bytes.
func (v *vandal) number(b []byte, part int, value uint64) {
	switch i := part * 2; {
	case part%3 == 0:
		b[i%len(b)] = byte(value)
	case part%3 == 1 && i+4 <= len(b):
		binary.BigEndian.PutUint32(b[i:], uint32(value))
	case i+8 <= len(b):
		binary.BigEndian.PutUint64(b[i:], value)
	}
}

// find returns where the n-th of data is, counted around; -1 if there is none.
func (v *vandal) find(data []byte, n int) int {
	count := bytes.Count(v.b, data)
	if count == 0 {
		return -1
	}
	at := -1
	for range n%count + 1 {
		at += 1 + bytes.Index(v.b[at+1:], data)
	}
	return at
}

// quickDir returns a folder for files that need not last: in memory, if there
// is such a place.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "torjournal")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Whatever becomes of a file's bytes, nobody panics, faults or hangs over it,
// no record is passed over in silence, and no lock is left.
func FuzzOpenDamaged(f *testing.F) { fuzzOpenDamaged(f, nil) }

func FuzzOpenDamagedEncrypted(f *testing.F) { fuzzOpenDamaged(f, testKey(f)) }

func fuzzOpenDamaged(f *testing.F, key *Key) {
	intact, records, roots := smallSample(f, key)
	page := os.Getpagesize()
	f.Add([]byte{})
	for kind := range byte(12) {
		for i := range byte(scaled(6, 1)) {
			f.Add([]byte{kind, 2 + 5*i + kind, 0, 7 * i, i, 0, 0, i, 3, i})
			f.Add([]byte{kind, 3 + 3*i, i, 13 * i, 5 - i, 0, 0, 0, 11 * i, i + 1})
		}
	}
	for i := 0; i < len(roots); i += scaled(1, 8) {
		f.Add([]byte{12, 0, 0, byte(i), 0, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		v := vandal{b: bytes.Clone(intact), page: page, roots: roots}
		whole := crc32.ChecksumIEEE(edits)%8 == 0 // what takes longest is done less often
		for n := 0; len(edits) >= editSize && n < 8; n++ {
			v.edit(edits[:editSize])
			edits = edits[editSize:]
		}
		dir := quickDir(t)
		path, saved := filepath.Join(dir, "journal.db"), filepath.Join(dir, "new.db")
		if err := os.WriteFile(path, v.b, 0o600); err != nil {
			t.Fatal(err)
		}
		read := error(errForged)
		if !v.forged {
			read = readDamaged(t, "fuzz", path, key, records)
		} else {
			readForged(t, path, key)
		}
		found := 0
		_, verr := VerifyEach(path, key, func(*DamageError) { found++ })
		if read != nil && read != errForged && found == 0 && verr == nil {
			t.Errorf("a reader says %v, and Verify finds nothing", read)
		}
		if !whole {
			surveyed(t, path, key)
		} else if s, err := Salvage(t.Context(), path, saved, SalvageOptions{Evicted: true, Key: key}); err == nil {
			if got, err := Verify(saved, key); err != nil || got.Records != s.Records {
				t.Errorf("the salvaged journal: %+v, %v; Salvage said %+v", got, err, s)
			}
		} else if _, serr := os.Lstat(saved); serr == nil {
			t.Errorf("a salvage that failed (%v) made a file", err)
		}
		sealBytes := 1 << 20
		if whole {
			sealBytes = 16 << 10
		}
		_ = appendDamaged(t, "fuzz", path, key, sealBytes)
		lockFree(t, path)
	})
}

// surveyed does what a salvage does before it writes: what it takes lies in the
// file, in order.
func surveyed(t *testing.T, path string, key *Key) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &salvage{file: &patient{file: f}, size: size(f), opt: SalvageOptions{Evicted: true, Key: key}, keys: keyring{key: key}}
	if err := s.survey(t.Context()); err != nil && !errors.Is(err, ErrNothing) && !keyError(err) {
		t.Errorf("survey: %v", err)
	}
	last := uint64(0)
	for i := range s.chosen {
		c := &s.chosen[i]
		if c.first <= last || c.last < c.first {
			t.Errorf("records %d to %d are taken after %d", c.first, c.last, last)
		}
		if last = c.last; c.of == nil && c.off+int64(c.size()+key.overhead()) > s.size {
			t.Errorf("records %d to %d lie behind the end", c.first, c.last)
		}
	}
}

var errForged = errors.New("it may say what it likes")

// readForged reads all of a file that may say what it likes: records in order,
// or an error.
func readForged(t *testing.T, path string, key *Key) {
	t.Helper()
	f, err := OpenFile(path, key)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.Sessions(within(t))
	last := uint64(0)
	for rec, err := range Records(within(t), f, Range{}) {
		if err != nil {
			return
		}
		if rec.Seq <= last {
			t.Errorf("record %d after %d", rec.Seq, last)
		}
		last = rec.Seq
	}
}
