package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	berrors "go.etcd.io/bbolt/errors"
)

// copyChunk is how much of the blocks one transaction of a copy takes: few
// bytes in memory, twice, and few pages that the ring must wait for. A commit
// that shares the disk with it waits for little more than that to be written.
const copyChunk = 4 << 20

// copier copies a journal into a draft beside it: bucket by bucket, every key
// in order, so that pages are filled and lie in the order of their records.
// It is used by one goroutine at a time.
type copier struct {
	// immutable
	src     *store
	opt     Options   // of the draft
	rewrite *rewriter // nil: what is copied stays as it is
	maxSize int64     // bytes that the draft may have; 0: as many as there are
	before  int64     // records that end before, in µs since 1970, are left out; 0: none

	budget  int64  // bytes that what is copied may take, as plan counts them; 0 before the first
	draft   string // "" before begin
	dst     *store // the draft, open; nil once something else owns it
	from    uint64 // first record that is kept
	next    uint64 // first record that is not copied yet
	old     *store // the file that the draft has replaced, still open; nil: none
	dropped uint64 // last record that was taken out of the draft again
	tight   bool   // what is to be kept has not fitted
}

func newCopier(src *store, opt Options, maxSize, before int64) *copier {
	return &copier{src: src, opt: opt, maxSize: maxSize, before: before}
}

