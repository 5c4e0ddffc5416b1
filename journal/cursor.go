package journal

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"torjournal/tor/event"
)

// Chunk is what a cursor hands out at once: what was lost, then records.
type Chunk struct {
	Gap     *Gap                  // numbers evicted before this cursor read them; nil: none
	Lost    map[event.Type]uint64 // events without a number of the cursor's types that left the window unread; nil: none
	Records []Record              // of the cursor's types, in order; valid until the next call of Next
	Wires   []byte                // wire forms of all Records one after the other, if they lie so in memory; shared, nobody may change them
	Behind  bool                  // the records came from the file: the cursor is not live
	End     bool                  // nothing follows: the cursor waits for what is published from now on
}

func (c *Chunk) empty() bool { return c.Gap == nil && c.Lost == nil && len(c.Records) == 0 }

func (c *Chunk) lose(events tally) {
	lost := tally(c.Lost)
	lost.addAll(events)
	c.Lost = lost
}

const (
	// chunkRecords bounds the records that Next collects in the cursor's own
	// slice. = 64 × 80 bytes = 5 KiB a cursor that hands out some of what there
	// is; nothing for one that waits or hands out all of it.
	chunkRecords = 64

	// chunkBytes bounds the wire bytes that Next copies from a block of the
	// file into the cursor's own buffer, but for one larger record. = 32 KiB
	// a cursor that reads from the file; nothing for one that is live.
	chunkBytes = 32 << 10

	// chunkNodes is how many nodes of the window one look takes along.
	chunkNodes = 16
)

// Cursor reads the journal from one point into the present. Its methods are
// for one goroutine, except Ready's channel.
//
// A cursor is live while its place is inside the window, and behind when it is
// not: then it reads the file until its number is in the window, and goes on
// there. It has a place in each world, the number of a node and the number of
// a record, because live-only events have no number and evicted nodes no
// place.
type Cursor struct {
	// immutable
	j     *Journal
	ready chan struct{}    // capacity 1; sent to when Next may have more; nil: tell is called
	tell  func(spare bool) // instead; nil: ready is sent to

	// shared with the writer, which wakes an armed cursor when it publishes
	// something of mask
	state atomic.Uint64 // running, armed, or woken + number of the node to go on with
	mask  atomic.Uint64 // of types

	// owned by the goroutine that uses the cursor
	types  event.Set
	exact  bool      // mask decides about every type
	live   bool      // place is valid
	place  uint64    // number of the node to look at next…
	index  int       // …and of the record in it
	seq    uint64    // number of the record to look at next
	lapsed bool      // fell out of the window: count says when
	count  liveCount // live-only events published before the node at place
	seen   tally     // live-only events of that node before index; nil: none
	recs   []Record  // Chunk.Records, unless they are a node's
	wires  []byte    // what recs point to if they came from the file
	closed bool
}

// States of a cursor. What lies between the place of an armed cursor and the
// node that woke it was not wanted, and may have left the window since.
const (
	running = 0
	armed   = 1 // has read everything: wake it
	woken   = 2 // and more: the number of the node that did
)

// NewCursor returns a cursor whose next record is the first with a number of
// at least from; from 0 means the end: only what is published from now on. An
// empty set selects nothing.
func (j *Journal) NewCursor(from uint64, types event.Set) *Cursor {
	return j.begin(&Cursor{j: j, ready: make(chan struct{}, 1)}, from, types)
}

// NewCursorFunc is like NewCursor for who has no goroutine that waits: tell is
// called when Next may have more though its last chunk was an End. It is called
// by the goroutine that publishes, or by those that call Seek, SetTypes and
// this function, and must neither wait nor use the cursor. But if the caller
// has time to spare, because it has published and nothing else has come, tell
// may use the cursor of a live reader, and do a little; to wait is still not
// allowed.
func (j *Journal) NewCursorFunc(from uint64, types event.Set, tell func(spare bool)) *Cursor {
	return j.begin(&Cursor{j: j, tell: tell}, from, types)
}

func (j *Journal) begin(c *Cursor, from uint64, types event.Set) *Cursor {
	c.setTypes(types)
	j.win.register(c)
	c.Seek(from)
	return c
}

// wake says that Next may have more; spare is tell's.
func (c *Cursor) wake(spare bool) {
	if c.tell != nil {
		c.tell(spare)
		return
	}
	signal(c.ready)
}

