package journal

import (
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A transaction of bbolt writes four pages and syncs the file twice, and who
// waits for one event would wait for that. So the file has a log in front of its
// buckets: pages in a row, the value of a bucket of its own that no transaction
// touches once it is there. What a small turn of the writer brings goes into the
// next page, which costs one sync, and is given away. A transaction takes all of
// the log along when it is full, when something else has to be committed, and
// after a minute at the latest. The log goes round in its pages.
//
//	page  0       1       2       3       4       5       6       7       8
//	     │ 123…4 │ 125   │       │       │       │       │ 118…9 │ 120   │ 121…2 │
//	     └ log ──────────┘ next    zeros                   of before       log ──┘
//	                                                       buckets end with 120
//
// It upholds, beside the writer's invariants:
//
//  1. (G1) A page is written again only after the transaction that has its
//     records has returned nil. (TestCrashImages)
//  2. A page is zeros, on disk, before anything is written to it, and what one
//     turn writes is on disk before the next one does. So of a write that the
//     power cuts short nobody had the records, and what it leaves can be told from
//     damage: sectors of zeros, or nothing, but for the pages of that turn, which
//     bear their place in it. (TestLogTorn, TestLogDamaged)
//  3. Where the log begins is in the page that every transaction writes anyway,
//     and each page says behind which record of the buckets the log was begun. So
//     what a transaction has taken is no log any more, whatever becomes of the
//     pages. (TestLogOfBefore)
//  4. Readers see one journal: a transaction that reads has the log as it was
//     when it began, behind the tail. (TestModel)
//
// What it cannot tell: that a disk has lost all of a page of its newest turn, or
// whole sectors of it, and gives zeros. Of what a transaction writes more is known.
//
// Under load there is no log: turns are large, and what they cost is not syncs.
//
// The way that lost: to sync once in bbolt's own commit. Its meta page must not
// be on disk before what it leads to is, and no page says which commit it is of.

// walRegion is where the log lies in the file.
type walRegion struct {
	off      int64 // of its first page
	pages    int   // 0: there is no log
	pageSize int
	begin    int // number of the page that it begins with, when it was opened
}

// at returns where page number i lies, counted round and round.
func (r *walRegion) at(i int) int64 { return r.off + int64(i%r.pages)*int64(r.pageSize) }

const (
	// walPages is how many pages a log has: so many turns, less walAhead, share a
	// transaction. Small rings have smaller logs.
	walPages    = 64
	leastWAL    = 16
	walFraction = 64 // of the pages of the ring

	// walAhead is how many pages behind the log are zeros at least, and how many a
	// turn may take; walClear is how many are made so at once.
	walAhead = 4
	walClear = 16
)

// logSize returns how many pages a log is made with; negative: there shall be
// none.
func (o *Options) logSize(pageSize int) int {
	if o.walPages != 0 {
		return o.walPages
	}
	ring := o.MaxSize / int64(pageSize)
	if ring < 8*leastWAL {
		return -1 // pages are large here: the room is for records
	}
	return int(min(walPages, max(leastWAL, ring/walFraction)))
}

// logPlace is what a page of the log says of its place, in bytes 64 to 67 of the
// envelope.
type logPlace struct {
	part byte   // which one of its turn it is
	held uint64 // how many records the log had before it; less than 1<<24
}

const placeOffset = 64

func placeIn(envelope []byte) logPlace {
	b := envelope[placeOffset:]
	return logPlace{part: b[0], held: uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])}
}

// logged is one page of the log: an envelope. Nobody changes it.
type logged struct {
	hdr  header
	data []byte
}

const (
	// joinedMost bounds the wire bytes that go into one batch with what the log
	// holds: more is a batch by itself.
	joinedMost = 64 << 10

	// walRest is how many commits the log is left alone after it could not be
	// made or written.
	walRest = 64
)

// wal is the writer's picture of the log. It is owned by the writer goroutine.
type wal struct {
	most   int // pages that a log is made with; negative: there shall be none
	more   int // bytes that an envelope is longer in the file, see Key.overhead
	region walRegion
	next   int      // page to be written next
	zeros  int      // pages from it on that are zeros on disk
	held   growing  // all records in it together; none: it is empty
	pages  []logged // the same, one by one

	rest    int  // commits to wait until it is made or written again
	used    bool // not all of its pages are zeros
	unclean bool // nobody knows whether the walAhead pages from next on are zeros on disk
	wanted  bool // a small turn has been committed that a log would have taken
}

