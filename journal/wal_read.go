package journal

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// walFound is what lies in a log.
type walFound struct {
	pages []logged // that continue the buckets
	next  int      // number of the page behind them
	used  bool     // not all pages are zeros

	// overtaken is the last record of a log that somebody has appended past who
	// does not know it; 0: nobody has.
	overtaken uint64
}

// findLog returns where the log of a file lies.
func findLog(r io.ReaderAt) (walRegion, error) {
	meta, err := newestMeta(r)
	if err != nil {
		return walRegion{}, err
	}
	var bad error
	t := newTree(r, meta, func(err error) { bad = errors.Join(bad, err) })
	buckets := t.buckets()
	if bad != nil {
		return walRegion{}, nil // what is wrong with the root others tell
	}
	return t.walRegion(buckets)
}

// walRegion returns where the log lies in a file with these buckets.
func (t *tree) walRegion(buckets map[string]treeBucket) (r walRegion, err error) {
	b, ok := buckets[string(bucketWAL)]
	if !ok {
		return r, nil
	}
	broken := t.broken
	t.broken = false
	t.each(b, func(e element) {
		if string(e.key) == string(keyValue) && !e.bucket && t.fills(b.root, &e) {
			r = regionIn(e.off, e.size, int(t.meta.pageSize))
		}
	})
	begin, known := t.logBegin(buckets)
	if t.broken || r.pages == 0 || !known || begin >= uint64(r.pages) {
		err = damaged("wal", 0, "where the log lies cannot be read; the newest records may be missing")
	}
	r.begin = int(begin)
	t.broken = t.broken || broken
	return r, err
}

// fills reports whether the value of e ends where the pages of leaf id end: how long
// it is and how many pages there are is under no checksum, and a log that seems to be
// shorter would have lost its newest pages in silence.
func (t *tree) fills(id uint64, e *element) bool {
	p, err := t.readPage(id)
	return err == nil && e.off+e.size == p.off+p.extent
}

// logBegin returns which page the log begins with.
func (t *tree) logBegin(buckets map[string]treeBucket) (begin uint64, known bool) {
	known = true
	own := &tree{r: t.r, meta: t.meta, seen: map[uint64]bool{}, tell: func(error) { known = false }}
	own.each(buckets[string(bucketMeta)], func(e element) {
		if string(e.key) != string(keyLog) {
			return
		}
		v, err := own.value(e, 8, nil)
		if known = known && err == nil && len(v) == 8; known {
			begin = beNumber(v)
		}
	})
	return begin, known
}

// regionIn returns the whole pages in a value.
func regionIn(off, size int64, pageSize int) walRegion {
	page := int64(pageSize)
	first, end := (off+page-1)/page, (off+size)/page
	if end <= first {
		return walRegion{}
	}
	return walRegion{off: first * page, pages: int(end - first), pageSize: pageSize}
}

// walPage is one page of a log as it lies in the file.
type walPage struct {
	logged        // if it is whole
	part   int    // likewise: its place in its turn…
	base   uint64 // …and the last record in the buckets when the log was begun
	state  pageState
}

type pageState int

const (
	zeroPage pageState = iota
	wholePage
	tornPage // some of its sectors are zeros: the power may have failed while it was written
	badPage
)

// read looks at the log of a file whose buckets end with record last. decrypt
// returns the envelope that a page holds, or what it is given if nothing is
// encrypted. The error is a *DamageError or the file's.
func (w *walRegion) read(r io.ReaderAt, last uint64, decrypt func([]byte) ([]byte, error)) (found walFound, err error) {
	base := last
	all, page := make([]walPage, w.pages), make([]byte, w.pageSize)
	for i := range all {
		p := &all[i]
		if _, err := r.ReadAt(page, w.at(i)); err != nil {
			return found, endError(err)
		}
		if p.parse(page, decrypt); p.base == base {
			p.data = bytes.Clone(p.data)
		}
		found.used = found.used || p.state != zeroPage
	}
	found.next = w.begin
	for p := &all[found.next]; p.follows(base, last); p = &all[found.next] {
		found.pages, last = append(found.pages, p.logged), p.hdr.last
		found.next = (found.next + 1) % w.pages
	}
	lost := uint64(0) // first record behind those that are missing
	for i := range all {
		p := &all[i]
		switch {
		case p.state != wholePage || p.hdr.last <= last:
		case p.base < base:
			found.overtaken = max(found.overtaken, p.hdr.last)
		case p.base > base || !cutShort(all, i, found.next, last):
			if lost == 0 || p.hdr.first < lost {
				lost = p.hdr.first
			}
		}
	}
	if lost > 0 {
		return found, missing("wal", last+1, max(last+1, lost-1))
	}
	if all[found.next].state == badPage {
		return found, damaged("wal", last+1, "what was written last cannot be read")
	}
	return found, nil
}

