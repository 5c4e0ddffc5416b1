package control

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/journal"
	"torjournal/tor/event"
)

// step writes the next records, at most one chunk of them and not much more
// than stepBytes, and none that arrived after by (zero: no limit but the
// fence). It reports whether it found nothing more to write under that limit.
func (o *outlet) step(ctx context.Context, by time.Time) (done bool, err error) {
	if len(o.held) == 0 {
		if err := o.fetch(ctx); err != nil {
			return true, err
		}
		if o.idle || o.siftedUpTo(by) {
			return true, o.w.flush()
		}
	}
	if stop := o.fence.Load(); by.IsZero() && stop != nil && o.past == nil && !o.behind {
		by = *stop // it was set before the first event that it stops came here
	}
	o.bind() // before the peer has anything of that life: it may end the moment after
	n, blocked := o.write(by)
	o.hold(o.held[min(n, len(o.held)):], nil)
	if len(o.held) == 0 {
		o.letGo()
		o.caughtUp()
	}
	return blocked, o.w.flush()
}

// hold keeps records that are to be written next.
func (o *outlet) hold(recs []journal.Record, wires []byte) {
	if o.held, o.wires = recs, wires; len(recs) == 0 {
		o.held = nil
	}
}

// letGo frees what the last chunk was in; nothing is held of it.
func (o *outlet) letGo() {
	if o.cursor != nil {
		o.cursor.Forget()
	}
	if o.sieve != nil {
		o.sieve.letGo()
	}
}

// fetch takes the next chunk from the cursor or the replay, once there is room
// for it on the way to the peer.
func (o *outlet) fetch(ctx context.Context) error {
	var from feed = o.cursor
	if o.past != nil && o.past.span != nil {
		from = o.past.span
	}
	if err := o.w.await(o.empty); err != nil {
		return err
	}
	chunk, kept, err := o.draw(ctx, from)
	if err != nil {
		if ctx.Err() == nil {
			o.conn.srv.log.Warn("a control connection ends because the journal cannot be read on; torjournal verify says more",
				"conn", o.conn.id, "at", o.cursor.Position(), "err", err)
		}
		return err
	}
	if o.sieve != nil {
		chunk.Wires = nil // they are not what is kept
	}
	o.drawn(&chunk, kept)
	if o.idle {
		o.caughtUp()
	}
	return nil
}

// drawn notes what has come from a feed, and holds what of it shall be written.
func (o *outlet) drawn(chunk *journal.Chunk, kept []journal.Record) {
	o.hold(kept, chunk.Wires)
	o.behind, o.end, o.since = chunk.Behind, chunk.End, time.Time{}
	o.late.Store(chunk.Behind)
	o.position.Store(o.cursor.Position())
	o.idle = len(chunk.Records) == 0 && chunk.Gap == nil && chunk.Lost == nil
	if chunk.Gap != nil {
		o.gap(*chunk.Gap)
	}
	if chunk.Lost != nil {
		o.dropped(chunk.Lost)
	}
}

// write puts held records into the writer, returns how many those were and
// whether the next one may not go now.
func (o *outlet) write(by time.Time) (n int, blocked bool) {
	if o.wires != nil && by.IsZero() && o.past == nil && !o.meta && !o.hidesSome() {
		n, wires := len(o.held), o.wires
		o.hold(nil, nil) // the records of a whole commit, beside a few bytes of it
		o.w.pass(wires)
		return n, false
	}
	for i, size := 0, 0; i < len(o.held); i++ {
		r := &o.held[i]
		if o.hides(r) {
			continue
		}
		if size += len(r.Wire); size > stepBytes && i > 0 {
			return i, false
		}
		if !by.IsZero() && r.Time.After(by) {
			return i, true
		}
		if o.past != nil {
			if o.past.pause(o.held[i:]) > 0 {
				return i, true
			}
			if o.past.endsBefore(r, o.behind) {
				o.announce()
			} else if !o.past.wants(r) {
				continue
			}
		}
		if o.meta {
			o.at(r)
		}
		o.w.write(r.Wire)
	}
	return len(o.held), false
}

// subscribe makes the cursor select types from here on.
func (o *outlet) subscribe(types event.Set) {
	o.types = types
	switch {
	case types.Empty():
		if o.cursor != nil {
			o.cursor.Close()
		}
		o.hold(nil, nil)
		o.cursor, o.past, o.behind = nil, nil, false
		o.replaying.Store(false)
		o.position.Store(0)
		return
	case o.cursor == nil:
		o.cursor = o.conn.srv.records.NewCursorFunc(0, o.selected(), o.told)
	default:
		selected := o.selected()
		o.hold(slices.DeleteFunc(slices.Clone(o.held), func(r journal.Record) bool { return !selected.Has(r.Type) }), nil)
	}
	o.reselect()
	o.idle = false
	o.position.Store(o.cursor.Position())
}

