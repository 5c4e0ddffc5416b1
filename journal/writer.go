package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync/atomic"
	"time"

	"torjournal/tor/event"
)

// The writer is the one goroutine that changes the journal. It upholds:
//
//  1. (G1) A record is published only after the commit that holds it has
//     returned nil.
//  2. (G2) Publication is in the order of the queue, live-only events
//     included: everything that one turn takes is published at once, after
//     its commit.
//  3. Sequence numbers have no hole and are never used twice: the next number
//     moves on only after a commit that returned nil, and the commit itself
//     checks that its first record follows the last one in the file.
//  4. A failed commit is ambiguous: bbolt may have written it. So nothing is
//     taken back and nothing new is begun; the tail is read again, and the same
//     batch under the same first number is committed until that succeeds.
//
// One turn:
//
//	take everything that has arrived, up to a block's size, of one session
//	number the recorded ones, encode them as one batch
//	until nil: commit(batch, finished seal, evictions); after an error reread
//	publish(records)                  // one call site, as has commit
//	hand the tail to the sealer if it is full
//
// Why group commit and not a timer: at a low rate an event waits for one
// commit and nothing else; at a high rate what arrives during a commit shares
// the next. Why sealing is not a turn of its own: the block's encoding takes
// longer than a commit, so it happens beside the writer, and its exchange
// shares the sync of a commit that is made anyway.
//
// The way that lost: publishing from the transaction's OnCommit hook. It runs
// after a commit that returned nil too, but then bbolt, and not this file,
// would say what comes first.

// writerEnv is all that the writer sees of the world.
type writerEnv struct {
	commit  commitFunc                            // nil: all of it is durable
	expired func() bool                           // whether records are past the age limit
	reread  func() (last uint64, err error)       // last record in the file, after a failed commit
	publish func(recs []Record, bits []uint8)     // gives both away
	evicted func(last uint64)                     // the ring has given up what is up to last
	seal    func(batches []header)                // ask for a block of these; finished ones come on sealed
	pause   func(d time.Duration) (stopping bool) // wait before the next try
	now     func() time.Time
}

type writer struct {
	// immutable
	env      writerEnv
	q        *queue
	log      *slog.Logger
	batchMax int           // bytes of wire that one turn takes
	delay    time.Duration // how long a commit waits for more events
	sealed   chan sealResult
	done     chan struct{} // closed when the goroutine has ended
	counts   *counts

	// owned by the writer goroutine
	enc       *encoder
	next      uint64   // number of the next record
	session   *Session // current one; nil before the first
	tail      tail
	storedMax int    // bytes that one stored batch may have
	sealing   bool   // the sealer works on batches at the tail's head
	ready     *seal  // a finished block that the next commit puts in
	items     []item // scratch
	err       error  // what the goroutine ended with…
	lost      int    // …and how many events it had taken and could not commit

	failure atomic.Pointer[string] // why commits fail now; nil when they succeed
}

// sealResult is what the sealer hands back.
type sealResult struct {
	seal *seal
	err  error
}

// batch is one turn's events: what is written of them, and all of them.
type batch struct {
	hdr  header
	data []byte // envelope; nil if nothing is to be written
	recs []Record
	bits []uint8
}

const (
	// firstRetry and lastRetry are the pauses after failed commits: short at
	// first, because the usual cause of one alone is a reader that pins pages.
	firstRetry = 10 * time.Millisecond
	lastRetry  = time.Second

	// closingTries is how often a commit is tried once the journal closes.
	closingTries = 3

	// idleTurn is how often an idle writer looks for records past the age
	// limit.
	idleTurn = time.Minute
)

// run takes turns until the queue is closed and empty.
func (w *writer) run() {
	defer close(w.done)
	idle := time.NewTicker(idleTurn)
	defer idle.Stop()
	for {
		w.linger()
		items, dropped, closed := w.q.take(w.items, w.batchMax)
		w.items = items
		switch {
		case len(items) == 1 && items[0].op != nil:
			w.turnOp(items[0].op, dropped)
		case len(items) > 0 || dropped != nil:
			w.turn(items, dropped)
		case closed:
			return
		default:
			select {
			case <-w.q.wake:
			case res := <-w.sealed:
				w.takeSeal(res)
				w.turnIdle()
			case <-idle.C:
				w.turnIdle()
			}
		}
		w.q.release()
		if w.err != nil {
			w.giveUp()
			return
		}
	}
}