func (c *Cursor) setTypes(types event.Set) {
	c.types, c.exact = types, types.Exact()
	c.mask.Store(types.Mask())
}

// Ready returns a channel of capacity 1 that receives when Next may have
// more. It is level-triggered: after a Next that returned something it
// receives again, until one has returned an empty Chunk.
func (c *Cursor) Ready() <-chan struct{} { return c.ready }

// SetTypes changes what the cursor selects from its position on. A cursor
// that has read everything is at the end: it selects of what comes.
func (c *Cursor) SetTypes(types event.Set) {
	w := c.j.win
	w.mu.RLock()
	defer w.mu.RUnlock()
	if c.state.CompareAndSwap(armed, running) {
		if c.passUnwantedLocked(w) {
			c.toEndLocked(w)
			c.armLocked(w)
		} else {
			c.wake(false)
		}
	}
	c.setTypes(types)
}

// passUnwantedLocked moves a cursor that was armed behind the nodes that hold
// nothing of its types. It reports whether that leads to the end: if not, a
// publication is under way whose wake has not come yet.
func (c *Cursor) passUnwantedLocked(w *window) (end bool) {
	want := c.mask.Load()
	for at := max(c.place, w.from); at < w.endLocked(); at++ {
		if n := w.nodes[at-w.from]; n.mask&want != 0 {
			if at != c.place {
				c.place, c.index, c.seen = at, 0, nil
				c.seq, c.count = max(c.seq, n.first), n.live
			}
			return false
		}
	}
	return true
}

// Seek moves the cursor: as NewCursor's from.
func (c *Cursor) Seek(from uint64) {
	w := c.j.win
	w.mu.RLock()
	defer w.mu.RUnlock()
	c.state.Store(running)
	if from > 0 {
		c.live, c.lapsed, c.seq, c.seen = false, false, from, nil
		c.wake(false)
		return
	}
	c.seq = 0
	c.toEndLocked(w)
	c.armLocked(w)
}

func (c *Cursor) toEndLocked(w *window) {
	c.live, c.place, c.index = true, w.endLocked(), 0
	c.seq, c.count, c.seen = max(c.seq, w.next), w.live, nil
}

func (c *Cursor) armLocked(w *window) {
	if w.closed {
		c.wake(false)
		return
	}
	c.state.Store(armed)
}

// Position returns the number of the next record the cursor will look at.
func (c *Cursor) Position() uint64 {
	if c.state.Load() == armed {
		return max(c.seq, c.j.win.upcoming())
	}
	return c.seq
}

// Forget frees what the last Chunk's records are in: they are not valid any
// more. It is for who cannot take the next ones for a while.
func (c *Cursor) Forget() {
	if c.recs != nil {
		c.j.chunks.giveRecords(c.recs)
	}
	if c.wires != nil {
		c.j.chunks.giveBytes(c.wires)
	}
	c.recs, c.wires = nil, nil
}

// Close releases the cursor.
func (c *Cursor) Close() {
	c.closed = true
	c.Forget()
	c.j.win.unregister(c)
}

// Next returns what is there, without waiting for more; an empty Chunk if
// nothing is. When the cursor is behind it reads the file, and ctx ends that.
// The error is a *DamageError, ctx's, or ErrClosed: of a closed journal Next
// still returns what a live cursor has not read yet.
//
// Records are a slice that all cursors share or one that is the cursor's own:
// the caller may change neither, nor keep it beyond the next call. Their Wire
// may be kept if the Chunk is not Behind.
func (c *Cursor) Next(ctx context.Context) (Chunk, error) {
	if c.closed {
		return Chunk{}, ErrClosed
	}
	clear(c.recs)
	c.recs = c.recs[:0]
	var ch Chunk
	for {
		var err error
		done := false
		if c.live {
			done, err = c.fromWindow(&ch)
		} else {
			done, err = c.fromFile(ctx, &ch)
		}
		if err != nil || done {
			if len(ch.Records) == 0 {
				c.Forget()
			}
			if c.ready != nil && !ch.empty() && !ch.End {
				signal(c.ready)
			}
			return ch, err
		}
	}
}