// open makes the log at r the one that is used, with what was found in it.
func (l *wal) open(r walRegion, f *walFound) error {
	l.region, l.next, l.zeros, l.used = r, f.next, walAhead, f.used
	l.held, l.pages = growing{}, nil
	for _, p := range f.pages {
		if err := l.add(p); err != nil {
			return err
		}
	}
	return nil
}

// add notes a page that was found.
func (l *wal) add(p logged) error {
	_, payload, _, err := splitEnvelope(p.data)
	var recs []Record
	if err == nil {
		recs, err = decodeBatch(p.hdr, payload, noTypes)
	}
	if err == nil {
		err = agrees(p.hdr, recs)
	}
	if err != nil {
		return damaged("wal", p.hdr.first, "%w", err)
	}
	l.take(p, growing{hdr: p.hdr, payload: appendRecords(nil, recs), lastUs: lastArrival(recs)})
	return nil
}

// take notes a page that has been written.
func (l *wal) take(p logged, g growing) {
	if l.held.none() {
		l.held = growing{hdr: g.hdr, payload: append(l.held.payload[:0], g.payload...), lastUs: g.lastUs}
	} else {
		l.held = join(&l.held, &g)
	}
	l.pages = append(l.pages, p)
}

func (l *wal) empty() bool { return l.held.none() }

// usable reports whether the log can be written.
func (l *wal) usable() bool { return l.most > 0 && l.region.pages > 0 && l.rest == 0 }

// settled says that a transaction has taken what was in the log.
func (l *wal) settled() {
	l.held, l.pages = growing{payload: l.held.payload[:0]}, nil
}

// joined returns what becomes of the log in a transaction that appends b too,
// which may be nil; nil: the log is empty.
func (l *wal) joined(e *encoder, b *batch) *growth {
	if l.empty() {
		return nil
	}
	g := &growth{growing: l.held, logged: true, begin: l.next}
	if b != nil {
		alone := growing{b.hdr, appendRecords(nil, b.recs), nil, b.hdr.codec, lastArrival(b.recs)}
		g.growing = join(&l.held, &alone)
	}
	g.data = e.pack(&g.growing)
	return g
}

// cut makes pages of the numbered ones among recs, where the buckets end with record
// base. It reports false if one of them is too long for a page.
func (l *wal) cut(dst []logged, parts []growing, base uint64, recs []Record) ([]logged, []growing, bool) {
	h := headerOf(recs)
	switch {
	case h.first == 0:
		return dst, parts, true
	case headerSize+int(h.raw)+l.more <= l.region.pageSize:
		payload := appendRecords(make([]byte, 0, h.raw), recs)
		data := appendLogged(make([]byte, 0, headerSize+len(payload)), &h, payload, logPlace{byte(len(dst)), h.first - 1 - base})
		return append(dst, logged{h, data}), append(parts, growing{hdr: h, payload: payload, lastUs: lastArrival(recs)}), true
	case len(recs) == 1:
		return dst, parts, false
	}
	half := len(recs) / 2
	dst, parts, ok := l.cut(dst, parts, base, recs[:half])
	if !ok {
		return dst, parts, false
	}
	return l.cut(dst, parts, base, recs[half:])
}

// logAhead writes b to the log. It reports whether b is on disk by that; if not
// a transaction has to put it there, with what the log holds.
func (w *writer) logAhead(b *batch) bool {
	l := &w.wal
	if !l.usable() || w.ready != nil || wireBytes(b.recs) > walAhead*l.region.pageSize {
		return false
	}
	base := w.next - 1
	if !l.empty() {
		base = l.held.hdr.first - 1
	}
	pages, parts, ok := l.cut(nil, nil, base, b.recs)
	if !ok || len(pages) == 0 || len(pages) > walAhead || len(l.pages)+len(pages) > min(l.region.pages, l.most)-walAhead || !l.fits(&w.tail, pages) {
		return false
	}
	if l.unclean {
		if !w.writeLog(logTurn{walRegion: l.region, clear: l.next, zeros: walAhead}) {
			return false
		}
		l.unclean, l.zeros = false, walAhead
	}
	turn := logTurn{walRegion: l.region, next: l.next, pages: pages}
	if left := l.zeros - len(pages); left < walAhead {
		turn.clear, turn.zeros = l.next+l.zeros, min(walClear, l.region.pages-len(l.pages)-l.zeros)
	}
	if !w.writeLog(turn) {
		return false
	}
	for i := range pages {
		l.take(pages[i], parts[i])
	}
	l.next, l.zeros = (l.next+len(pages))%l.region.pages, l.zeros-len(pages)+turn.zeros
	w.env.overlay(l.pages)
	w.next = l.held.hdr.last + 1
	w.counts.commits.Add(1)
	w.parking.logged()
	return true
}

