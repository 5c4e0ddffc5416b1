package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"torjournal/tor/event"
)

const (
	// runBytes is how much of the tail one Stored takes together: its batches
	// may be single events, and each Fetch has a cost of its own.
	runBytes = 64 << 10

	// scanEntries is how many index entries or batches one read transaction
	// looks at: a fraction of a millisecond.
	scanEntries = 4096
)

// errScan means that scanEntries were looked at; the search goes on in
// another transaction.
var errScan = errors.New("journal: scan goes on")

// noTypes selects every type, as Range and Decode have it.
var noTypes event.Set

// fetch finds the stored batch for Reader.Fetch among the records up to
// limit, in as many short transactions as it takes.
func (s *store) fetch(ctx context.Context, seq, limit uint64, r Range) (Stored, error) {
	return s.search(ctx, seq, limit, r, nil)
}

// search is fetch; look is fetcher's.
func (s *store) search(ctx context.Context, seq, limit uint64, r Range, look func(Stored) error) (st Stored, err error) {
	seq = max(seq, r.From, 1)
	from, next, lost := seq, seq, false
	for {
		if err := ctx.Err(); err != nil {
			return st, err
		}
		err := s.view(func(tx *txn) error {
			f := fetcher{tx: tx, limit: limit, r: r, from: from, next: next, lost: lost, budget: scanEntries, look: look}
			st, err = f.find()
			from, next, lost = f.from, f.next, f.lost
			return err
		})
		switch {
		case errors.Is(err, errScan):
			continue
		case errors.Is(err, io.EOF) && lost:
			st = nothingUpTo(next) // but a gap
		case err != nil:
			return Stored{}, err
		}
		st.From = from
		if from == seq {
			st.From = min(seq, st.First) // nothing was lost
		}
		return st, nil
	}
}

// fetcher looks for one stored batch in one transaction.
type fetcher struct {
	tx     *txn
	limit  uint64 // last number that may be given away
	r      Range
	budget int                // entries that may still be looked at
	look   func(Stored) error // not nil: Data is not copied but shown to it within the transaction, of the tail one batch
	from   uint64             // in, out: what is asked for and lies before it is gone
	next   uint64             // in: where to begin; out: what was not looked at yet
	lost   bool               // in, out: some of what is gone was lost to damage
}

func (f *fetcher) find() (Stored, error) {
	given, err := evicted(f.tx)
	if err != nil {
		return Stored{}, err
	}
	if given >= f.next { // evicted unseen
		if h, bucket, ok, err := oldest(f.tx); err != nil {
			return Stored{}, err
		} else if ok && h.first <= given {
			return Stored{}, damaged(string(bucket), h.first, "the ring gave up the records to %d, it says", given)
		}
		f.from, f.next = given+1, given+1
	}
	st, err := f.inBlocks()
	if err == nil && st.Data == nil {
		st, err = f.inTail()
	}
	if err == nil && f.look != nil && len(st.Data) > 0 {
		err = f.look(st)
		st.Data = nil
	}
	return st, err
}

// check stops the walk when the batch that follows does not follow: the
// journal is contiguous, and what is missing must never be missed in silence.
func (f *fetcher) check(bucket string, h header) error {
	if h.first > f.next {
		return missing(bucket, f.next, h.first-1)
	}
	return nil
}

func (f *fetcher) inBlocks() (Stored, error) {
	index, err := appendOnly(f.tx, bucketIndex)
	if err != nil {
		return Stored{}, err
	}
	c := index.cursor()
	for k, v := seekHolder(c, f.next); k != nil; k, v = c.next() {
		h, err := v.entry()
		if err == nil && h.last >= f.next {
			err = f.check("index", h)
		}
		switch {
		case err != nil:
			return Stored{}, err
		case h.last < f.next:
			continue // the block before the one that holds f.next
		case h.last > f.limit || f.r.To != 0 && h.first > f.r.To:
			return Stored{}, io.EOF
		case h.lost():
			if f.r.mayHold(&h) {
				if f.next > f.from {
					return nothingUpTo(f.next), nil // what was skipped is not gone
				}
				f.from, f.lost = h.last+1, true
			}
		case f.r.mayHold(&h) && f.names(&h):
			data, err := block(f.tx, h)
			if f.look == nil {
				data = f.tx.own(data)
			}
			return Stored{First: h.first, Last: h.last, Data: data}, err
		}
		f.next = h.last + 1
		if f.budget--; f.budget == 0 {
			return Stored{}, errScan
		}
	}
	return Stored{}, nil
}

// nothingUpTo is a batch without records, which ends before number next: a gap
// is told apart from what was skipped by an answer of its own.
func nothingUpTo(next uint64) Stored {
	return Stored{First: next, Last: next - 1, Data: []byte{}}
}