// fromWindow fills ch from the window. done is false if there is no telling
// yet: the cursor has fallen out of the window, or passed only what it does
// not want.
func (c *Cursor) fromWindow(ch *Chunk) (done bool, err error) {
	var buf [chunkNodes]*node
	w := c.j.win
	w.mu.RLock()
	c.catchUpLocked(w)
	if c.place < w.from {
		w.mu.RUnlock()
		c.live, c.lapsed = false, true
		c.count, c.seen = c.counted(), nil
		return false, nil
	}
	nodes := buf[:copy(buf[:], w.nodes[c.place-w.from:])]
	last := c.place+uint64(len(nodes)) == w.endLocked()
	switch {
	case len(nodes) == 0 && w.closed && ch.empty():
		err = ErrClosed
	case last:
		c.armLocked(w) // as if they were passed already
	}
	w.mu.RUnlock()
	for i, n := range nodes {
		if full := c.fromNode(n, ch, i == 0 && len(nodes) == 1); full {
			c.state.Store(running)
			return true, nil
		}
	}
	ch.End = last && c.state.Load() != running
	return last || !ch.empty(), err
}

// catchUpLocked passes what was published since the cursor was armed and is
// not wanted, though it may have left the window.
func (c *Cursor) catchUpLocked(w *window) {
	to := c.place
	switch state := c.state.Swap(running); {
	case state >= woken:
		to = max(to, state-woken)
	case state == armed:
		// Nothing that was published before the newest batch was wanted, and
		// all of the newest batch is in the window.
		to = max(to, w.from)
	}
	if to == c.place {
		return
	}
	c.place, c.index, c.seen = to, 0, nil
	if to >= w.from && to < w.endLocked() {
		n := w.nodes[to-w.from]
		c.seq, c.count = max(c.seq, n.first), n.live
	}
}

// counted returns the live-only events that were published before the
// cursor's place.
func (c *Cursor) counted() liveCount {
	if c.seen == nil {
		return c.count
	}
	var sum tally
	sum.addAll(c.count)
	sum.addAll(c.seen)
	return sum
}

// fromNode adds what is wanted of the rest of n; alone says that no other node
// is looked at. It reports whether ch is full; if not, the cursor has passed n.
func (c *Cursor) fromNode(n *node, ch *Chunk, alone bool) (full bool) {
	want := c.mask.Load()
	if n.mask&want == 0 {
		c.pass(n)
		return false
	}
	if (alone || len(n.recs) > chunkRecords) && c.index == 0 && n.mask&^want == 0 && c.exact && c.seq <= n.first {
		if len(ch.Records) > 0 {
			return true
		}
		ch.Records, ch.Wires = n.recs, n.wires
		c.pass(n)
		return !alone
	}
	for i := c.index; i < len(n.recs); i++ {
		r := &n.recs[i]
		if want&(1<<n.bits[i]) == 0 || !c.exact && !c.types.Has(r.Type) || n.before(i, c.seq) {
			continue
		}
		if len(c.recs) == chunkRecords {
			c.stop(n, i)
			return true
		}
		c.collect(*r)
		ch.Records = c.recs
	}
	c.pass(n)
	return false
}

// pass moves the cursor behind n.
func (c *Cursor) pass(n *node) {
	c.place, c.index = c.place+1, 0
	c.seq = max(c.seq, n.next)
	c.count, c.seen = n.after, nil
}

// stop moves the cursor to record i of n.
func (c *Cursor) stop(n *node, i int) {
	c.count = n.live
	for k := c.index; k < i; k++ {
		c.note(n, k)
	}
	c.index = i
}

// note remembers that the cursor has passed record i of n.
func (c *Cursor) note(n *node, i int) {
	if seq := n.seq(i); seq != 0 {
		c.seq = max(c.seq, seq+1)
	} else {
		c.seen.add(n.after.name(n.recs[i].Type), 1)
	}
}

// fromFile fills ch from the file, or finds that the window has what comes
// next and makes the cursor live; then done is false.
func (c *Cursor) fromFile(ctx context.Context, ch *Chunk) (done bool, err error) {
	first, limit := c.rejoin(ch)
	if c.live {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return true, err
	}
	if c.types.Empty() {
		c.seq = first // nothing is wanted of what was missed
		return false, nil
	}
	run := c.j.cache.get(c.seq)
	if run == nil {
		if run, err = c.load(ctx, limit, ch); err != nil {
			return true, err
		}
		if run == nil {
			return ch.Gap != nil, nil
		}
	}
	c.copyOut(run, first, ch)
	return !ch.empty(), nil
}

