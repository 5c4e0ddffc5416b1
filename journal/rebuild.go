package journal

import (
	"errors"
	"fmt"
	"os"
)

// rebuild makes a journal file anew from the batches of another one, which
// keep their numbers. It writes a draft, which the caller gives its name when
// all is on disk (placeNew). Batches come in order; small ones become blocks together, so that the new file has
// no tail and nothing in it was ever freed.
//
// It is owned by one goroutine. Its memory is what one transaction writes, and
// the records of one block.
type rebuild struct {
	// immutable
	store  *store
	enc    *packer
	sealAt int

	rollups rollupLimits
	summed  uint64        // last number that is in the sums
	sums    []summed      // for the next transaction
	next    uint64        // the number that must come next
	small   []Record      // of batches that become one block; all of one session
	bytes   int           // of them, before compression
	waiting []storedBlock // for the next transaction
	stored  int           // bytes in waiting
}

// summed are the sums of a batch's records.
type summed struct {
	hdr  header
	sums []stepSum
}

// rebuildBytes is how much one transaction of a rebuild writes: enough that
// syncing costs little.
const rebuildBytes = 8 << 20

// newRebuild begins a journal beside path whose first record shall have number
// first, encrypted if there is a key. size is how many bytes of batches may
// come.
func newRebuild(path string, key *Key, size int64, first uint64) (_ *rebuild, err error) {
	opt, err := Options{Key: key, MaxSize: min(max(2*size, DefaultMaxSize), maxSizeLimit)}.withDefaults()
	if err != nil {
		return nil, err
	}
	enc, err := newPacker()
	if err != nil {
		return nil, err
	}
	s, err := newLockedDraft(path, opt)
	if err != nil {
		return nil, err
	}
	r := &rebuild{store: s, enc: enc, sealAt: opt.sealBytes, next: first}
	r.rollups = rollupLimits{bytes: rollupBudget(DefaultMaxSize), now: opt.Now}
	if first > 1 {
		err = r.store.update(func(tx *txn) error { return putEvicted(tx, first-1) })
	}
	if err != nil {
		r.abandon()
		return nil, err
	}
	return r, nil
}

// errUnreadable means that a batch is not what it should be; the rebuild is as
// it was before.
var errUnreadable = errors.New("journal: a batch cannot be read")

// add appends the batch that data is the envelope of. It checks all of it.
// data stays the caller's.
func (r *rebuild) add(data []byte) error {
	h, payload, rest, err := splitEnvelope(data)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if h.first != r.next || len(rest) != 0 {
		return fmt.Errorf("journal: rebuild: records %d to %d with %d bytes behind them, where %d should follow", h.first, h.last, len(rest), r.next)
	}
	recs, err := decodeBatch(h, payload, noTypes)
	if err == nil {
		err = agrees(h, recs)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	r.sum(h, recs)
	large := int(h.raw) >= r.sealAt/2
	if len(r.small) > 0 && (large || r.small[0].Session != h.session || r.bytes+int(h.raw) > r.sealAt+r.sealAt/4) {
		if err := r.seal(); err != nil {
			return err
		}
	}
	r.next = h.last + 1
	if large {
		return r.write(storedBlock{h, append([]byte(nil), data...), entitiesOf(&h, recs)})
	}
	if h.codec == codecPlain {
		for i := range recs { // they point into data
			recs[i].Wire = append([]byte(nil), recs[i].Wire...)
		}
	}
	r.small, r.bytes = append(r.small, recs...), r.bytes+int(h.raw)
	if r.bytes >= r.sealAt {
		return r.seal()
	}
	return nil
}

// sum adds the records to the sums that the next transaction writes, but for
// those that are in them.
func (r *rebuild) sum(h header, recs []Record) {
	if h.last <= r.summed {
		return
	}
	if h.first <= r.summed {
		if len(recs) > 0 {
			recs = recs[r.summed+1-h.first:]
		}
		h.first = r.summed + 1
	}
	r.sums = append(r.sums, summed{h, minuteSums(recs)})
	r.summed = h.last
}

// keepRollups takes the sums of the old journal along. They must come before
// the first batch, and hold together: values and their state.
func (r *rebuild) keepRollups(values [][2][]byte, st rollupState) error {
	r.summed = st.last
	return r.store.update(func(tx *txn) error {
		b, err := appendOnly(tx, bucketRollups)
		if err != nil {
			return err
		}
		for _, kv := range values {
			if err := b.put(kv[0], kv[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// lose notes that the records of h were lost.
func (r *rebuild) lose(h header) error {
	if h.first != r.next {
		return fmt.Errorf("journal: rebuild: records %d to %d are lost, where %d should follow", h.first, h.last, r.next)
	}
	if err := r.seal(); err != nil {
		return err
	}
	r.next = h.last + 1
	r.sum(h, nil)
	return r.write(storedBlock{hdr: h})
}

func (r *rebuild) seal() error {
	if len(r.small) == 0 {
		return nil
	}
	h, data := r.enc.encode(r.small)
	b := storedBlock{h, data, entitiesOf(&h, r.small)}
	r.small, r.bytes = nil, 0
	return r.write(b)
}

func (r *rebuild) write(b storedBlock) error {
	r.waiting, r.stored = append(r.waiting, b), r.stored+len(b.data)+len(b.entities)+indexSize
	if r.stored < rebuildBytes {
		return nil
	}
	return r.flush()
}

func (r *rebuild) flush() error {
	if len(r.waiting) == 0 {
		return nil
	}
	err := r.store.update(func(tx *txn) error {
		for _, b := range r.waiting {
			if err := b.put(tx); err != nil {
				return err
			}
		}
		for _, s := range r.sums {
			if err := r.rollups.add(tx, s.hdr, s.sums); err != nil {
				return err
			}
		}
		tail, err := appendOnly(tx, bucketTail)
		if err != nil {
			return err
		}
		return tail.setSequence(r.waiting[len(r.waiting)-1].hdr.last)
	})
	r.waiting, r.sums, r.stored = nil, nil, 0
	return err
}

// finish writes what waits and the sessions, and closes the file.
func (r *rebuild) finish(sessions []Session) error {
	if err := r.seal(); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	err := r.store.update(func(tx *txn) error {
		for i := range sessions {
			if err := putSession(tx, &sessions[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.store.close()
}

// abandon removes the draft, if it is still one.
func (r *rebuild) abandon() {
	r.store.abandon()
	_ = os.Remove(r.store.path)
}