// hides reports whether r is a JOURNAL event that came for the sake of those
// that tell of missing events, is none, and was not asked for.
func (o *outlet) hides(r *journal.Record) bool {
	return r.Type == event.JOURNAL && !o.types.Has(r.Type) && !tellsOfMissing(r)
}

// hidesSome reports whether there is such an event in what is held.
func (o *outlet) hidesSome() bool {
	if !o.ours || o.types.Has(event.JOURNAL) {
		return false
	}
	for i := range o.held {
		if o.hides(&o.held[i]) {
			return true
		}
	}
	return false
}

// tellsOfMissing reports whether r is one of those JOURNAL events that say that
// events are missing, or are not recorded. Who uses a command of ours gets
// them without asking for JOURNAL: he takes what he reads for all there is.
func tellsOfMissing(r *journal.Record) bool {
	what, ours := bytes.CutPrefix(r.Wire, []byte("650 JOURNAL "))
	if word, _, _ := bytes.Cut(what, []byte(" ")); ours {
		switch string(word) {
		case event.WhatUnjournaled, event.WhatJournaled, event.WhatDropped:
			return true
		}
	}
	return false
}

// Marks that go to this connection alone (DESIGN section 3), if it uses what
// is ours.

func (o *outlet) mark(format string, args ...any) {
	if o.ours {
		o.w.write(fmt.Appendf(nil, "650 JOURNAL "+format+"\r\n", args...))
	}
}

func (o *outlet) gap(g journal.Gap) { o.mark("GAP FROM=%d TO=%d", g.From, g.To) }

func (o *outlet) dropped(lost map[event.Type]uint64) {
	var names []string
	var n uint64
	for t, k := range lost {
		names = append(names, string(t))
		n += k
	}
	slices.Sort(names)
	o.mark("DROPPED TYPES=%s COUNT=%d", strings.Join(names, ","), n)
}

// at tells of the record that follows. One that is not journaled has no
// number.
func (o *outlet) at(r *journal.Record) {
	if r.Seq == 0 {
		o.mark("AT TIME=%s", stamp(r.Time))
		return
	}
	o.mark("AT SEQ=%d TIME=%s", r.Seq, stamp(r.Time))
}

// stamp writes a time as all of torjournal's own answers do.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// sockWriter gathers small writes. Its buffer is taken from a pool when
// needed and given back at each flush, so that an idle connection has none.
// After an error it swallows everything; flush tells the error.
type sockWriter struct {
	sock     net.Conn
	patience time.Duration // how long one write may take; 0: for ever
	room     room
	roomy    bool          // there was room after the last write
	packer   *zstd.Encoder // packs what goes out (compress.go); nil: nothing is packed
	packing  bool          // packer holds something
	buf      *[]byte
	err      error
}

var writeBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, writeBuffer)
	return &b
}}

func (w *sockWriter) write(p []byte) {
	if w.buf != nil && len(*w.buf)+len(p) > writeBuffer {
		w.send(*w.buf)
		*w.buf = (*w.buf)[:0]
	}
	if len(p) >= writeBuffer {
		w.send(p)
		return
	}
	if w.buf == nil {
		w.buf = writeBuffers.Get().(*[]byte)
	}
	*w.buf = append(*w.buf, p...)
}

// pass is write for who flushes next: p is not copied if nothing is gathered.
func (w *sockWriter) pass(p []byte) {
	if w.buf == nil {
		w.send(p)
		return
	}
	w.write(p)
}

func (w *sockWriter) send(p []byte) {
	if w.err != nil || len(p) == 0 {
		return
	}
	if w.packer == nil {
		w.put(p)
		return
	}
	w.packing = true
	_, err := w.packer.Write(p)
	w.note(err)
}

// put writes to the socket.
func (w *sockWriter) put(p []byte) {
	if w.patience > 0 {
		_ = w.sock.SetWriteDeadline(time.Now().Add(w.patience))
	}
	w.roomy = false
	_, w.err = w.sock.Write(p)
}

// flush sends what is gathered.
func (w *sockWriter) flush() error {
	if w.buf != nil {
		w.send(*w.buf)
		w.drop()
	}
	if w.packing && w.err == nil {
		w.packing = false
		w.note(w.packer.Flush())
	}
	return w.err
}

// drop forgets what is gathered.
func (w *sockWriter) drop() {
	if w.buf != nil {
		*w.buf = (*w.buf)[:0]
		writeBuffers.Put(w.buf)
		w.buf = nil
	}
}
