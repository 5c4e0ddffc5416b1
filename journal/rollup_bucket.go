package journal

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

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

	// rollupKeySize is the length of a key but for the state's: kind, begin.
	rollupKeySize = 9

	// rollupEntry is what a value takes beside itself: key and element.
	rollupEntry = rollupKeySize + 16

	// rollupCrypto is what it takes more where it is encrypted.
	rollupCrypto = cryptoSize + nameSize - rollupKeySize
)

// rollupLimits says how much the rollups may take and how old they may get.
type rollupLimits struct {
	bytes uint64
	now   func() time.Time // wall time that is believed

	found  []string // damage that was met since it was emptied
	broken error    // why the bucket cannot be read, see errSums
}

func rollupBudget(maxSize int64) uint64 { return uint64(min(maxSize/rollupShare, maxRollups)) }

var stateKey = []byte{kindState}

func rollupKey(kind byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, rollupKeySize), kind), uint64(start))
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
func readRollupState(b *bucket) (st rollupState, ok bool, err error) {
	data, err := b.get(stateKey)
	if data == nil || err != nil {
		return st, false, err
	}
	v, err := rollupAt(stateKey, data)
	return v.state, err == nil, err
}

// rollUp sums what the change has made a block of. What is packed again was
// summed before, or never: an older program's blocks are not begun with in the
// middle.
func (w *committer) rollUp(tx *txn, c *change, sealed bool) error {
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
func (l *rollupLimits) addBlock(tx *txn, h header) error {
	if h.lost() {
		return l.add(tx, h, nil)
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	if !index.at(key(h.first)).there() {
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
func (l *rollupLimits) addEvicted(tx *txn, h header) error {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return err
	}
	var sums []stepSum
	if data, err := tail.get(key(h.first)); err == nil {
		if sums, err = batchSums("tail", data); err != nil {
			sums = nil
		}
	}
	return l.add(tx, h, sums)
}

// sumGiven sums, in a copy, the batches of the tail that are not copied.
func sumGiven(from, to *txn, given uint64, opt Options) error {
	walk, err := from.tailFrom(0)
	if err != nil {
		return err
	}
	l := rollupLimits{bytes: rollupBudget(opt.MaxSize), now: opt.Now}
	for {
		h, data, ok, err := walk.next()
		if !ok || err != nil || h.last > given {
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
// up what is too old or too much. After errSums the transaction must be given
// up.
func (l *rollupLimits) add(tx *txn, h header, sums []stepSum) error {
	return l.fence(func() error { return l.addTo(tx, h, sums) })
}

func (l *rollupLimits) addTo(tx *txn, h header, sums []stepSum) error {
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
	return b.put(stateKey, v.append(nil))
}

// addSums adds sums of minutes to the values of the i-th step.
func (l *rollupLimits) addSums(b *bucket, st *rollupState, i int, sums []stepSum) error {
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
		if at := b.at(k); at.there() {
			st.bytes -= min(st.bytes, rollupBytes(at.size()))
			data, err := at.plain()
			if err == nil {
				v, err = rollupAt(k, data)
			}
			if err != nil {
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
		st.bytes += rollupBytes(len(data))
		if err := b.put(k, data); err != nil {
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

func rollupBytes(size int) uint64 { return uint64(size) + rollupEntry }

// prune gives up what is past its age, and while all are too much the oldest
// of the finest.
func (l *rollupLimits) prune(b *bucket, st *rollupState) error {
	var starts [len(rollupSteps)][]int64
	left := 0 // values
	for i := range rollupSteps {
		// A key that is none of ours says nothing of its age: it goes.
		err := b.deleteIf(rollupSteps[i].kind, func(k []byte, _ held) bool { return len(k) != rollupKeySize })
		if err != nil {
			return err
		}
		if starts[i], err = b.starts(rollupSteps[i].kind); err != nil {
			return err
		}
		left += len(starts[i])
	}
	more := uint64(0) // bytes of each in the file
	if b.cipher != nil {
		more = rollupCrypto
	}
	for i, all := range starts {
		if len(all) == 0 {
			continue
		}
		step := &rollupSteps[i]
		// It is the age beside the newest that counts, so that a journal of old
		// logs has rollups too.
		before := min(l.now().Unix(), all[len(all)-1]+step.span()) - int64(step.keep/time.Second)
		for _, start := range all {
			end := start + step.span()
			if end > before && st.bytes+uint64(left)*more <= l.bytes {
				break
			}
			k := rollupKey(step.kind, start)
			size := rollupBytes(b.at(k).size())
			if err := b.delete(k); err != nil {
				return err
			}
			st.from[i], st.bytes, left = max(st.from[i], end), st.bytes-min(st.bytes, size), left-1
		}
	}
	return pruneAside(b, st, l.now().Unix())
}

// starts returns when the values of a kind begin, in order, which in an
// encrypted file is not that of the keys.
func (b *bucket) starts(kind byte) (out []int64, err error) {
	c := b.cursor()
	for k, _ := c.seek([]byte{kind}); k != nil && k[0] == kind; k, _ = c.next() {
		if len(k) != rollupKeySize {
			return nil, damaged("rollups", 0, "a key %x is none", k)
		}
		out = append(out, int64(binary.BigEndian.Uint64(k[1:])))
	}
	slices.Sort(out)
	return out, nil
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
func rebuildRollups(tx *txn, maxSize int64, now time.Time) error {
	if tx.bolt.Bucket(bucketRollups) != nil {
		if err := tx.bolt.DeleteBucket(bucketRollups); err != nil {
			return err
		}
	}
	if _, err := tx.bolt.CreateBucket(bucketRollups); err != nil {
		return err
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	l := rollupLimits{bytes: rollupBudget(maxSize), now: func() time.Time { return now }}
	return index.each(func(_ []byte, v held) error {
		h, err := v.entry()
		if err != nil {
			return err
		}
		return l.addBlock(tx, h)
	})
}

// rollups returns the stored rollups that [since, until) touches.
func (s *store) rollups(ctx context.Context, since, until time.Time) (out StoredRollups, err error) {
	err = s.view(func(tx *txn) error {
		if tx.bolt.Bucket(bucketRollups) == nil {
			return nil // schema 1
		}
		b, err := appendOnly(tx, bucketRollups)
		if err != nil {
			return err
		}
		data, err := b.get(stateKey)
		if data == nil || err != nil {
			return err
		}
		out.Data = append(out.Data, data...)
		for i := range rollupSteps {
			if err := out.add(b, &rollupSteps[i], since, until); err != nil {
				return err
			}
		}
		if err := appendHoles(&out, b, since, until); err != nil {
			return err
		}
		return ctx.Err()
	})
	return out, err
}

// add appends the values of a step that [since, until) touches.
func (s *StoredRollups) add(b *bucket, step *rollupStep, since, until time.Time) error {
	starts, err := b.starts(step.kind)
	if err != nil {
		return err
	}
	for _, start := range starts {
		if !until.IsZero() && !time.Unix(start, 0).Before(until) {
			break
		}
		if !since.IsZero() && start+step.span() <= since.Unix() {
			continue
		}
		k := rollupKey(step.kind, start)
		data, err := b.get(k)
		if err == nil {
			_, err = rollupAt(k, data)
		}
		if err != nil {
			return err
		}
		s.Data = append(s.Data, data...)
	}
	return nil
}
