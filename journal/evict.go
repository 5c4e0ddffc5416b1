package journal

import (
	"errors"
	"fmt"

	berrors "go.etcd.io/bbolt/errors"
)

// front is where the ring gives up next. The zero value is not known.
type front struct {
	known   bool
	oldest  header
	bucket  []byte // that oldest lies in; nil: the journal is empty
	evicted uint64 // last number that was given up
}

// look finds out what the ring gives up next, unless that is known.
func (w *committer) look(tx *txn) (err error) {
	f := &w.front
	if f.known && f.bucket != nil && string(f.bucket) != string(bucketTail) {
		return nil
	}
	if f.oldest, f.bucket, _, err = oldest(tx); err == nil {
		f.evicted, err = evicted(tx)
	}
	f.known = err == nil
	return err
}

// evict removes oldest batches until room, a number of pages, is not negative
// and none is past the age limit. It never takes the batch of c, nor what grows by it, and takes
// only what is needed: every free page costs 8 bytes in each later commit. Of
// what a lower limit leaves too much it takes some only: the list of what it
// frees must find room in the same commit.
func (w *committer) evict(tx *txn, c *change, room, pageSize int) error {
	before := w.ages.evictBefore()
	var own uint64 // first record of what c puts
	if c.appends() {
		h, _ := c.stored()
		own = h.first
	}
	var last uint64
	for freed, need := 0, max(evictAtOnce, 2*w.pages(c, pageSize)); freed < need; {
		if err := w.look(tx); err != nil {
			return err
		}
		h, bucket, ok := w.front.oldest, w.front.bucket, w.front.bucket != nil
		tooOld := ok && (h.maxTime < before || h.lost()) // lost ones need not come first
		if !ok || room >= 0 && !tooOld || h.first == own {
			break
		}
		if string(bucket) == string(bucketTail) {
			if err := w.rollups.addEvicted(tx, h); err != nil {
				return err
			}
		}
		if err := remove(tx, bucket, h); err != nil {
			return err
		}
		w.front.known, last = false, h.last
		if !h.lost() {
			room += pages(h.size()+w.more, pageSize)
			freed += pages(h.size()+w.more, pageSize)
		}
	}
	if last == 0 {
		return nil
	}
	if err := putEvicted(tx, last); err != nil {
		return err
	}
	w.front.evicted = last
	if err := dropEntities(tx, last); err != nil {
		return err
	}
	return pruneSessions(tx, last)
}

// evictAtOnce bounds the pages that one commit frees beside those it needs. =
// 16 MiB of 4 KiB pages, whose list takes 32 KiB.
const evictAtOnce = 4096

func remove(tx *txn, bucket []byte, h header) error {
	b, err := appendOnly(tx, bucket)
	if err != nil {
		return err
	}
	if err := b.delete(key(h.first)); err != nil {
		return err
	}
	if string(bucket) == string(bucketTail) {
		return nil
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	return index.delete(key(h.first))
}

// errNoRoom means that nothing is left that could be evicted, or that evicting
// would not help before readers end.
var errNoRoom = errors.New("journal: no room in the file, readers may hold the rest; it is tried again")

// makeRoom gives back pages that are parked, twice as many in each round, or evicts
// as many again as c needs, in a transaction of its own.
func (w *committer) makeRoom(c *change, round int) error {
	pageSize := w.store.pageSize()
	if round == parkedRounds {
		w.parker.short = w.store.parkedPages() > 0
	}
	if round < parkedRounds && !w.parker.short && w.store.parkedPages() > 0 {
		err := w.update(func(tx *txn) error {
			return unpark(tx.bolt, max(1, 2*w.pages(c, pageSize))<<round)
		})
		if !errors.Is(err, berrors.ErrMaxSizeReached) {
			return err
		}
	}
	var given uint64
	err := w.update(func(tx *txn) error {
		before, err := evicted(tx)
		if err != nil {
			return err
		}
		if err := w.evict(tx, c, -max(1, w.pages(c, pageSize)), pageSize); err != nil {
			return err
		}
		given, err = evicted(tx)
		if err == nil && given == before {
			w.parker.short = false // whatever there is may help now
			return errNoRoom
		}
		return err
	})
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	return err
}

// expired reports whether the oldest batch is past the age limit.
func (w *committer) expired() bool {
	before := w.ages.evictBefore()
	if before == 0 {
		return false
	}
	var old bool
	err := w.store.view(func(tx *txn) error {
		h, _, ok, err := oldest(tx)
		old = ok && h.maxTime < before
		return err
	})
	return err == nil && old
}
