package journal

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

// How the bucket of the rollups changes. Every record is summed once: the
// bucket says which numbers it has summed, in the same transaction that makes
// their block, and what it has summed it passes over when a failed commit is
// repeated. Three ways lead records out of the tail, and all of them come by
// here: a seal, whose sums the sealer has made; a large batch that becomes a
// block as it is; and a batch that the ring takes from the tail unsealed.

const (
	// rollupShare: 1/20 of the journal's limit is what the rollups may take as
	// bytes. Their pages are half full at the least, which makes it 1/10.
	rollupShare = 20

	// maxRollups bounds them in a large journal: 30 days by the minute and 400
	// days by the hour of a busy tor take 1.6 MiB. A reader copies them whole.
	maxRollups = 4 << 20

	// rollupEntry is what a value takes beside itself: key and element.
	rollupEntry = 9 + 16
)

// rollupLimits says how much the rollups may take and how old they may get.
type rollupLimits struct {
	bytes uint64
	now   func() time.Time // wall time that is believed

	found []string // damage that was met since it was emptied
}

func rollupBudget(maxSize int64) uint64 { return uint64(min(maxSize/rollupShare, maxRollups)) }

var stateKey = []byte{kindState}

func rollupKey(kind byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), kind), uint64(start))
}

// rollupAt returns the value under k, which must be what k says.
func rollupAt(k, data []byte) (v rollupValue, err error) {
	v, rest, err := splitRollup(data)
	if err != nil {
		return v, damaged("rollups", 0, "%w", err)
	}
	want := rollupKey(v.kind, v.start)
	switch v.kind {
	case kindState:
		want = stateKey
	case kindAside:
		want = asideKey(v.of, v.start)
	}
	if len(rest) != 0 || string(k) != string(want) {
		return v, damaged("rollups", 0, "under %x lies a value of kind %q from %d, with %d bytes behind it", k, v.kind, v.start, len(rest))
	}
	return v, nil
}

// readRollupState returns the state; ok is false while nothing was summed.
func readRollupState(b *bolt.Bucket) (st rollupState, ok bool, err error) {
	data := b.Get(stateKey)
	if data == nil {
		return st, false, nil
	}
	v, err := rollupAt(stateKey, data)
	return v.state, err == nil, err
}

// rollUp sums what the change has made a block of. What is packed again was
// summed before, or never: an older program's blocks are not begun with in the
// middle.
func (w *committer) rollUp(tx *bolt.Tx, c *change, sealed bool) error {
	if c.seal != nil && sealed && !c.seal.repack {
		if err := w.rollups.add(tx, c.seal.block, c.seal.sums); err != nil {
			return err
		}
	}
	for _, h := range c.promote {
		if err := w.rollups.addBlock(tx, h); err != nil {
			return err
		}
	}
	if c.batch != nil && c.toBlock {
		sums, err := batchSums("blocks", c.batch.data) // its records are given away in an outage
		if err != nil {
			return err
		}
		return w.rollups.add(tx, c.batch.hdr, sums)
	}
	return nil
}

// addBlock sums a block that was a batch of the tail until now. It is decoded
// in front of the commit, but only a batch that came in a burst behind smaller
// ones takes this way, and only if it holds BW.
func (l *rollupLimits) addBlock(tx *bolt.Tx, h header) error {
	if h.lost() {
		return l.add(tx, h, nil)
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	if index.Get(key(h.first)) == nil {
		return nil // the ring has taken it
	}
	data, err := block(tx, h)
	if err != nil {
		return err
	}
	sums, err := batchSums("blocks", data)
	if err != nil {
		sums = nil // who reads it is told
	}
	return l.add(tx, h, sums)
}

// addEvicted sums a batch of the tail that the ring is about to take. One that
// cannot be read is not summed: a damaged batch does not stop the ring.
func (l *rollupLimits) addEvicted(tx *bolt.Tx, h header) error {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return err
	}
	k := key(h.first)
	sums, err := batchSums("tail", value(tail, k, tail.Get(k)))
	if err != nil {
		sums = nil
	}
	return l.add(tx, h, sums)
}