// rejoin makes the cursor live if its number is in the window. It returns the
// first number that is and the last that is published.
func (c *Cursor) rejoin(ch *Chunk) (first, limit uint64) {
	w := c.j.win
	w.mu.RLock()
	defer w.mu.RUnlock()
	first, limit = w.firstLocked(), w.durable
	if c.seq < first {
		if c.seq <= limit {
			return first, limit
		}
		// What comes next has left the window, and the disk fails.
		ch.lose(w.aheadLocked(c.seq, c.types))
		c.seq = first
	}
	before := c.count
	c.Forget()
	c.live, c.seen, c.count = true, nil, w.live
	c.place, c.index = w.findLocked(c.seq)
	if i := c.place - w.from; i < uint64(len(w.nodes)) {
		n := w.nodes[i]
		c.count = n.live
		for k := range c.index {
			c.note(n, k)
		}
	}
	if c.lapsed {
		ch.lose(c.counted().minus(before, c.types))
		c.lapsed = false
	}
	return first, limit
}

// load reads the run that holds the cursor's next record from the file. It
// returns nil if there is none up to limit. Only one cursor does so at a time.
func (c *Cursor) load(ctx context.Context, limit uint64, ch *Chunk) (*decoded, error) {
	if err := c.j.bench.read(ctx); err != nil {
		return nil, err
	}
	defer c.j.bench.done()
	if run := c.j.cache.get(c.seq); run != nil {
		return run, nil // of somebody else, meanwhile
	}
	st, err := c.j.store.fetch(ctx, c.seq, limit, Range{Types: c.types})
	if errors.Is(err, io.EOF) {
		if c.j.win.published() != limit {
			return nil, nil // the record may lie in a block that was sealed meanwhile and reaches beyond limit
		}
		return nil, c.skipTo(limit, ch)
	}
	if err != nil {
		return nil, err
	}
	if st.From > c.seq && ch.Gap == nil {
		ch.Gap = &Gap{From: c.seq, To: st.From - 1}
	}
	c.seq = max(c.seq, st.First)
	recs, err := st.Decode(noTypes)
	if err != nil {
		return nil, at(c.j.store.path, err)
	}
	run := &decoded{first: st.First, last: st.Last, recs: recs}
	if len(recs) > 0 {
		c.j.cache.add(run)
	}
	return run, nil
}

// skipTo moves the cursor behind limit, because the file holds nothing more
// for it; what was evicted on the way is a gap nevertheless.
func (c *Cursor) skipTo(limit uint64, ch *Chunk) error {
	b, err := c.j.store.firstNumber()
	if err != nil {
		return err
	}
	if b > c.seq && ch.Gap == nil {
		ch.Gap = &Gap{From: c.seq, To: min(b-1, limit)}
	}
	c.seq = max(c.seq, limit+1)
	return nil
}

// copyOut copies records of run into the cursor's own buffer, so that a
// cursor that stops reading keeps no block alive. It leaves those that are in
// the window to the window.
func (c *Cursor) copyOut(run *decoded, first uint64, ch *Chunk) {
	ch.Behind = true
	c.wires = c.wires[:0]
	if cap(c.wires) > chunkBytes {
		c.wires = nil // one large record does not stay
	}
	for _, r := range run.recs[c.seq-run.first:] {
		if r.Seq >= first {
			break
		}
		if c.types.Has(r.Type) {
			if len(c.recs) == chunkRecords || len(c.recs) > 0 && len(c.wires)+len(r.Wire) > chunkBytes {
				break
			}
			c.keep(r)
		}
		c.seq = r.Seq + 1
	}
	ch.Records = c.recs
}

func (c *Cursor) keep(r Record) {
	if len(c.wires)+len(r.Wire) > cap(c.wires) {
		// What was handed out before points into the old buffer, and may.
		c.wires = c.j.chunks.bytes(len(r.Wire))
	}
	from := len(c.wires)
	c.wires = append(c.wires, r.Wire...)
	r.Wire = c.wires[from:len(c.wires):len(c.wires)]
	c.collect(r)
}

func (c *Cursor) collect(r Record) {
	if c.recs == nil {
		c.recs = c.j.chunks.records()
	}
	c.recs = append(c.recs, r)
}
