package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"torjournal/tor/event"
)

// A rewriting vacuum puts other lines in the place of the records' own: the
// new file never holds the old ones. Records keep their numbers, times, types
// and sessions, blocks their borders; the sums of the bandwidth stay. A batch
// of which no line changes is copied as it is, so that a second time changes
// nothing.

// Rewriting says what becomes of the records of a journal.
type Rewriting struct {
	// Source returns what becomes of the description of a session's source.
	// It is called for every session, before any record is looked at.
	Source func(event.Source) event.Source

	// Pass begins a pass over all records, in the order of their numbers, and
	// returns what is called for each: the wire form that it gets, which
	// must be of the same type and may be the record's own. What the first
	// pass, a learning one, returns is thrown away: it is for who must have
	// seen later records before he rewrites earlier ones.
	Pass func(learning bool) func(*Record) []byte
}

// Rewrite is Vacuum of a journal whose records get other lines. After an
// error, and after a crash at any point, the journal is as it was, or all of
// it is rewritten; key is nil if it is not encrypted.
func Rewrite(ctx context.Context, path string, key *Key, l Limits, r Rewriting) (Vacuumed, error) {
	opt, err := vacuumOptions(path, l)
	if err != nil {
		return Vacuumed{}, err
	}
	// What takes a value's place may be several times as long.
	if info, err := os.Stat(path); err == nil {
		opt.MaxSize = min(max(opt.MaxSize, 8*info.Size()), maxSizeLimit)
	}
	opt.Key = key
	v, err := rewriteFile(ctx, path, opt, key, l, &r)
	if err != nil {
		return v, err
	}
	err = vacuumPacked(ctx, path, opt, l, &v)
	return v, err
}

// rewriter rewrites batches for a copier.
type rewriter struct {
	// immutable
	with Rewriting
	enc  *packer

	sessions []Session            // as they shall be
	line     func(*Record) []byte // of the present pass
	changed  uint64               // records of it with another line
}

// newRewriter learns from all records of s.
func newRewriter(ctx context.Context, s *store, with Rewriting) (*rewriter, error) {
	enc, err := newPacker()
	if err != nil {
		return nil, err
	}
	w := &rewriter{with: with, enc: enc}
	if w.sessions, err = s.sessions(); err != nil {
		return nil, err
	}
	for i := range w.sessions {
		w.sessions[i].Source = with.Source(w.sessions[i].Source)
	}
	learn := with.Pass(true)
	for seq := uint64(1); ; {
		st, err := s.fetch(ctx, seq, math.MaxUint64, Range{})
		if errors.Is(err, io.EOF) {
			return w, nil
		}
		if err != nil {
			return nil, err
		}
		recs, err := st.Decode(noTypes)
		if err != nil {
			return nil, err
		}
		for i := range recs {
			learn(&recs[i])
		}
		seq = st.Last + 1
	}
}

// begin begins a pass that writes. A nil rewriter does nothing.
func (w *rewriter) begin() {
	if w != nil {
		w.line, w.changed = w.with.Pass(false), 0
	}
}

// batch returns what becomes of the batch that h heads, and its header: h and
// data themselves if no line changes.
func (w *rewriter) batch(bucket []byte, h header, data []byte) (header, []byte, error) {
	if w == nil || h.lost() {
		return h, data, nil
	}
	_, payload, _, err := splitEnvelope(data)
	if err != nil {
		return h, nil, damaged(string(bucket), h.first, "%w", err)
	}
	recs, err := decodeBatch(h, payload, noTypes)
	if err == nil {
		err = agrees(h, recs)
	}
	if err != nil {
		return h, nil, damaged(string(bucket), h.first, "%w", err)
	}
	if !w.records(recs) {
		return h, data, nil
	}
	encode := w.enc.encode
	if string(bucket) == string(bucketTail) {
		encode = w.enc.lines.encode // as a commit does: it will be sealed
	}
	got, out := encode(recs)
	switch {
	case got.raw > maxPayload:
		return h, nil, fmt.Errorf("records %d to %d would have %d MiB, more than the %d MiB that are possible: please report it", h.first, h.last, got.raw>>20, maxPayload>>20)
	case got.first != h.first || got.last != h.last || got.session != h.session || got.minTime != h.minTime || got.maxTime != h.maxTime:
		return h, nil, fmt.Errorf("records %d to %d have become %d to %d: please report it", h.first, h.last, got.first, got.last)
	}
	return got, out, nil
}

// records rewrites recs and reports whether a line has changed.
func (w *rewriter) records(recs []Record) (changed bool) {
	for i := range recs {
		line := w.line(&recs[i])
		if bytes.Equal(line, recs[i].Wire) {
			continue
		}
		recs[i].Wire, changed = line, true
		w.changed++
	}
	return changed
}

// blocks rewrites blocks that are to be copied.
func (w *rewriter) blocks(all []storedBlock) (err error) {
	for i := range all {
		b := &all[i]
		before := b.hdr
		if b.hdr, b.data, err = w.batch(bucketBlocks, b.hdr, b.data); err != nil {
			return err
		}
		if b.hdr == before {
			continue
		}
		if b.entities, err = entitiesIn(b.data); err != nil {
			return err
		}
	}
	return nil
}

// describe puts the new descriptions in the place of the sessions' own.
func (w *rewriter) describe(tx *txn) error {
	if w == nil {
		return nil
	}
	for i := range w.sessions {
		if err := putSession(tx, &w.sessions[i]); err != nil {
			return err
		}
	}
	return nil
}