// sumGiven sums, in a copy, the batches of the tail that are not copied.
func sumGiven(from, to *bolt.Tx, given uint64, opt Options) error {
	tail, err := appendOnly(from, bucketTail)
	if err != nil {
		return err
	}
	l := rollupLimits{bytes: rollupBudget(opt.MaxSize), now: opt.Now}
	c := tail.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		data := value(tail, k, v)
		h, err := headerAt("tail", k, data)
		if err != nil || h.last > given {
			return err
		}
		sums, err := batchSums("tail", data)
		if err != nil {
			return err
		}
		if err := l.add(to, h, sums); err != nil {
			return err
		}
	}
	return nil
}

// batchSums sums a stored batch.
func batchSums(bucket string, data []byte) ([]stepSum, error) {
	h, payload, _, err := splitEnvelope(data)
	if err != nil {
		return nil, damaged(bucket, h.first, "%w", err)
	}
	if h.mask&(event.BW.Mask()|1<<otherBit) == 0 {
		return nil, nil
	}
	recs, err := decodeBatch(h, payload, event.NewSet(event.BW))
	if err != nil {
		return nil, damaged(bucket, h.first, "%w", err)
	}
	return minuteSums(recs), nil
}

// add adds the sums of the records that h heads, unless it has them, and gives
// up what is too old or too much.
func (l *rollupLimits) add(tx *bolt.Tx, h header, sums []stepSum) error {
	b, err := appendOnly(tx, bucketRollups)
	if err != nil {
		return err
	}
	st, ok, err := readRollupState(b)
	switch {
	case err != nil || !ok:
	case h.last <= st.last:
		return nil // an earlier try was written
	case h.first <= st.last:
		err = damaged("rollups", h.first, "records up to %d are summed, the block reaches to %d", st.last, h.last)
	case h.first > st.last+1:
		// Evicted records can be lost to the sums; records that are there must
		// not be: they would be passed over when the sums are read.
		given, gerr := evicted(tx)
		if gerr != nil {
			return gerr
		}
		if given < h.first-1 {
			err = damaged("rollups", h.first, "records %d to %d were never summed", st.last+1, h.first-1)
		}
	}
	if err != nil {
		if err := l.restart(b, err); err != nil {
			return err
		}
		ok = false
	}
	if !ok {
		st = rollupState{first: h.first}
	}
	st.last = h.last
	for i := range rollupSteps {
		if err := l.addSums(b, &st, i, sums); err != nil {
			return err
		}
	}
	if err := l.prune(b, &st); err != nil {
		return err
	}
	v := rollupValue{kind: kindState, state: st}
	return b.Put(stateKey, v.append(nil))
}

// addSums adds sums of minutes to the values of the i-th step.
func (l *rollupLimits) addSums(b *bolt.Bucket, st *rollupState, i int, sums []stepSum) error {
	step := &rollupSteps[i]
	if step.slot > 60 {
		sums = coarser(sums, step.slot)
	}
	for len(sums) > 0 {
		start := sums[0].start - sums[0].start%step.span()
		n := 1
		for n < len(sums) && sums[n].start < start+step.span() {
			n++
		}
		more := sums[:n]
		if sums = sums[n:]; start < st.from[i] {
			continue // given up: half of it would be taken for all
		}
		k, v := rollupKey(step.kind, start), rollupValue{kind: step.kind, start: start}
		if data := b.Get(k); data != nil {
			st.bytes -= min(st.bytes, rollupBytes(data))
			var err error
			if v, err = rollupAt(k, data); err != nil {
				var whole bool
				if v, whole, err = l.mend(b, st, step, start, data, err); err != nil {
					return err
				}
				if whole {
					more = nil
				}
			}
		}
		v.sums = mergeSums(v.sums, more)
		data := v.append(nil)
		st.bytes += rollupBytes(data)
		if err := b.Put(k, data); err != nil {
			return err
		}
	}
	return nil
}