// follows reports whether the page is of the log that was begun behind record base,
// and follows record last.
func (p *walPage) follows(base, last uint64) bool {
	return p.state == wholePage && p.base == base && p.hdr.first == last+1
}

// cutShort reports whether page i may be what is left of a turn that has page next
// too, where the log ends with record last: each whole page from that turn's first
// one on is in its place, and those from next on have had a record at least.
func cutShort(all []walPage, i, next int, last uint64) bool {
	newest := &all[i]
	lost := (i - next + len(all)) % len(all)
	if lost == 0 || lost > newest.part || newest.hdr.first <= last+uint64(lost) {
		return false
	}
	for part := range newest.part {
		p := &all[(i-newest.part+part+len(all))%len(all)]
		if p.state == wholePage && p.part != part {
			return false
		}
	}
	return true
}

// sectorSize is what a disk writes as a whole, whatever happens.
const sectorSize = 512

// parse finds out what a page is. What it holds may lie in page.
func (p *walPage) parse(page []byte, decrypt func([]byte) ([]byte, error)) {
	if isZero(page) {
		return
	}
	if data, err := decrypt(page[:sizeInPage(page)]); err == nil {
		if h, _, rest, err := splitEnvelope(data); err == nil && len(rest) == 0 {
			if at := placeIn(data); at.held < h.first {
				p.logged, p.part, p.base, p.state = logged{h, data}, int(at.part), h.first-1-at.held, wholePage
				return
			}
		}
	}
	p.state = badPage
	for sector := range slices.Chunk(page, sectorSize) {
		if isZero(sector) {
			p.state = tornPage
		}
	}
}

// sizeInPage returns how long the page says that it is what it holds.
func sizeInPage(page []byte) int {
	size := 0
	if isCryptogram(page) {
		if c, err := parseCryptogram(page); err == nil {
			size = c.stored()
		}
	} else if h, err := parseHeader(page); err == nil {
		size = h.size()
	}
	return min(size, len(page))
}

// recoverLog finds the log of the open file, and what is in it that the
// buckets have not.
func (s *store) recoverLog() error {
	r, err := findLog(s.file)
	if err != nil || r.pages == 0 {
		return err
	}
	last, err := s.reread()
	if err != nil {
		return err
	}
	found, err := r.read(s.file, last, func(data []byte) ([]byte, error) { return s.cipher.decrypt(nil, kindBatch, nil, data) })
	if err != nil {
		return err
	}
	s.logRegion, s.logFound, s.logUnsettled = r, found, true
	s.overlay(found.pages)
	return nil
}

// settleFound makes durable what the last recorder has left in the log, and the zeros
// behind it, whatever is there. It may have died in front of its sync, or its sync has
// failed: then pages are marked as clean, zeros too, and may not be on disk.
func (s *store) settleFound() error {
	r, f := &s.logRegion, &s.logFound
	first := f.next + r.pages - len(f.pages)
	for i := range f.pages {
		page := make([]byte, r.pageSize)
		if _, err := s.file.ReadAt(page, r.at(first+i)); err != nil {
			return err
		}
		if err := s.writeRound(r, page, first+i); err != nil {
			return err
		}
	}
	if err := s.writeRound(r, make([]byte, walAhead*r.pageSize), f.next); err != nil {
		return err
	}
	return datasync(s.file)
}

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// overlay sets what readers see behind the tail.
func (s *store) overlay(pages []logged) { s.logged.Store(&pages) }

// newestLogged returns the header of the log's last page, nil if it is empty.
func (tx *txn) newestLogged() *header {
	if n := len(tx.logged); n > 0 {
		return &tx.logged[n-1].hdr
	}
	return nil
}