// turnIdle commits what has to be done though no event has come.
func (w *writer) turnIdle() {
	if w.ready != nil || w.env.expired() {
		w.err = w.apply(&change{})
		return
	}
	w.askSealer()
}

// linger waits for more events if the user asked for fewer commits.
func (w *writer) linger() {
	for w.delay > 0 {
		since, now, ok := w.q.hurry(w.batchMax)
		left := w.delay - (w.env.now().Sub(w.q.start) - since)
		if !ok || now || left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-w.q.wake:
		}
		timer.Stop()
	}
}

// turn commits and publishes events.
func (w *writer) turn(items []item, dropped map[event.Type]uint64) {
	b := w.number(items, dropped)
	if w.encode(b); len(b.data) > w.storedMax || int(b.hdr.raw) > maxPayload {
		// Only an event that is a batch alone can be that large.
		w.log.Warn("an event is too large for the journal's limit and is not recorded; raise --max-size to keep such events",
			"type", b.recs[0].Type, "bytes", len(b.recs[0].Wire))
		b = w.number(nil, w.q.tooLarge(b.recs[0].Type, dropped))
		w.encode(b)
	}
	if b.data != nil {
		if w.err = w.apply(&change{batch: b}); w.err != nil {
			w.lost = len(b.recs)
			return
		}
	}
	w.counts.add(b)
	w.env.publish(b.recs, b.bits)
}

// turnOp answers a Flush, begins a session, or does upkeep between commits.
func (w *writer) turnOp(o *op, dropped map[event.Type]uint64) {
	if dropped != nil {
		w.turn(nil, dropped)
	}
	if o.source != nil && w.err == nil {
		o.session, o.continued, w.err = w.beginSession(*o.source, o.begun)
	}
	o.err = w.err
	if o.run != nil && w.err == nil {
		o.err = o.run(w)
	}
	close(o.done)
}

func (w *writer) beginSession(src event.Source, begun time.Time) (id uint64, continued bool, err error) {
	if begun.IsZero() {
		begun = w.env.now()
	}
	s := &Session{ID: 1, Source: src, First: w.next, Begun: begun.UTC().Truncate(time.Microsecond)}
	if w.session != nil {
		s.ID = w.session.ID + 1
		if sameProcess(w.session.Source, src) {
			continued = true
			if w.session.Source == src {
				return w.session.ID, true, nil
			}
			s.ID, s.First, s.Begun = w.session.ID, w.session.First, w.session.Begun
		}
	}
	if err := w.apply(&change{session: s}); err != nil {
		return 0, false, err
	}
	w.session = s
	w.counts.session.Store(s.ID)
	return s.ID, continued, nil
}

// number makes records of items and, after them, of what was dropped. The
// records' numbers count from w.next, which moves on with the commit only.
func (w *writer) number(items []item, dropped map[event.Type]uint64) *batch {
	b := &batch{recs: make([]Record, 0, len(items)+1), bits: make([]uint8, 0, len(items)+1)}
	next := w.next
	var session uint64
	if w.session != nil {
		session = w.session.ID
	}
	add := func(it *item) {
		r := Record{Session: session, Time: time.UnixMicro(it.us).UTC(), Type: it.typ, Wire: it.wire}
		if !it.live {
			r.Seq = next
			next++
		}
		b.recs, b.bits = append(b.recs, r), append(b.bits, it.bit)
	}
	for i := range items {
		add(&items[i])
	}
	if dropped != nil {
		add(&item{wire: dropNotice(dropped).Format(), typ: event.JOURNAL, bit: bitOf(event.JOURNAL), us: w.env.now().UnixMicro()})
	}
	clear(items)
	return b
}