// inTail takes batches that follow each other together, from the first that
// may hold a record of the range.
func (f *fetcher) inTail() (st Stored, err error) {
	walk, err := f.tx.tailFrom(f.next)
	if err != nil {
		return st, err
	}
	for {
		h, data, ok, err := walk.next()
		if !ok {
			break
		}
		if err == nil && h.last >= f.next {
			err = f.check("tail", h)
		}
		over := err == nil && h.last > f.limit && h.first <= f.limit
		if over {
			if f.next > f.limit {
				return st, eofIfEmpty(st)
			}
			h, data, err = upTo(h, data, f.limit)
		}
		switch {
		case err != nil:
			return Stored{}, err
		case h.last < f.next:
			continue
		case h.last > f.limit || f.r.To != 0 && h.first > f.r.To,
			st.Data != nil && len(st.Data)+len(data) > runBytes:
			return st, eofIfEmpty(st)
		case f.look != nil && f.r.mayHold(&h):
			return Stored{First: h.first, Last: h.last, Data: data}, nil
		case st.Data != nil || f.r.mayHold(&h):
			if st.Data == nil {
				st.First = h.first
			} else if cap(st.Data) < runBytes {
				st.Data = append(make([]byte, 0, runBytes), st.Data...) // once: another batch may follow each
			}
			st.Last, st.Data = h.last, append(st.Data, data...)
		}
		if f.next = h.last + 1; over {
			return st, eofIfEmpty(st) // what follows does not follow what was cut off
		}
		if f.budget--; f.budget == 0 && st.Data == nil {
			return st, errScan
		}
	}
	if st.Data == nil {
		if err := checkEnd(f.tx, f.next-1); err != nil {
			return st, err
		}
	}
	return st, eofIfEmpty(st)
}

// upTo returns a batch of the tail without its records after last. A batch has
// grown by a commit that is not published yet, or failed: what it had before is
// there all the same.
func upTo(h header, data []byte, last uint64) (header, []byte, error) {
	_, payload, _, err := splitEnvelope(data)
	if err != nil {
		return h, nil, damaged("tail", h.first, "%w", err)
	}
	recs, err := decodeBatch(h, payload, noTypes)
	if err == nil {
		err = agrees(h, recs)
	}
	if err != nil {
		return h, nil, damaged("tail", h.first, "%w", err)
	}
	recs = cut(recs, h.first, last)
	got := headerOf(recs)
	data = appendEnvelope(nil, &got, appendRecords(nil, recs))
	return got, data, nil
}

func eofIfEmpty(st Stored) error {
	if st.Data == nil {
		return io.EOF
	}
	return nil
}

// seekHolder moves c to the last key that is at most seq, which may hold it,
// or to the first key if there is none.
func seekHolder(c *cursor, seq uint64) (k []byte, v held) {
	want := key(seq)
	k, v = c.seek(want)
	if k != nil && string(k) == string(want) {
		return k, v
	}
	if k == nil {
		return c.last()
	}
	if pk, pv := c.prev(); pk != nil {
		return pk, pv
	}
	return c.first()
}

// seekTime returns the first number of the first batch up to limit that may
// hold a record at or after t; limit+1 if there is none.
func (s *store) seekTime(ctx context.Context, t time.Time, limit uint64) (uint64, error) {
	st, err := s.fetch(ctx, 1, limit, Range{Since: t})
	switch {
	case errors.Is(err, io.EOF):
		return limit + 1, nil
	case err != nil:
		return 0, err
	}
	return st.First, nil
}

// bounds returns what the file holds up to limit.
func (s *store) bounds(ctx context.Context, limit uint64) (b Bounds, err error) {
	_, err = s.search(ctx, 1, limit, Range{}, func(st Stored) (err error) {
		b.First = st.First
		b.FirstTime, err = timeOf(st.Data, st.First)
		return err
	})
	if errors.Is(err, io.EOF) || err == nil && b.First == 0 {
		return Bounds{}, nil
	}
	if err != nil {
		return Bounds{}, at(s.path, err)
	}
	err = s.view(func(tx *txn) error {
		last, err := newestHeld(tx)
		if err != nil || last == 0 {
			return err
		}
		b.Last = min(last, limit)
		_, err = (&fetcher{tx: tx, limit: limit, from: b.Last, next: b.Last, budget: scanEntries, look: func(st Stored) (err error) {
			b.LastTime, err = timeOf(st.Data, b.Last)
			return err
		}}).find()
		return err
	})
	return b, at(s.path, err)
}

// newestHeld returns the newest number whose record is there, 0 if none is.
func newestHeld(tx *txn) (uint64, error) {
	last, h, err := newest(tx)
	if err != nil || h == nil || !h.lost() {
		return last, err
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return 0, err
	}
	c := index.cursor()
	for k, v := c.last(); k != nil; k, v = c.prev() {
		if h, err := v.entry(); err != nil || !h.lost() {
			return h.last, err
		}
	}
	return 0, nil
}

// timeOf returns the arrival of record seq in stored batches.
func timeOf(data []byte, seq uint64) (time.Time, error) {
	for len(data) > 0 {
		h, payload, rest, err := splitEnvelope(data)
		if err != nil {
			return time.Time{}, damaged("", seq, "%w", err)
		}
		if data = rest; seq > h.last {
			continue
		}
		if seq < h.first {
			break
		}
		t, err := timeAt(h, payload, seq)
		if err != nil {
			return t, damaged("", h.first, "%w", err)
		}
		return t, nil
	}
	return time.Time{}, damaged("", seq, "%w", fmt.Errorf("the batch does not hold the record"))
}

// firstNumber returns the first number that the ring has not given up.
func (s *store) firstNumber() (n uint64, err error) {
	err = s.view(func(tx *txn) error {
		n, err = evicted(tx)
		return err
	})
	return n + 1, err
}

// ceilMicro returns the first µs since 1970 that is not before t.
func ceilMicro(t time.Time) int64 {
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return us
}
