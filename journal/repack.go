package journal

import (
	"context"
	"errors"
	"math"
)

// repacker finds blocks that are not coded by columns yet: a sealer that could
// not keep up left them as they were committed, or an older program made them.
// They are packed again when there is nothing else to do, several into one
// block. It is owned by the writer goroutine.
type repacker struct {
	next uint64 // blocks before this record were looked at; noRepack: all were
	busy bool   // the sealer works on old blocks, not on the tail
	held bool   // a vacuum copies blocks: they must stay as they are
}

const noRepack = math.MaxUint64

// look makes the repacker look again at what follows record first.
func (r *repacker) look(first uint64) { r.next = min(r.next, first) }

// find returns the next run of blocks that make one block of the size and the
// span that the tail would be sealed to, nil if there is none.
func (r *repacker) find(s *store, t *tail) (run []header, err error) {
	for r.next != noRepack && len(run) == 0 {
		if err = s.view(func(tx *txn) error {
			run, err = r.walk(tx, t)
			return err
		}); err != nil {
			r.next = noRepack // what is damaged is told to who reads it
			return nil, err
		}
	}
	return run, nil
}

func (r *repacker) walk(tx *txn, t *tail) (run []header, err error) {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return nil, err
	}
	size, room := 0, 0
	c := index.cursor()
	k, v := c.seek(key(r.next))
	for n := 0; k != nil; k, v = c.next() {
		h, err := v.entry()
		if err != nil {
			return nil, err
		}
		packed := h.codec == codecColumns || h.lost()
		if len(run) > 0 && (packed || h.session != run[0].session || size+int(h.raw) > t.sealAt+t.sealAt/4 || room+h.size() > blockStored || t.tooLong(run[0].minTime, h.maxTime)) {
			return run, nil
		}
		r.next = h.last + 1
		if !packed {
			run, size, room = append(run, h), size+int(h.raw), room+h.size()
		} else if n++; n == scanEntries {
			return nil, nil
		}
	}
	r.next = noRepack
	return run, nil
}

// applyRepack replaces blocks by the one that was made of them. It reports
// false if the ring has taken the first of them.
func applyRepack(tx *txn, s *seal) (bool, error) {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return false, err
	}
	for i, h := range s.replaces {
		k := key(h.first)
		v := index.at(k)
		if !v.there() && i == 0 {
			return false, nil
		}
		got, err := v.entry()
		switch {
		case err != nil:
			return false, err
		case i == 0 && got == s.block:
			return true, nil // an earlier try was written
		case got != h:
			return false, damaged("index", h.first, "the block to pack again is not the one that was there")
		}
	}
	blocks, err := appendOnly(tx, bucketBlocks)
	if err != nil {
		return false, err
	}
	for _, h := range s.replaces[1:] {
		if err := blocks.delete(key(h.first)); err != nil {
			return false, err
		}
		if err := index.delete(key(h.first)); err != nil {
			return false, err
		}
		if err := putEntities(tx, h.first, nil); err != nil {
			return false, err
		}
	}
	return true, s.put(tx)
}

// takeRepack keeps what the sealer made of old blocks, if it is of use.
func (w *writer) takeRepack(res sealResult) {
	if res.err != nil {
		if !errors.Is(res.err, errEvicted) {
			w.repack.next = noRepack
			w.log.Warn("old blocks cannot be packed again; look at the journal with verify", "error", res.err)
		}
		return
	}
	size := 0
	for i := range res.seal.replaces {
		size += res.seal.replaces[i].size()
	}
	switch {
	case w.repack.held:
		w.repack.look(res.seal.replaces[0].first) // again, afterwards
	case len(res.seal.data) < size:
		w.ready = res.seal
	}
}

// freeEnough is how many pages that hold nothing, parked ones too, put off packing
// old blocks: what it would free is not needed before they are used up, and each of
// them costs 8 bytes in every commit, or a page once. With what the packing of one
// block frees the list mostly has one page, which holds 510.
const freeEnough = 256

// askRepack hands old blocks to the sealer if there are any, and the room can
// be used or somebody waits in Pack.
func (w *writer) askRepack() {
	if w.env.repack == nil || w.repack.held || w.repack.next == noRepack || len(w.packed) == 0 && w.env.free() > freeEnough {
		return
	}
	run, err := w.env.repack(&w.repack, &w.tail)
	if err != nil {
		w.log.Warn("old blocks cannot be packed again; look at the journal with verify", "error", err)
	}
	if run != nil {
		w.sealing, w.repack.busy = true, true
		w.env.seal(sealJob{run, bucketBlocks})
	}
}

// Pack returns when all records are packed as small as it gets, also the
// newest ones, but for a last few kilobytes. It is for programs that fill a
// journal and close it: who records seals larger blocks by waiting for them.
func (j *Journal) Pack(ctx context.Context) error {
	done := make(chan struct{})
	err := j.inWriter(ctx, func(w *writer) error {
		if w.out != nil {
			return w.out.err()
		}
		if err := w.settleLog(); err != nil {
			return err
		}
		w.packed = append(w.packed, done)
		w.turnIdle()
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		if err := j.park(ctx); err != nil {
			return err
		}
		return j.Flush(ctx)
	case <-j.writer.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restPacked tells who waits in Pack that there is nothing left to pack, or
// that it cannot be done now.
func (w *writer) restPacked() {
	for _, ch := range w.packed {
		close(ch)
	}
	w.packed = nil
}
