package journal

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Every commit writes the list of pages that hold nothing, 8 bytes for each, and
// bbolt goes through it several times before. A ring keeps it short, but what was
// written plain under load and is packed later, and what an import leaves, are
// tens of thousands of pages. So a journal at rest parks what it will not need
// soon: values of zeros in a bucket of their own hold these pages, and no commit
// need speak of them. They are room like free ones, and are given back when few of
// those are left, before anything is evicted and before the file grows.
//
// Parking writes each page once, which the list would cost in 512 commits.

// parkLimits is what is parked and when.
type parkLimits struct {
	off bool // nothing is, ever

	// from is from how many free pages on some are parked. What a seal frees
	// comes on top of what is left, and one page lists 510.
	from int

	// run is how many pages are parked and given back together, where as many
	// that are free follow each other.
	run int

	// after is how many small commits must have come since the last large one:
	// a source that pauses for a moment needs its pages soon.
	after int
}

var defaultParkLimits = parkLimits{from: 352, run: 128, after: 128}

// leastRun bounds how short the runs are that are parked where free pages lie
// scattered.
const leastRun = 4

// parked returns how many pages are parked. Their number lies beside the bucket's
// root, in the page that every commit writes anyway.
func parked(tx *bolt.Tx) int {
	b := tx.Bucket(bucketParked)
	if b == nil || b.Sequence() > uint64(tx.Size())/uint64(tx.DB().Info().PageSize) {
		return 0
	}
	return int(b.Sequence())
}

// runSize is the length of the value that fills so many pages with what bbolt puts
// before it.
func runSize(pages, pageSize int) int {
	return pages*pageSize - boltPageHeader - elementSize - len(keyValue)
}

// errParked means that what is parked is damaged. Nothing of it is given back
// then: whose pages they are, nobody knows.
var errParked = errors.New("journal: parked pages are damaged")

// fenceParked makes errParked of what goes wrong in f, which uses the bucket, so
// that the store does not take it for damage after which nothing is written: no
// cause is wrapped.
func fenceParked(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errParked, p)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%w: %v", errParked, err)
	}
	return nil
}

// park takes n runs of pages from the free ones. Where there are no such runs,
// bbolt's commit finds no room.
func park(tx *bolt.Tx, n, run int) error {
	return fenceParked(func() error {
		b, err := tx.CreateBucketIfNotExists(bucketParked)
		if err != nil {
			return err
		}
		b.FillPercent = 1
		have := b.Sequence()
		if have != uint64(parked(tx)) {
			return fmt.Errorf("%d pages cannot be parked", have) // what came behind would never be given back
		}
		zeros := make([]byte, runSize(run, tx.DB().Info().PageSize))
		for range n {
			have += uint64(run)
			own, err := b.CreateBucket(key(have))
			if err != nil {
				return err
			}
			if err := own.Put(keyValue, zeros); err != nil {
				return err
			}
		}
		return b.SetSequence(have)
	})
}

// unpark gives back at least so many pages, or all there are, for the next
// transaction to use. It makes sure that they hold nothing.
func unpark(tx *bolt.Tx, want int) error {
	if want <= 0 {
		return nil // as in most commits
	}
	have := parked(tx)
	if have == 0 {
		return nil
	}
	return fenceParked(func() error {
		b := tx.Bucket(bucketParked)
		lookBehind(b, want+2*(tx.DB().Info().PageSize/elementSize))
		for have > 0 && want > 0 {
			k := key(uint64(have))
			own := b.Bucket(k)
			if own == nil {
				return fmt.Errorf("the run at %d is missing", have)
			}
			run, err := parkedRun(own.Get(keyValue), tx.DB().Info().PageSize)
			if err == nil && run > have {
				err = fmt.Errorf("it has %d pages", run)
			}
			if err != nil {
				return fmt.Errorf("the run at %d: %w", have, err)
			}
			if err := b.DeleteBucket(k); err != nil {
				return err
			}
			have, want = have-run, want-run
		}
		return b.SetSequence(uint64(have))
	})
}

