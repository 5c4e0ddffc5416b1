package journal

import (
	"errors"
	"fmt"

	berrors "go.etcd.io/bbolt/errors"
)

// A change is what one transaction does to the file. Applying it twice is the
// same as applying it once: a commit that failed may be in the file, and is
// then simply repeated.
type change struct {
	batch   *batch   // to append; nil: none
	grown   *growth  // what becomes of batch in the file, if it is small; nil: what it is
	toBlock bool     // batch is large and the tail empty: it is a block at once
	seal    *seal    // a block that replaces batches of the tail; nil: none
	promote []header // large batches at the tail's head that become blocks as they are
	session *Session // a session to begin or to bring up to date; nil: none
	wal     int      // pages of a log to be made; 0: none
}

// seal is a finished block and what it replaces.
type seal struct {
	repack   bool // replaces blocks, not batches of the tail
	block    header
	data     []byte
	replaces []header  // batches of the tail, in order
	entities []byte    // of the block
	sums     []stepSum // of its BW events, by minute
}

// outcome is what a commit found out.
type outcome struct {
	sealed  bool     // the seal is in the file; false if its batches were evicted before
	evicted uint64   // last number that the ring has given up; 0: none ever
	sums    []string // damage in the rollups that was met and set aside
}

// committer applies changes to the file and keeps the ring inside its limit.
// It is owned by the writer goroutine.
type committer struct {
	store *store    // immutable
	ages  *ageClock // immutable

	front  front // as the last commit left it
	parker parker

	limit   int // pages that may be in use
	reserve int // pages kept free for what a transaction needs beside its values
	more    int // bytes that a batch is longer in the file, see Key.overhead
	rollups rollupLimits
}

// transactionPages is what a transaction writes beside its values: the paths
// to the leaves of tail, blocks, index and sessions, the root, the freelist.
const transactionPages = 24

func newCommitter(s *store, opt Options, ages *ageClock) (*committer, error) {
	w := &committer{store: s, ages: ages}
	return w, w.reset(opt)
}

// reset adapts to the file that the store has now, and to opt's limits.
func (w *committer) reset(opt Options) error {
	if err := w.store.countPages(); err != nil {
		return err
	}
	w.limit, w.reserve = ringPages(opt, w.store.pageSize())
	w.front, w.parker = front{}, parker{parkLimits: opt.parkLimits}
	w.ages.maxAge, w.more = opt.MaxAge, opt.Key.overhead()
	w.rollups = rollupLimits{bytes: rollupBudget(opt.MaxSize), now: w.ages.now}
	return nil
}

// mostReserve bounds the pages that are kept free so that a block finds a run of
// them: half a block. Each costs 8 bytes in every commit, and the 511th page that
// is free costs a page.
const mostReserve = 64

// ringPages returns how many pages of the file may be in use, and how many of
// them are kept free for what a transaction needs beside its values.
func ringPages(opt Options, pageSize int) (limit, reserve int) {
	limit = (int(opt.MaxSize)-allocSize(opt.MaxSize))/pageSize - 1
	return limit, transactionPages + min(opt.sealBytes/pageSize/8, mostReserve)
}

// maxStored is the largest batch that the ring takes: a quarter of it, so
// that contiguous room can always be found.
func maxStored(maxSize int64) int { return int(min(maxSize/4, maxPayload)) }

// commit writes c to disk and evicts what has to go. It returns nil only if
// all of c is durable; after an error c may or may not be in the file.
func (w *committer) commit(c *change) (outcome, error) {
	for round := 0; ; round++ {
		out, err := w.try(c)
		if !errors.Is(err, berrors.ErrMaxSizeReached) {
			return out, err
		}
		// The transaction was given up before it wrote anything. Either
		// readers hold what was freed: then evicting more would empty the
		// ring and help nobody, and the writer waits for them. Or no run of
		// free pages is long enough: a smaller transaction makes one.
		if w.store.pinnedPages() >= max(1, w.pages(c, w.store.pageSize())) || round == roomRounds {
			w.turnOver()
			return out, fmt.Errorf("%w: %w", errNoRoom, err)
		}
		if err := w.makeRoom(c, round); err != nil {
			return out, err
		}
	}
}

