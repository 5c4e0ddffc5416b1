package journal

import (
	"context"
	"errors"
	"io"
	"time"
)

const (
	// checkRest is how many times as long as it reads Check rests: so it takes
	// a twentieth of a core and of the disk from who records.
	checkRest = 19

	// maxCheckRest bounds a rest: a machine that stood still must not hold it
	// up for minutes.
	maxCheckRest = time.Second / 2
)

// Check reads all blocks and batches that the open journal has, oldest first,
// and reports each whose bytes are not those that were written, with its
// numbers and times where they are known. It looks at checksums only, in short
// transactions with long rests between: about 10 GB an hour on a disk of 60
// MB/s. What the ring gives up meanwhile it leaves out. The error says why it
// could not go on; a *DamageError if it is the file.
func (j *Journal) Check(ctx context.Context, report func(*DamageError)) error {
	c := checker{store: j.store, report: report}
	last, err := j.store.reread()
	if err != nil {
		return err
	}
	for c.next = 1; c.next <= last; {
		begun := time.Now()
		if err := c.step(ctx, last); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := rest(ctx, min(checkRest*time.Since(begun), maxCheckRest)); err != nil {
			return err
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checker is one run of Check.
type checker struct {
	store  *store
	report func(*DamageError)
	next   uint64 // first record that was not looked at
}

// step looks at the next block, or at the next batches of the tail.
func (c *checker) step(ctx context.Context, last uint64) error {
	h, err := c.block()
	if err != nil || h != nil {
		return err
	}
	st, err := c.store.fetch(ctx, c.next, last, Range{})
	if err != nil {
		return err
	}
	for data := st.Data; len(data) > 0; {
		h, err := parseHeader(data)
		if err == nil {
			_, _, data, err = splitEnvelope(data)
		}
		if err != nil {
			c.damage("tail", h, err)
			break // where the next one begins is not known
		}
	}
	c.next = st.Last + 1
	return nil
}

// block looks at the block that holds or follows the next record; h is nil if
// there is none.
func (c *checker) block() (h *header, err error) {
	var bad error
	err = c.store.view(func(tx *txn) error {
		index, err := appendOnly(tx, bucketIndex)
		if err != nil {
			return err
		}
		cur := index.cursor()
		for k, v := seekHolder(cur, c.next); k != nil; k, v = cur.next() {
			entry, err := v.entry()
			if err != nil {
				return err
			}
			if entry.last < c.next {
				continue // the block before
			}
			if h = &entry; !entry.lost() {
				bad = checkBlock(tx, entry)
			}
			return nil
		}
		return nil
	})
	if err != nil || h == nil {
		return nil, err
	}
	if bad != nil {
		c.damage("blocks", *h, bad)
	}
	c.next = h.last + 1
	return h, nil
}

func checkBlock(tx *txn, h header) error {
	data, err := block(tx, h)
	if err == nil {
		_, _, _, err = splitEnvelope(data)
	}
	return err
}

func (c *checker) damage(bucket string, h header, err error) {
	d := &DamageError{Path: c.store.path, Bucket: bucket, Seq: h.first, Last: h.last, Err: err}
	var inner *DamageError
	if errors.As(err, &inner) {
		d.Err = inner.Err
	}
	d.Since, d.Until = h.span()
	c.report(d)
}
