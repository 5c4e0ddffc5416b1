package journal

import (
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"torjournal/tor/event"
)

const (
	// windowBytes is how much of the newest records stays in memory: wire
	// bytes and recordCost for each record. = 8 MiB, and the batch published
	// last, whatever its size.
	windowBytes = 8 << 20

	// recordCost is what a record costs in the window beside its wire form.
	recordCost = 88

	// nodeBytes is how many wire bytes lie in one buffer of the window. A
	// subscriber that has stopped reading keeps alive the buffer of what it
	// was writing: 1,000 of them, each at another place, cost 32 MiB at most.
	nodeBytes = 32 << 10
)

// node is a part of the window: records in the order of their publication. It
// is never changed once published.
type node struct {
	recs  []Record // Wire of all of them are parts of wires
	wires []byte   // one after the other, and nothing else
	ahead []Record // as recs, but with the numbers that they will have in the file; nil: they have them
	bits  []uint8  // of the records' types, in event masks
	mask  uint64   // all of bits
	first uint64   // number of the next record when the node begins…
	next  uint64   // …and when it ends
	cost  int
	live  liveCount // live-only events published before it…
	after liveCount // …and with it
}

// seq returns the number of record i, also if it is not in the file yet; 0 if
// it never will be.
func (n *node) seq(i int) uint64 {
	if n.ahead != nil {
		return n.ahead[i].Seq
	}
	return n.recs[i].Seq
}

// before reports whether record i has a number less than seq.
func (n *node) before(i int, seq uint64) bool {
	s := n.seq(i)
	return s != 0 && s < seq
}

// liveCount counts events that bear no number, by type. It is never changed:
// the next one is a copy. nil counts nothing.
type liveCount = tally

// minus returns what c counts beyond old, for the types of a set.
func (c tally) minus(old tally, types event.Set) (out tally) {
	for t, n := range c {
		if n > old[t] && types.Has(t) {
			out.add(t, n-old[t])
		}
	}
	return out
}

// window holds the newest published records in memory and wakes the cursors.
// Nodes are numbered in the order of publication, so that a cursor's place is
// a number that pins nothing.
type window struct {
	// immutable
	limit int         // bytes
	spare func() bool // whether who publishes has nothing else to do; nil: it has

	mu       sync.RWMutex
	nodes    []*node       // guarded by mu
	from     uint64        // guarded by mu; number of nodes[0]
	bytes    int           // guarded by mu; cost of nodes
	next     uint64        // guarded by mu; sequence number of the next record to be published
	durable  uint64        // guarded by mu; last number that may be read from the file
	ahead    []*node       // guarded by mu; what was published and is not in the file yet, if it may still come there
	aheadAt  uint64        // guarded by mu; number of the first of them
	lastTime time.Time     // guarded by mu; arrival of the newest record
	live     liveCount     // guarded by mu; live-only events published so far
	changed  chan struct{} // guarded by mu; closed by the next publication; nil: nobody waits
	closed   bool          // guarded by mu

	curMu   sync.Mutex
	cursors []*Cursor // guarded by curMu
}

func newWindow(limit int, next uint64) *window {
	return &window{limit: limit, next: next, durable: next - 1}
}

// published returns the last number that may be given away.
func (w *window) published() uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.durable
}

// upcoming returns the number of the next record that will be published.
func (w *window) upcoming() uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.next
}

// newest returns the last published record's number and arrival; the time is
// zero if none was published since Open.
func (w *window) newest() (uint64, time.Time) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.durable, w.lastTime
}

// publish makes records visible: it is the only way into the window. The
// caller gives up recs and bits; the wire bytes are copied.
func (w *window) publish(recs []Record, bits []uint8) {
	if len(recs) == 0 {
		return
	}
	w.add(makeNodes(recs, bits), false)
}

// publishAhead is publish for records that are not in the file and may come
// there later: they are given away without the numbers that they have.
func (w *window) publishAhead(recs []Record, bits []uint8) {
	nodes := makeNodes(recs, bits)
	for _, n := range nodes {
		n.recs, n.ahead = slices.Clone(n.recs), n.recs
		for i := range n.recs {
			n.recs[i].Seq = 0
		}
	}
	w.add(nodes, true)
}

// settled says that what was published ahead, up to record last, is in the
// file now. Who comes to it in memory from now on gets it with its numbers.
func (w *window) settled(last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.durable = last
	for i, n := range w.ahead {
		for _, r := range n.ahead {
			if r.Seq != 0 {
				w.lastTime = r.Time
			}
		}
		if at := w.aheadAt + uint64(i); at >= w.from {
			numbered := *n
			numbered.recs, numbered.ahead = n.ahead, nil
			w.nodes[at-w.from] = &numbered
		}
	}
	w.ahead = nil
	w.tellLocked()
}

// aheadLocked returns how many records of the given types, from number seq on,
// are neither in the file nor in the window, though they may come into the
// file.
func (w *window) aheadLocked(seq uint64, types event.Set) (out tally) {
	first := w.firstLocked()
	for _, n := range w.ahead {
		for _, r := range n.ahead {
			if r.Seq >= seq && r.Seq < first && types.Has(r.Type) {
				out.add(r.Type, 1)
			}
		}
	}
	return out
}

// tellLocked ends the waiting of who waits for a number.
func (w *window) tellLocked() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// add appends nodes and wakes who waits for them.
func (w *window) add(nodes []*node, ahead bool) {
	w.mu.Lock()
	number := w.from + uint64(len(w.nodes))
	for _, n := range nodes {
		w.appendLocked(n)
	}
	w.trimLocked(len(nodes))
	if ahead {
		w.ahead, w.aheadAt = nodes, number
	} else if len(w.ahead) == 0 {
		w.durable = w.next - 1
	}
	w.tellLocked()
	w.mu.Unlock()

	var mask uint64
	for _, n := range nodes {
		mask |= n.mask
	}
	w.wake(mask, number)
}