// begin finds out what is kept, makes sure that there is room, and opens the
// draft.
func (c *copier) begin() error {
	c.discard()
	c.rewrite.begin()
	var need int64
	err := c.src.view(func(tx *txn) (err error) {
		need, err = c.plan(tx)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.haveRoom(need + 1<<20); err != nil {
		return err
	}
	if c.draft, err = newDraft(c.src.path); err != nil {
		return err
	}
	opt := c.opt
	if c.maxSize != 0 {
		opt.MaxSize = c.maxSize
	}
	if err := initialise(c.draft, opt); err != nil {
		return err
	}
	c.dst = &store{path: c.draft}
	return c.dst.openDraft(opt)
}

// plan finds the first record that is kept, and returns the bytes that it and
// all that follow will take.
func (c *copier) plan(tx *txn) (total int64, err error) {
	pageSize := os.Getpagesize()
	total = others(tx)
	err = eachBatch(tx, func(h header) bool { total += c.cost(h, pageSize); return true })
	if err != nil {
		return 0, err
	}
	if c.budget == 0 {
		c.budget = c.firstBudget(total, pageSize)
	}
	given, err := evicted(tx)
	if err != nil {
		return 0, err
	}
	c.from = given + 1
	err = eachBatch(tx, func(h header) bool {
		if total <= c.budget && h.maxTime >= c.before {
			return false
		}
		total -= c.cost(h, pageSize)
		c.from = h.last + 1
		return true
	})
	c.next = c.from
	return total, err
}

// firstBudget keeps everything if that can be; else what the ring would keep.
func (c *copier) firstBudget(total int64, pageSize int) int64 {
	if c.maxSize == 0 || total <= c.maxSize-int64(allocSize(c.maxSize)) {
		return max(total, 1)
	}
	opt := c.opt
	opt.MaxSize = c.maxSize
	limit, reserve := ringPages(opt, pageSize)
	return int64(limit-reserve) * int64(pageSize)
}

// cost is what a batch takes in a file: its pages, its index entry, its key.
func (c *copier) cost(h header, pageSize int) int64 {
	more := c.opt.Key.overhead()
	size := h.size() + more
	if size < ownBucket {
		return int64(size) * 3 / 2 // leaves of few values are not full
	}
	return int64(pages(size, pageSize)*pageSize+more) + indexSize + 100
}

// eachBatch calls f for every batch, from the oldest, while it returns true.
func eachBatch(tx *txn, f func(header) bool) error {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	c := index.cursor()
	for k, v := c.first(); k != nil; k, v = c.next() {
		if h, err := v.entry(); err != nil || !f(h) {
			return err
		}
	}
	walk, err := tx.tailFrom(0)
	if err != nil {
		return err
	}
	for {
		h, _, ok, err := walk.next()
		if !ok || err != nil || !f(h) {
			return err
		}
	}
}

// haveRoom says beforehand what would else be found out late.
func (c *copier) haveRoom(need int64) error {
	dir := filepath.Dir(c.src.path)
	free, err := c.opt.freeSpace(dir)
	if err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("the copy needs %d MiB and %s has %d MiB free: make room there, or keep less by a lower --max-size", need>>20, dir, free>>20)
	}
	return nil
}

// storedBlock is one block in memory, or what the index notes as lost.
type storedBlock struct {
	hdr      header
	data     []byte
	entities []byte // nil: none
}

func (b *storedBlock) put(tx *txn) error {
	if b.hdr.lost() {
		return putIndex(tx, b.hdr)
	}
	if err := putBlock(tx, b.hdr, b.data); err != nil {
		return err
	}
	return putEntities(tx, b.hdr.first, b.entities)
}

// blocks copies the next few MiB of blocks. It reports whether there may be
// more.
func (c *copier) blocks() (more bool, err error) {
	var got []storedBlock
	var given uint64
	err = c.src.view(func(tx *txn) error {
		if given, err = evicted(tx); err == nil {
			got, err = c.nextBlocks(tx, given)
		}
		return err
	})
	if err != nil || len(got) == 0 {
		return false, err
	}
	// What is freed can be used by the next transaction, not by the same one.
	if given >= c.from && given > c.dropped {
		if err := c.dst.update(func(tx *txn) error { return dropGiven(tx, given) }); err != nil {
			return false, err
		}
		c.dropped = given
	}
	c.next = got[len(got)-1].hdr.last + 1
	if err := c.rewrite.blocks(got); err != nil {
		return false, err
	}
	return true, c.dst.update(func(tx *txn) error {
		for _, b := range got {
			if err := b.put(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// nextBlocks returns copies of the blocks from next on, up to copyChunk, but
// for those up to record given, which the ring has given up.
func (c *copier) nextBlocks(tx *txn, given uint64) (got []storedBlock, err error) {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return nil, err
	}
	cur := index.cursor()
	if err := c.widen(cur); err != nil {
		return nil, err
	}
	next, size := max(c.next, given+1), 0
	for k, v := cur.seek(key(next)); k != nil && size < copyChunk; k, v = cur.next() {
		h, err := v.entry()
		if err != nil {
			return nil, err
		}
		var data []byte
		if !h.lost() {
			if data, err = block(tx, h); err != nil {
				return nil, err
			}
		}
		if err := follows("blocks", next, h, data); err != nil {
			return nil, err
		}
		b := storedBlock{hdr: h, data: tx.own(data)}
		if _, told, ok := summaryFor(tx, &h); ok {
			b.entities = tx.own(told)
		}
		got = append(got, b)
		next, size = h.last+1, size+len(data)
	}
	return got, nil
}

// widen keeps the whole of a block that was made, since plan, of batches some
// of which were to be kept.
func (c *copier) widen(index *cursor) error {
	if c.next != c.from {
		return nil // what follows a block that was copied begins with a block
	}
	k, v := seekHolder(index, c.from)
	if k == nil {
		return nil
	}
	h, err := v.entry()
	if err == nil && h.first < c.from && c.from <= h.last {
		c.from, c.next = h.first, h.first
	}
	return err
}

// follows makes sure that a copy is not made of what is damaged: the damage
// would then be all that is left.
func follows(bucket string, next uint64, h header, data []byte) error {
	if h.first != next {
		return missing(bucket, next, h.first-1)
	}
	if h.lost() {
		return nil
	}
	if _, _, _, err := splitEnvelope(data); err != nil {
		return damaged(bucket, h.first, "%w", err)
	}
	return nil
}

// rest copies what is not blocks, and takes out of the copy what the ring has
// given up since it was begun.
func (c *copier) rest(v *Vacuumed) error {
	return c.src.view(func(from *txn) error {
		given, err := evicted(from)
		if err != nil {
			return err
		}
		given = max(given, c.from-1)
		v.First = given + 1
		if v.Last, _, err = newest(from); err != nil {
			return err
		}
		return c.dst.update(func(to *txn) error {
			if err := c.tail(from, to, given); err != nil {
				return err
			}
			if err := copyOthers(from, to); err != nil {
				return err
			}
			if err := c.rewrite.describe(to); err != nil {
				return err
			}
			if err := sumGiven(from, to, given, c.opt); err != nil {
				return err
			}
			if err := dropGiven(to, given); err != nil {
				return err
			}
			if err := dropEntities(to, given); err != nil {
				return err
			}
			if given == 0 {
				return nil
			}
			if err := putEvicted(to, given); err != nil {
				return err
			}
			return pruneSessions(to, given)
		})
	})
}

func (c *copier) tail(from, to *txn, given uint64) error {
	dst, err := appendOnly(to, bucketTail)
	if err != nil {
		return err
	}
	last, _, err := newest(from)
	if err != nil {
		return err
	}
	if err := dst.setSequence(last); err != nil {
		return err
	}
	next := max(c.next, given+1)
	walk, err := from.tailFrom(next)
	if err != nil {
		return err
	}
	for {
		h, data, ok, err := walk.next()
		if !ok {
			return nil
		}
		if err == nil && h.last < next {
			continue
		}
		if err == nil {
			err = follows("tail", next, h, data)
		}
		if err == nil {
			_, data, err = c.rewrite.batch(bucketTail, h, data)
		}
		if err == nil {
			err = dst.put(key(h.first), data)
		}
		if err != nil {
			return err
		}
		next = h.last + 1
	}
}

// dropGiven removes from the copy the batches up to record given.
func dropGiven(tx *txn, given uint64) error {
	for {
		h, bucket, ok, err := oldest(tx)
		if err != nil || !ok || h.first > given {
			return err
		}
		if err := remove(tx, bucket, h); err != nil {
			return err
		}
	}
}

// otherBuckets hold neither batches nor what says what the file is: their
// values are copied as they are.
var otherBuckets = [][]byte{bucketSessions, bucketRollups}

func copyOthers(from, to *txn) error {
	for _, name := range otherBuckets {
		src, err := appendOnly(from, name)
		if err != nil {
			return err
		}
		dst, err := appendOnly(to, name)
		if err != nil {
			return err
		}
		err = src.each(func(k []byte, v held) error {
			data, err := v.plain()
			if err != nil {
				return err
			}
			return dst.put(k, data)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// others returns about how many bytes the buckets take that copyOthers copies.
func others(tx *txn) (size int64) {
	for _, name := range otherBuckets {
		if b := tx.bolt.Bucket(name); b != nil {
			st := b.Stats()
			size += int64(st.LeafInuse+st.BranchInuse) * 5 / 4
		}
	}
	return size
}

// finish wipes what is free in the draft, cuts it to what is used, and opens
// it again as the journal it is going to be.
func (c *copier) finish(v *Vacuumed) error {
	free, err := c.freePages()
	if err != nil {
		return err
	}
	// The file describes itself by its last two transactions. After an empty
	// one neither needs any of these pages.
	if err := c.dst.update(func(*txn) error { return nil }); err != nil {
		return err
	}
	still, err := c.freePages()
	if err != nil {
		return err
	}
	pageSize := int64(c.dst.pageSize())
	var size int64
	if err := c.dst.view(func(tx *txn) error { size = tx.bolt.Size(); return nil }); err != nil {
		return err
	}
	if err := c.dst.close(); err != nil {
		return err
	}
	if err := wipe(c.draft, pageSize, free, still, size); err != nil {
		return err
	}
	v.After = size
	opt := c.opt
	c.dst = &store{path: c.draft}
	if err := c.dst.openDraft(opt); err != nil {
		return err
	}
	c.dst.note = c.src.note
	return c.check(v)
}

// freePages returns the numbers of the pages that hold nothing.
func (c *copier) freePages() (free map[int]bool, err error) {
	free = map[int]bool{}
	err = c.dst.view(func(tx *txn) error {
		for id := 0; ; {
			p, err := tx.bolt.Page(id)
			if err != nil || p == nil {
				return err
			}
			if p.Type == "free" {
				free[id] = true
				id++
			} else {
				id += 1 + p.OverflowCount
			}
		}
	})
	return free, err
}

// wipe overwrites the pages that are in both sets and cuts the file to size.
func wipe(name string, pageSize int64, free, still map[int]bool, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	zeros := make([]byte, pageSize)
	for id := range free {
		if still[id] && err == nil {
			_, err = f.WriteAt(zeros, int64(id)*pageSize)
		}
	}
	if err == nil {
		err = f.Truncate(size)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// check makes sure that the draft holds what it should before the journal is
// given up for it.
func (c *copier) check(v *Vacuumed) error {
	return c.dst.view(func(tx *txn) error {
		given, err := evicted(tx)
		if err != nil {
			return err
		}
		last, _, err := newest(tx)
		if err == nil && (given != v.First-1 || last != v.Last) {
			err = fmt.Errorf("the copy holds records %d to %d, not %d to %d: please report it", given+1, last, v.First, v.Last)
		}
		return err
	})
}

// less reports whether err says that what is to be kept does not fit, and
// makes another try keep less of it. The first time the ring may have turned
// over too fast for the copy.
func (c *copier) less(err error) bool {
	if !errors.Is(err, berrors.ErrMaxSizeReached) || c.maxSize == 0 || c.budget < MinMaxSize/4 {
		return false
	}
	if c.tight {
		c.budget -= c.budget / 20
	}
	c.tight = true
	return true
}

// discard removes the draft unless it has become the journal.
func (c *copier) discard() {
	if c.dst != nil && c.dst.db != nil {
		c.dst.abandon()
	}
	if c.draft != "" {
		_ = os.Remove(c.draft)
	}
	c.dst, c.draft, c.dropped = nil, "", 0
}