// turnOver commits a transaction that changes nothing. bbolt gives free what a
// transaction freed only when no reader has begun since it: without a next
// commit, readers that follow each other closely would hold it for ever. If
// there is no room even for this one, the readers must end first.
func (w *committer) turnOver() {
	_ = w.store.update(func(*txn) error { return nil })
}

// roomRounds bounds how often one commit makes room for a run of free pages, and
// parkedRounds how often it does so of what is parked: that may lie in runs too
// short for any block, and its list needs a run itself. So 30 times what the change
// needs is given back, once, and then 4 blocks of records at most go before the
// writer pauses and tries again.
const (
	roomRounds   = 8
	parkedRounds = 4
)

func (w *committer) try(c *change) (out outcome, err error) {
	pageSize := w.store.pageSize()
	if c.seal != nil || len(c.promote) > 0 || c.toBlock {
		w.front = front{}
	}
	err = w.update(func(tx *txn) error {
		written := w.pages(c, pageSize)
		room := w.limit - w.store.pagesInUse(tx) - written - w.reserve
		if out.sealed, err = apply(tx, c); err != nil {
			return err
		}
		// Twice what is written: free pages may lie scattered. Those that readers
		// pin count: what is given back would be pinned as well, and be listed by
		// every commit until they end.
		if err := unpark(tx.bolt, 2*written+w.reserve-w.store.freePages()); err != nil {
			return err
		}
		if err := w.rollUp(tx, c, out.sealed); err != nil {
			return err
		}
		if err := w.evict(tx, c, room, pageSize); err != nil {
			return err
		}
		out.evicted = w.front.evicted
		return nil
	})
	if err == nil {
		out.sums, w.rollups.found = w.rollups.found, nil
	}
	return out, err
}

// update is the store's, and again without the sums of the bandwidth, and without
// what is parked, where their pages cannot be read: those stop no recorder. Both may
// be damaged at once.
func (w *committer) update(f func(*txn) error) error {
	before := len(w.rollups.found)
	sums, pages := false, false // given up
	for {
		err := w.store.update(func(tx *txn) error {
			if sums {
				if err := w.rollups.giveUp(tx); err != nil {
					return err
				}
			}
			if pages {
				if err := putAside(tx.bolt, bucketParked); err != nil {
					return err
				}
			}
			return f(tx)
		})
		if err != nil {
			w.rollups.found, w.front = w.rollups.found[:before], front{}
		}
		switch {
		case errors.Is(err, errSums) && !sums:
			sums = true
		case errors.Is(err, errParked) && !pages:
			pages = true
		default:
			return err
		}
	}
}

// pages is how many pages c writes for its values.
func (w *committer) pages(c *change, pageSize int) int {
	n := 0
	if c.appends() {
		_, data := c.stored()
		n += pages(len(data)+w.more, pageSize)
	}
	if c.wal > 0 {
		n += c.wal + 1
	}
	if c.seal != nil {
		n += pages(len(c.seal.data)+w.more, pageSize) + rollupPages(c.seal.sums)
	}
	return n
}

// apply puts everything of c but evictions into tx.
func apply(tx *txn, c *change) (sealed bool, err error) {
	// The new batch comes first: where a transaction has deleted every key of
	// a bucket of several pages, bbolt 1.5.0's Cursor.Last never returns, and
	// a seal may take all that the tail held.
	if c.appends() {
		if err := appendBatch(tx, c); err != nil {
			return false, err
		}
	}
	if c.logged() {
		if err := putLogBegin(tx.bolt, c.grown.begin); err != nil {
			return false, err
		}
	}
	if c.wal > 0 {
		if err := makeWAL(tx.bolt, c.wal); err != nil {
			return false, err
		}
	}
	if c.seal != nil {
		if sealed, err = applySeal(tx, c.seal); err != nil {
			return sealed, err
		}
	}
	for _, h := range c.promote {
		if err := promote(tx, h); err != nil {
			return sealed, err
		}
	}
	if c.session != nil {
		return sealed, putSession(tx, c.session)
	}
	return sealed, nil
}