// writeLog writes to the log and reports whether that succeeded. If not the log
// is left alone for a while: what a write that failed has left is unknown.
func (w *writer) writeLog(turn logTurn) bool {
	err := w.env.log(turn)
	if w.wal.used = true; err != nil {
		w.wal.rest, w.wal.unclean = walRest, true
		w.log.Warn("the log in front of the journal cannot be written; events are committed without it", "error", err)
	}
	return err == nil
}

// fits reports whether the log with more pages would be a batch as others: of
// no long time.
func (l *wal) fits(t *tail, more []logged) bool {
	from, to := more[0].hdr.minTime, more[0].hdr.maxTime
	for i := range more {
		from, to = min(from, more[i].hdr.minTime), max(to, more[i].hdr.maxTime)
	}
	return l.near(t, from, to)
}

// takesBeside reports whether items and what the log holds may be one batch.
func (l *wal) takesBeside(t *tail, items []item) bool {
	if l.empty() || len(items) == 0 {
		return true
	}
	from, to := items[0].us, items[0].us
	for i := range items {
		from, to = min(from, items[i].us), max(to, items[i].us)
	}
	return itemBytes(items) <= joinedMost && l.near(t, from, to)
}

// near reports whether what arrived between two times, in µs, may be in a batch with
// what the log holds: what is evicted by age is evicted by batches.
func (l *wal) near(t *tail, from, to int64) bool {
	if !l.empty() {
		from, to = min(from, l.held.hdr.minTime), max(to, l.held.hdr.maxTime)
	}
	return !t.tooLong(from, to) && time.Duration(to-from)*time.Microsecond <= growSpan
}

func itemBytes(items []item) (n int) {
	for i := range items {
		n += len(items[i].wire)
	}
	return n
}

func wireBytes(recs []Record) (n int) {
	for i := range recs {
		if recs[i].Seq != 0 {
			n += len(recs[i].Wire)
		}
	}
	return n
}

// settleLog has a transaction take what the log holds. An error means that an
// outage has begun.
func (w *writer) settleLog() error {
	if w.wal.empty() {
		return nil
	}
	return w.apply(&change{})
}

// closeLog has the file take what the log holds, for the last time, and leaves
// zeros. Where that cannot be it stays in the log, for who opens the file next.
func (w *writer) closeLog() {
	l := &w.wal
	if w.out != nil {
		return
	}
	if !l.empty() {
		c := &change{}
		w.carry(c)
		if err := w.commit(c); err != nil {
			w.log.Warn("the newest events stay in the log in front of the journal, and are taken from there when it is opened next", "error", err)
			return
		}
	}
	if l.used { // what is there has no meaning any more, and damage of it shall have none
		_ = w.env.log(logTurn{walRegion: l.region, zeros: l.region.pages})
	}
}

// carry has c, which is not in the file yet, take what the log holds.
func (w *writer) carry(c *change) {
	if g := w.wal.joined(w.enc, c.batch); g != nil {
		c.grown = g
	}
}

// settledLog says that c, which appends, is in the file.
func (w *writer) settledLog(c *change) {
	if !c.logged() {
		w.grower.settled(c.grown)
		w.wal.wanted = c.batch != nil && len(c.batch.data) < busyBatch
		return
	}
	w.grower.settled(nil)
	w.wal.settled()
	w.env.overlay(nil)
}

// mayMakeLog reports whether it is quiet, and the file shall have a log and has
// none.
func (w *writer) mayMakeLog() bool {
	l := &w.wal
	return l.wanted && l.most > 0 && l.region.pages == 0 && l.rest == 0 && w.out == nil && !w.repack.held
}

