package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"time"
)

// bbolt's meta page: a page header, then these fields in the byte order of
// the machine, then a checksum of them.
const (
	boltPageHeader = 16
	boltMetaSize   = 64
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
)

type boltMeta struct {
	pageSize uint32
	root     uint64 // page of the bucket of buckets
	freelist uint64 // page
	pages    uint64 // high-water mark
	txid     uint64
	seen     bool // the magic number is there
	valid    bool
}

// preflight looks at both meta pages of an open file before bbolt maps it: a
// file that is shorter than they say would end the process with a fault that
// nothing can recover from. What seen has found good is not gone through again.
func preflight(f *os.File, seen *glance) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return fmt.Errorf("%w: it is a folder; name a file in it, such as journal.db", ErrNotJournal)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: it is no regular file", ErrNotJournal)
	case info.Size() == 0:
		return fmt.Errorf("%w: the file is empty; remove it, and a new journal takes its place", ErrNotJournal)
	}
	meta, err := newestMeta(f)
	if err != nil {
		return err
	}
	if need := meta.pages * uint64(meta.pageSize); need > uint64(info.Size()) {
		return damaged("", 0, "the file was cut short: it has %d bytes of at least %d", info.Size(), need)
	}
	if err := bothMetas(f, meta); err != nil {
		return err
	}
	if seen.same(info, meta) {
		return nil
	}
	if err := checkRoot(f, meta); err != nil {
		return err
	}
	if err := checkBranches(f, meta); err != nil {
		return err
	}
	seen.keep(info, meta)
	return nil
}

// glance is the file whose pages were last found good. A reader that opens a
// file for each question would read a page of each thousand records anew.
type glance struct {
	info os.FileInfo
	txid uint64
}

// settledAfter is how old a file's last change must be for the next one to
// have another time: file systems count time in ticks.
const settledAfter = time.Second

func (g *glance) same(info os.FileInfo, meta boltMeta) bool {
	return g != nil && g.info != nil && g.txid == meta.txid && os.SameFile(g.info, info) &&
		g.info.Size() == info.Size() && g.info.ModTime().Equal(info.ModTime())
}

func (g *glance) keep(info os.FileInfo, meta boltMeta) {
	if g == nil {
		return
	}
	*g = glance{}
	if time.Since(info.ModTime()) > settledAfter {
		*g = glance{info, meta.txid}
	}
}

// bothMetas makes sure that neither meta page is garbled: bbolt would take the
// other one, and the newest commit would be missing in silence. A crash leaves
// none behind, because a meta page is written within one sector. They belong to
// the last two transactions, the even one first: where one has taken the other's
// place, or one was not written, the newest commit may be missing as well.
func bothMetas(f io.ReaderAt, meta boltMeta) error {
	var both [2]boltMeta
	for i := range both {
		m, err := readMeta(f, int64(i)*int64(meta.pageSize))
		if err != nil {
			return err
		}
		if !m.valid {
			return damaged("", 0, "one of its two first pages is garbled; the newest records may be missing")
		}
		both[i] = m
	}
	if even, odd := both[0].txid, both[1].txid; even%2 != 0 || odd != even+1 && odd+1 != even {
		return damaged("", 0, "one of its two first pages is not the one that was written last; the newest records may be missing")
	}
	return nil
}

func newestMeta(f io.ReaderAt) (boltMeta, error) {
	first, err := readMeta(f, 0)
	if err != nil {
		return first, err
	}
	newest, seen := first, first.seen
	for size := int64(1 << 10); size <= 1<<16; size <<= 1 {
		second, err := readMeta(f, size)
		if err != nil {
			return second, err
		}
		seen = seen || second.seen
		if second.valid && int64(second.pageSize) == size && (!newest.valid || second.txid > newest.txid) {
			newest = second
		}
	}
	switch {
	case newest.valid:
		return newest, nil
	case seen:
		return newest, damaged("", 0, "both of its first pages are garbled")
	}
	return newest, fmt.Errorf("%w: it does not begin as one; name another file with --journal, or if it was a journal once: `torjournal salvage OLD NEW` looks for records in it", ErrNotJournal)
}

// readMeta reads the meta page at an offset; what lies past the file's end
// reads as no meta page.
func readMeta(f io.ReaderAt, off int64) (m boltMeta, err error) {
	var page [boltPageHeader + boltMetaSize]byte
	if _, err := f.ReadAt(page[:], off); err != nil && !errors.Is(err, io.EOF) {
		return m, err
	}
	b := page[boltPageHeader:]
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	sum := fnv.New64a()
	_, _ = sum.Write(b[:boltMetaSize-8])
	m = boltMeta{
		pageSize: u32(b[8:]), root: u64(b[16:]), freelist: u64(b[32:]), pages: u64(b[40:]), txid: u64(b[48:]),
		seen: u32(b) == boltMagic,
	}
	m.valid = m.seen && u32(b[4:]) == boltVersion && u64(b[56:]) == sum.Sum64() && m.pages < 1<<48 &&
		m.pageSize >= 1<<9 && m.pageSize <= 1<<16 && m.pageSize&(m.pageSize-1) == 0
	return m, nil
}