// mergeSums returns both in the order of time, sums of the same step as one.
func mergeSums(a, b []stepSum) []stepSum {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, byStart)
	return coarser(all, 1)
}

func rollupBytes(data []byte) uint64 { return uint64(len(data)) + rollupEntry }

// prune gives up what is past its age, and while all are too much the oldest
// of the finest.
func (l *rollupLimits) prune(b *bolt.Bucket, st *rollupState) error {
	for i := range rollupSteps {
		step := &rollupSteps[i]
		c := b.Cursor()
		before := min(l.now().Unix(), newestRollup(c, step)) - int64(step.keep/time.Second)
		for {
			k, data := c.Seek([]byte{step.kind})
			if k == nil || k[0] != step.kind {
				break
			}
			end := int64(0) // of a key that is none of ours
			if len(k) == 9 {
				end = int64(binary.BigEndian.Uint64(k[1:])) + step.span()
			}
			if end > before && st.bytes <= l.bytes {
				break
			}
			st.from[i], st.bytes = max(st.from[i], end), st.bytes-min(st.bytes, rollupBytes(data))
			if err := b.Delete(k); err != nil {
				return err
			}
		}
	}
	return pruneAside(b, st, l.now().Unix())
}

// newestRollup returns the end of the last value of a step. It is the age of
// the others that counts, so that a journal of old logs has rollups too.
func newestRollup(c *bolt.Cursor, step *rollupStep) int64 {
	k, _ := c.Seek([]byte{step.kind + 1})
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	if len(k) != 9 || k[0] != step.kind {
		return 0
	}
	return int64(binary.BigEndian.Uint64(k[1:])) + step.span()
}

// rollupPages is how many pages a transaction writes for these sums: each
// value that changes may lie in a page of its own.
func rollupPages(sums []stepSum) int {
	n := 0
	for i := range rollupSteps {
		n += len(coarser(sums, rollupSteps[i].span()))
	}
	return n
}

// rebuildRollups replaces the rollups by the sums of the blocks that the file
// holds: for a file whose rollups are lost. It decodes every block with BW.
func rebuildRollups(tx *bolt.Tx, maxSize int64, now time.Time) error {
	if tx.Bucket(bucketRollups) != nil {
		if err := tx.DeleteBucket(bucketRollups); err != nil {
			return err
		}
	}
	if _, err := tx.CreateBucket(bucketRollups); err != nil {
		return err
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	l := rollupLimits{bytes: rollupBudget(maxSize), now: func() time.Time { return now }}
	return index.ForEach(func(k, v []byte) error {
		h, err := entryAt(k, v)
		if err != nil {
			return err
		}
		return l.addBlock(tx, h)
	})
}

// rollups returns the stored rollups that [since, until) touches.
func (s *store) rollups(ctx context.Context, since, until time.Time) (out StoredRollups, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketRollups)
		if b == nil {
			return nil // schema 1
		}
		data := b.Get(stateKey)
		if data == nil {
			return nil
		}
		out.Data = append(out.Data, data...)
		for i := range rollupSteps {
			step := &rollupSteps[i]
			c, from := b.Cursor(), int64(0)
			if !since.IsZero() {
				from = max(0, since.Unix()-step.span()+1)
			}
			for k, v := c.Seek(rollupKey(step.kind, from)); k != nil && k[0] == step.kind; k, v = c.Next() {
				rv, err := rollupAt(k, v)
				if err != nil {
					return err
				}
				if !until.IsZero() && !time.Unix(rv.start, 0).Before(until) {
					break
				}
				out.Data = append(out.Data, v...)
			}
		}
		if err := appendHoles(&out, b, since, until); err != nil {
			return err
		}
		return ctx.Err()
	})
	return out, err
}