// bitOf returns the bit of t in event masks.
func bitOf(t event.Type) uint8 { return uint8(bits.TrailingZeros64(t.Mask())) }

func (w *writer) encode(b *batch) {
	if h, data := w.enc.encode(b.recs); h.first != 0 {
		b.hdr, b.data = h, data
	}
}

// apply commits c, together with what the sealer has finished and with large
// batches at the tail's head, which are blocks already.
func (w *writer) apply(c *change) error {
	select {
	case res := <-w.sealed:
		w.takeSeal(res)
	default:
	}
	c.seal = w.ready
	if !w.sealing && w.ready == nil {
		c.promote = w.tail.blocks()
	}
	c.toBlock = c.batch != nil && w.tail.empty() && w.tail.large(&c.batch.hdr)
	out, err := w.commitUntil(c)
	if err != nil {
		return err
	}
	w.counts.commits.Add(1)
	w.settleTail(c, out)
	w.askSealer()
	return nil
}

// commitUntil is where all changes become durable.
func (w *writer) commitUntil(c *change) (outcome, error) {
	pause := firstRetry
	for try := 1; ; try++ {
		out, err := w.env.commit(c)
		if err == nil {
			w.recovered()
			return out, nil
		}
		w.failed(err, c)
		if stopping := w.env.pause(pause); stopping && try >= closingTries {
			return out, err
		}
		pause = min(2*pause, lastRetry)
	}
}

// failed notes why commits fail. The batch is not touched: whether it is in
// the file or not, it is committed again as it is.
func (w *writer) failed(err error, c *change) {
	text := err.Error()
	old := w.failure.Swap(&text)
	if old != nil && *old == text {
		return
	}
	last, rerr := w.env.reread()
	args := []any{"error", err, "last_in_file", last, "next", w.next}
	if c.batch != nil {
		args = append(args, "waiting", c.batch.hdr.count())
	}
	if rerr != nil {
		args = append(args, "reread", rerr)
	}
	w.log.Error("the journal cannot be written: events wait in memory; free the disk or replace the file", args...)
}

func (w *writer) recovered() {
	if w.failure.Swap(nil) != nil {
		w.log.Info("the journal is written again")
	}
}

// settleTail brings the writer's picture of the file up to date.
func (w *writer) settleTail(c *change, out outcome) {
	switch {
	case c.seal == nil:
		w.tail.drop(len(c.promote))
	case out.sealed:
		w.tail.drop(len(c.seal.replaces))
	}
	w.ready = nil
	if c.batch != nil {
		w.next = c.batch.hdr.last + 1
		if !c.toBlock {
			w.tail.append(c.batch.hdr)
		}
	}
	w.tail.evicted(out.evicted)
	w.env.evicted(out.evicted)
}

// askSealer hands the oldest batches of the tail to the sealer if there are
// enough of them for a block. It works on one block at a time.
func (w *writer) askSealer() {
	if w.sealing || w.ready != nil {
		return
	}
	if batches := w.tail.toSeal(); batches != nil {
		w.sealing = true
		w.env.seal(batches)
	}
}

// takeSeal keeps what the sealer has made for the next commit, unless the ring
// has taken what it was made of. A block that cannot be made leaves the tail
// as it is: reading goes on from there.
func (w *writer) takeSeal(res sealResult) {
	w.sealing = false
	switch {
	case res.err == nil:
		if w.tail.begins(res.seal.replaces[0]) {
			w.ready = res.seal
		}
	case !errors.Is(res.err, errEvicted):
		w.sealing = true // for ever: the same would fail again
		w.log.Error("the newest records cannot be sealed into a block and stay as they are", "error", res.err)
	}
}

// giveUp ends the waiting of everybody after an error that closing met.
func (w *writer) giveUp() {
	if lost := w.lost + w.q.fail(w.err); lost > 0 {
		w.err = fmt.Errorf("journal: %d events are lost: %w", lost, w.err)
	}
}

func (w *writer) writeError() string {
	if s := w.failure.Load(); s != nil {
		return *s
	}
	return ""
}