func (w *window) appendLocked(n *node) {
	n.first, n.live = w.next, w.live
	var live liveCount
	for i := range n.recs {
		r := &n.recs[i]
		if seq := n.seq(i); seq != 0 {
			w.next = seq + 1
			if r.Seq != 0 {
				w.lastTime = r.Time
			}
			continue
		}
		if live == nil {
			live = maps.Clone(w.live)
		}
		live.add(r.Type, 1)
	}
	if live != nil {
		w.live = live
	}
	n.next, n.after = w.next, w.live
	w.nodes = append(w.nodes, n)
	w.bytes += n.cost
}

// evict drops what the ring has given up, up to record last: nobody may read
// from memory what is gone from the file. Nodes end where batches end.
func (w *window) evict(last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := 0
	for ; k < len(w.nodes) && w.nodes[k].next <= last+1; k++ {
		w.bytes -= w.nodes[k].cost
		w.nodes[k] = nil
	}
	w.nodes = w.nodes[k:]
	w.from += uint64(k)
}

// trimLocked drops oldest nodes above the limit, but none of the newest keep.
func (w *window) trimLocked(keep int) {
	k := 0
	for ; w.bytes > w.limit && k < len(w.nodes)-keep; k++ {
		w.bytes -= w.nodes[k].cost
		w.nodes[k] = nil
	}
	w.nodes = w.nodes[k:]
	w.from += uint64(k)
}

// makeNodes cuts a batch into nodes and copies their wire bytes together.
func makeNodes(recs []Record, bits []uint8) []*node {
	var nodes []*node
	for len(recs) > 0 {
		n, size := 0, 0
		for n < len(recs) && (n == 0 || size+len(recs[n].Wire) <= nodeBytes) {
			size += len(recs[n].Wire)
			n++
		}
		nodes = append(nodes, makeNode(recs[:n:n], bits[:n:n], size))
		recs, bits = recs[n:], bits[n:]
	}
	return nodes
}

func makeNode(recs []Record, bits []uint8, size int) *node {
	n := &node{recs: recs, bits: bits, cost: size + len(recs)*recordCost}
	buf := make([]byte, 0, size)
	for i := range recs {
		from := len(buf)
		buf = append(buf, recs[i].Wire...)
		recs[i].Wire = buf[from:len(buf):len(buf)]
		n.mask |= 1 << bits[i]
	}
	n.wires = buf
	return n
}

// wake tells the cursors that have read everything and want one of the types
// in mask that there is more, from the node of that number on. It runs after
// the window's lock is free, so that a cursor that wakes finds it so. The last
// one may be served at once: nobody waits behind it.
func (w *window) wake(mask, number uint64) {
	if last := w.wakeAllButOne(mask, number); last != nil {
		last.wake(w.spare != nil && w.spare())
	}
}

// wakeAllButOne is wake for all of these cursors but the one that it returns;
// nil: there are none.
func (w *window) wakeAllButOne(mask, number uint64) (last *Cursor) {
	w.curMu.Lock()
	defer w.curMu.Unlock()
	for _, c := range w.cursors {
		if c.mask.Load()&mask != 0 && c.state.CompareAndSwap(armed, woken+number) {
			if last != nil {
				last.wake(false)
			}
			last = c
		}
	}
	return last
}

func (w *window) register(c *Cursor) {
	w.curMu.Lock()
	w.cursors = append(w.cursors, c)
	w.curMu.Unlock()
}

func (w *window) unregister(c *Cursor) {
	w.curMu.Lock()
	if i := slices.Index(w.cursors, c); i >= 0 {
		last := len(w.cursors) - 1
		w.cursors[i], w.cursors[last] = w.cursors[last], nil
		w.cursors = w.cursors[:last]
	}
	w.curMu.Unlock()
}

// close ends the waiting of everybody. What is in the window can still be
// read.
func (w *window) close() {
	w.mu.Lock()
	w.closed = true
	w.tellLocked()
	w.mu.Unlock()
	w.curMu.Lock()
	defer w.curMu.Unlock()
	for _, c := range w.cursors {
		c.state.CompareAndSwap(armed, woken)
		c.wake(false)
	}
}

// await returns a channel that is closed by the next publication, nil if a
// record of at least that number is published already.
func (w *window) await(seq uint64) (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.durable >= seq:
		return nil, nil
	case w.closed:
		return nil, ErrClosed
	case w.changed == nil:
		w.changed = make(chan struct{})
	}
	return w.changed, nil
}

// endLocked returns the number of the node that comes next.
func (w *window) endLocked() uint64 { return w.from + uint64(len(w.nodes)) }

// firstLocked returns the first sequence number that need not be read from
// the file.
func (w *window) firstLocked() uint64 {
	if len(w.nodes) == 0 {
		return w.next
	}
	return w.nodes[0].first
}

// findLocked returns the place of record seq, which must be at least
// firstLocked: the number of the node and the index in it. Live-only events
// that were published right before the record come first.
func (w *window) findLocked(seq uint64) (number uint64, index int) {
	i := sort.Search(len(w.nodes), func(i int) bool { return w.nodes[i].next > seq })
	for i > 0 && w.nodes[i-1].first == seq {
		i--
	}
	if i < len(w.nodes) && w.nodes[i].first < seq {
		n := w.nodes[i]
		for n.seq(index) != seq-1 {
			index++ // there is one: numbers have no hole
		}
		index++
	}
	return w.from + uint64(i), index
}