// lookBehind looks at the last n elements of a bucket. When the transaction ends
// bbolt merges a leaf of which little is left with the one before, and a panic there
// would be taken for damage after which nothing is written.
func lookBehind(b *bolt.Bucket, n int) {
	c := b.Cursor()
	for k, _ := c.Last(); k != nil && n > 0; n-- {
		k, _ = c.Prev()
	}
}

// parkedRun returns how many pages the value of a run fills, after it has made
// sure that there is nothing in them.
func parkedRun(zeros []byte, pageSize int) (pages int, err error) {
	pages = len(zeros)/pageSize + 1
	if len(zeros) != runSize(pages, pageSize) {
		return 0, fmt.Errorf("a value of %d bytes does not fill pages", len(zeros))
	}
	for _, b := range zeros {
		if b != 0 {
			return 0, errors.New("pages that should be empty are not")
		}
	}
	return pages, nil
}

// putAside moves a bucket that is damaged out of the way, without a look at its
// pages. The next vacuum leaves it behind.
func putAside(tx *bolt.Tx, name []byte) error {
	all, err := tx.CreateBucketIfNotExists(bucketDamaged)
	if err != nil {
		return err
	}
	here, err := all.CreateBucketIfNotExists(key(uint64(tx.ID())))
	if err != nil {
		return err
	}
	if err := tx.MoveBucket(name, nil, here); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
		return err
	}
	return nil
}

// parker parks free pages for the committer. It is owned by the writer goroutine.
type parker struct {
	parkLimits
	scattered int  // the fewest pages that were free since they lay too scattered to be parked; 0: they never did
	short     bool // what is parked lies in runs too short for a large batch
}

// park parks as many pages as a block has at most, so that no event waits longer
// for it than for a block, if enough are free. It reports whether it did. The file
// does not grow by it.
func (w *committer) park() (done bool, err error) {
	p := &w.parker
	free := w.store.listedPages()
	p.scattered = min(p.scattered, free) // fewer that grow again are others
	if p.off || free < p.from || p.scattered > 0 && free < p.scattered+p.run {
		return false, nil
	}
	atOnce := min(blockStored/w.store.pageSize(), free-p.from/2)
	for run := min(p.run, atOnce); run >= leastRun; run /= 4 {
		err := w.store.withoutGrowth(func() error {
			return w.update(func(tx *txn) error { return park(tx.bolt, max(1, atOnce/run), run) })
		})
		if !errors.Is(err, berrors.ErrMaxSizeReached) {
			p.short = p.short && err != nil
			return err == nil, err
		}
	}
	p.scattered = free
	return false, nil
}

// parking is when the writer parks pages.
type parking struct {
	after int  // parkLimits', immutable
	small int  // commits since the last large one
	look  bool // there was a commit since it was found that there is nothing to park
}

func (p *parking) committed(c *change) {
	if p.look = true; c.batch == nil {
		return
	}
	if p.small++; len(c.batch.data) >= busyBatch {
		p.small = 0
	}
}

// logged says that a small turn went into the log.
func (p *parking) logged() { p.small++ }

// mayPark reports whether it is quiet, and worth a look whether pages can be
// parked.
func (w *writer) mayPark() bool {
	return w.env.park != nil && w.parking.look && w.parking.small >= w.parking.after && w.atRest()
}

// atRest reports whether nothing is to be written, and nobody is at work on what
// there is.
func (w *writer) atRest() bool {
	return w.out == nil && !w.sealing && w.ready == nil && !w.repack.held
}

// park parks some pages, if there are many.
func (w *writer) park() {
	done, err := w.env.park()
	if err != nil {
		w.log.Debug("free pages could not be parked", "error", err)
	}
	if w.parking.look = done; done {
		w.counts.commits.Add(1)
	}
}

// park parks what can be parked now.
func (j *Journal) park(ctx context.Context) error {
	for more := true; more; {
		err := j.inWriter(ctx, func(w *writer) error {
			if more = w.atRest(); more {
				w.park()
				more = w.parking.look
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
