package journal

import (
	"context"
	"fmt"
	"time"
)

// Limits is what a journal may keep.
type Limits struct {
	MaxSize int64         // bytes the file may have, at least MinMaxSize; 0: as it is
	MaxAge  time.Duration // records older than this are evicted; 0: no limit
}

func (l Limits) check() error {
	if l.MaxSize != 0 && (l.MaxSize < MinMaxSize || l.MaxSize > maxSizeLimit) {
		return limitError(l.MaxSize)
	}
	if l.MaxAge < 0 {
		return fmt.Errorf("%w: an age of %v", ErrLimit, l.MaxAge)
	}
	return nil
}

func limitError(size int64) error {
	return fmt.Errorf("%w: %d bytes, at least %d and at most %d are possible", ErrLimit, size, MinMaxSize, int64(maxSizeLimit))
}

// Limits returns the limits that hold now.
func (j *Journal) Limits() Limits { return *j.limits.Load() }

// SetLimits changes the limits of the open journal. What they have no room or
// time for is evicted from then on, the oldest first, some of it in each
// commit; Vacuum evicts all of it. The file of a journal whose MaxSize is
// lowered keeps its size until Vacuum.
func (j *Journal) SetLimits(ctx context.Context, l Limits) error {
	if err := l.check(); err != nil {
		return err
	}
	return j.inWriter(ctx, func(w *writer) error {
		if l.MaxSize == 0 {
			l.MaxSize = j.Limits().MaxSize
		}
		j.limits.Store(&l)
		opt := j.limited()
		if err := j.committer.reset(opt); err != nil {
			return err
		}
		j.store.setMaxSize(l.MaxSize)
		w.batchMax, w.storedMax, w.tail.sealAt = opt.turnMax(), maxStored(opt.MaxSize), opt.sealBytes
		w.wal.most = opt.logSize(j.store.pageSize())
		w.tail.sealAge, w.tail.lagAt = sealAge(l.MaxAge), lagLimit(l.MaxSize)
		return w.apply(&change{})
	})
}

// limited returns the options with the limits that hold now.
func (j *Journal) limited() Options {
	opt, l := j.opt, j.Limits()
	opt.MaxSize, opt.MaxAge = l.MaxSize, l.MaxAge
	opt.sealBytes = min(opt.sealBytes, sealTarget(l.MaxSize))
	return opt
}

// sealAge is the longest time that a tail may span: what is evicted by age is
// evicted by blocks.
func sealAge(maxAge time.Duration) time.Duration { return maxAge / 16 }