// appendBatch puts the batch of c behind the newest one, or in the place of
// the newest ones if they grow by it. It may already be there, from a commit
// that failed and was written nevertheless.
func appendBatch(tx *txn, c *change) error {
	last, h, err := newest(tx)
	if err != nil {
		return err
	}
	hdr, data := c.stored()
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return err
	}
	if again := h != nil && *h == hdr; !again {
		if want := c.follows(); last != want {
			return damaged("tail", want+1, "the newest record is %d, %d should follow it", last, want+1)
		}
		if err := tail.hold(c.replaced()); err != nil {
			return err
		}
	}
	if err := tail.setSequence(hdr.last); err != nil {
		return err
	}
	if c.toBlock {
		return putBlock(tx, hdr, data)
	}
	if err := tail.put(key(hdr.first), data); err != nil {
		return err
	}
	for _, h := range c.replaced() {
		if h.first == hdr.first {
			continue // it has the key
		}
		if err := tail.delete(key(h.first)); err != nil {
			return err
		}
	}
	return nil
}

// hold makes sure that the bucket, the tail, has these batches.
func (b *bucket) hold(batches []header) error {
	for _, h := range batches {
		v := b.at(key(h.first))
		if !v.there() {
			return damaged(b.name, h.first, "the batch that grows is missing")
		}
		got, err := v.header()
		if err == nil && got != h {
			err = damaged(b.name, h.first, "the batch that grows is not the one that was written")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func putBlock(tx *txn, h header, data []byte) error {
	blocks, err := appendOnly(tx, bucketBlocks)
	if err != nil {
		return err
	}
	if err := blocks.put(key(h.first), data); err != nil {
		return err
	}
	return putIndex(tx, h)
}

func putIndex(tx *txn, h header) error {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	return index.put(key(h.first), appendIndex(nil, &h))
}

// fate is what became of a batch of the tail.
type fate int

const (
	inTail fate = iota
	inBlocks
	gone // evicted
)

// find says where the batch is that h heads, which was in the tail once.
func find(tx *txn, tail *bucket, h header) (fate, error) {
	k := key(h.first)
	if v := tail.at(k); v.there() {
		got, err := v.header()
		if err == nil && got != h {
			err = damaged("tail", h.first, "the batch to seal is not the one that was written")
		}
		return inTail, err
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return gone, err
	}
	if index.at(k).there() {
		return inBlocks, nil
	}
	given, err := evicted(tx)
	if err == nil && given < h.last {
		err = damaged("tail", h.first, "the batch to seal is missing")
	}
	return gone, err
}

// applySeal replaces the batches by the block, after it has made sure that
// they are the ones the block was made of. It reports whether the block is in
// the file: not if the ring has taken the first of them.
func applySeal(tx *txn, s *seal) (bool, error) {
	if s.repack {
		return applyRepack(tx, s)
	}
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return false, err
	}
	for i, h := range s.replaces {
		where, err := find(tx, tail, h)
		switch {
		case err != nil:
			return false, err
		case where == inTail:
		case i == 0:
			return where == inBlocks, nil // an earlier try was written
		default:
			return false, damaged("tail", h.first, "half of a seal is in the file")
		}
	}
	for _, h := range s.replaces {
		if err := tail.delete(key(h.first)); err != nil {
			return false, err
		}
	}
	return true, s.put(tx)
}

// promote moves a large batch from the tail to the blocks. Its bytes stay
// where they are: only the bucket's place in the tree changes.
func promote(tx *txn, h header) error {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return err
	}
	where, err := find(tx, tail, h)
	if err != nil || where != inTail {
		return err
	}
	blocks, err := appendOnly(tx, bucketBlocks)
	if err != nil {
		return err
	}
	if err := tail.move(key(h.first), blocks); err != nil {
		return err
	}
	return putIndex(tx, h)
}