// makeLog makes the log. Where that fails events are committed without it.
func (w *writer) makeLog() {
	l := &w.wal
	c := &change{wal: l.most}
	err := w.commitOnce(c)
	if err == nil {
		var r walRegion
		if r, err = w.env.findLog(); err == nil {
			err = l.open(r, &walFound{})
			l.zeros, l.unclean = r.pages, false
		}
	}
	if err != nil {
		l.rest = walRest
		w.failure.Store(nil) // the next commit tells
		w.log.Debug("the log in front of the journal could not be made", "error", err)
	}
}

// logTurn is what a turn does to the log.
type logTurn struct {
	walRegion
	next  int // number of the page to begin with
	pages []logged
	clear int // number of the page from which on…
	zeros int // …so many become zeros
}

// writeLog writes to the log and returns when all of it is on disk. The writer
// calls it.
func (s *store) writeLog(t logTurn) error {
	if d := s.broken.Load(); d != nil {
		return d
	}
	if err := s.ready(); err != nil {
		return err
	}
	s.logBuf = slices.Grow(s.logBuf[:0], max(len(t.pages), t.zeros)*t.pageSize)
	buf := s.logBuf[:len(t.pages)*t.pageSize]
	for i := range t.pages {
		page := buf[i*t.pageSize:][:t.pageSize]
		fillUp(page[copy(page, s.cipher.encrypt(kindBatch, nil, t.pages[i].data)):])
	}
	err := s.writeRound(&t.walRegion, buf, t.next)
	if err == nil && t.zeros > 0 {
		buf = s.logBuf[:t.zeros*t.pageSize]
		clear(buf)
		err = s.writeRound(&t.walRegion, buf, t.clear)
	}
	if err != nil {
		return fmt.Errorf("journal: write the log: %w", err)
	}
	if err := datasync(s.file); err != nil {
		return fmt.Errorf("journal: sync the log: %w", err)
	}
	return nil
}

// writeRound writes whole pages of the log, from number next on.
func (s *store) writeRound(r *walRegion, buf []byte, next int) error {
	for len(buf) > 0 {
		n := min(len(buf), (r.pages-next%r.pages)*r.pageSize) // up to where the pages end
		if s.beforeLog != nil {
			if err := s.beforeLog(buf[:n], r.at(next)); err != nil {
				return err
			}
		}
		if _, err := s.file.WriteAt(buf[:n], r.at(next)); err != nil {
			return err
		}
		buf, next = buf[n:], next+n/r.pageSize
	}
	return nil
}

// fillUp makes what follows in a page something else than zeros: sectors of zeros
// were not written.
func fillUp(rest []byte) {
	for i := range rest {
		rest[i] = 0xff
	}
}

// overhead is how many bytes a value is longer in the file.
func (s *store) overhead() int {
	if s.cipher == nil {
		return 0
	}
	return cryptoSize
}

// putLogBegin notes that what the log had is taken, and with which page it goes on.
func putLogBegin(tx *bolt.Tx, begin int) error {
	return tx.Bucket(bucketMeta).Put(keyLog, key(uint64(begin)))
}

// makeWAL makes the bucket of the log, with the part of a page in front of it.
func makeWAL(tx *bolt.Tx, pages int) error {
	b, err := tx.CreateBucketIfNotExists(bucketWAL)
	if err != nil || b.Get(keyValue) != nil {
		return err // an earlier try was written
	}
	if err := tx.Bucket(bucketMeta).Delete(keyLog); err != nil {
		return err
	}
	b.FillPercent = 1
	return b.Put(keyValue, make([]byte, runSize(pages+1, tx.DB().Info().PageSize)))
}

// openLog takes up the log of the open file, and what a recorder that did not
// end well has left in it. It runs before the writer's goroutine does.
func (w *writer) openLog(s *store, opt Options) error {
	l := &w.wal
	l.most = opt.logSize(s.pageSize())
	l.more = s.overhead()
	found := s.logFound
	if found.overtaken > 0 {
		w.log.Error("a program that does not know the log in front of the journal has written to the file: records that were given away are missing, and their numbers mean others", "up_to", found.overtaken)
	}
	if err := s.ready(); err != nil { // who writes next tries again
		w.log.Warn("what the last recorder has left in the journal may not be on disk yet", "error", err)
	}
	return l.open(s.logRegion, &found)
}
