package journal

import (
	"errors"
	"log/slog"
	"math/bits"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"torjournal/tor/event"
)

// The writer is the one goroutine that changes the journal. It upholds, each
// with the test that fails if it does not:
//
//  1. (G1) A record is published with its number only after the commit that
//     holds it, or the sync of the log (wal.go), has returned nil.
//     (TestCrashImages)
//  2. (G2) Publication is in the order of the queue, live-only events
//     included: everything that one turn takes is published at once, after
//     its commit. (TestWriterLiveOnly)
//  3. Sequence numbers have no hole and are never used twice: the next number
//     moves on only after a commit or a sync of the log that returned nil, and
//     the commit itself checks that its first record follows the last one in the
//     file.
//     (TestModel)
//  4. A failed commit is ambiguous: bbolt may have written it. So nothing is
//     taken back: the same batch under the same first number is committed
//     again until that succeeds, whatever happens meanwhile.
//     (TestWriterRepeatsFailedCommit)
//  5. (G6) A disk that fails holds nobody up. When a commit has failed and
//     failed again, an outage begins, see outage.go. (TestOutage…)
//
// One turn:
//
//	take everything that has arrived, up to a block's size, of one session
//	number the recorded ones
//	log them if they are few; else encode them as one batch, and
//	commit(what the log holds, batch, finished seal, evictions), once more after an error
//	publish(records), or begin an outage
//	hand the tail to the sealer if it is full
//
// Why group commit and not a timer: at a low rate an event waits for one
// commit and nothing else; at a high rate what arrives during a commit shares
// the next. Why sealing is not a turn of its own: the block's encoding takes
// longer than a commit, so it happens beside the writer, and its exchange
// shares the sync of a commit that is made anyway.
//
// Why trying again is sound after a failed sync, though the kernel may have
// forgotten the pages that it could not write: the next try is a new
// transaction that writes all of it once more, and before it the store makes
// the newest meta page durable (store.settle), whose predecessor's pages it
// is going to use.
//
// The way that lost: publishing from the transaction's OnCommit hook. It runs
// after a commit that returned nil too, but then bbolt, and not this file,
// would say what comes first.

// writerEnv is all that the writer sees of the world.
type writerEnv struct {
	commit  commitFunc                            // nil: all of it is durable
	log     logFunc                               // writes pages of the log; nil: they are on disk
	overlay func(pages []logged)                  // what readers see behind the tail
	findLog func() (walRegion, error)             // where it lies, once it is made
	expired func() bool                           // whether records are past the age limit
	reread  func() (last uint64, err error)       // last record in the file, after a failed commit
	publish func(recs []Record, bits []uint8)     // gives both away
	ahead   func(recs []Record, bits []uint8)     // the same, of records that are not in the file yet: without their numbers
	settled func(last uint64)                     // what went ahead, up to last, is in the file now
	evicted func(last uint64)                     // the ring has given up what is up to last
	seal    func(sealJob)                         // ask for a block; finished ones come on sealed
	repack  repackFunc                            // finds old blocks for it; nil: there are none
	free    func() int                            // pages of the file that hold nothing
	park    func() (done bool, err error)         // parks some of them if they are many; nil: there are none
	note    func(n *lossNote, durable bool) error // leaves a note in a file that cannot be written otherwise; nil: there is none
	pause   func(d time.Duration) (stopping bool) // wait before the next try
	now     func() time.Time
	clock   func() (us int64, mono time.Duration) // as items are stamped
}

type writer struct {
	// immutable
	env      writerEnv
	q        *queue
	log      *slog.Logger
	batchMax int           // bytes of wire that one turn takes
	delay    time.Duration // how long a commit waits for more events
	retry    time.Duration // how often an outage tries to write
	roomWait time.Duration // how long readers may hold up a commit before that is an outage
	sealed   chan sealResult
	done     chan struct{} // closed when the goroutine has ended
	counts   *counts

	// owned by the writer goroutine
	enc       *encoder
	next      uint64   // number of the next record
	session   *Session // current one; nil before the first
	tail      tail
	grower    grower
	wal       wal
	storedMax int   // bytes that one stored batch may have
	sealing   bool  // the sealer works on batches at the tail's head
	ready     *seal // a finished block that the next commit puts in
	repack    repacker
	packed    []chan struct{} // closed when there is nothing to pack
	parking   parking
	stuck     bool   // a block could not be made: nothing is sealed any more
	waits     bool   // there is something to seal, and no time
	items     []item // scratch
	out       *outage
	watch     clockWatch
	missed    uint64 // delivered and not journaled since the last Flush
	err       error  // what the goroutine ended with

	turns   atomic.Uint64          // see Pulse
	failure atomic.Pointer[string] // why commits fail now; nil when they succeed
	since   atomic.Int64           // when the outage began, µs since 1970; 0: there is none
}

// sealResult is what the sealer hands back.
type sealResult struct {
	seal   *seal
	err    error
	repack bool // of old blocks
}

// batch is one turn's events: what is written of them, and all of them.
type batch struct {
	hdr  header
	data []byte // envelope; nil if nothing is to be written
	recs []Record
	bits []uint8
}

const (
	// quickTries is how often a commit is tried before an outage begins, with
	// a pause of firstRetry between: one error alone may be no more than that.
	quickTries = 2
	firstRetry = 10 * time.Millisecond

	// roomWait is how long a commit is tried that fails only because readers
	// hold the pages it needs, with pauses of at most roomRetry: longer than a
	// reader that copies and closes takes, and short for who watches live.
	roomWait  = time.Second
	roomRetry = 100 * time.Millisecond

	// outageRetry is how often an outage tries to write.
	outageRetry = time.Second

	// closingTries is how often, with a pause of roomRetry, that is tried once
	// the journal closes.
	closingTries = 3

	// idleTurn is how often an idle writer looks for records past the age
	// limit.
	idleTurn = time.Minute
)

// run takes turns until the queue is closed and empty.
func (w *writer) run() {
	defer close(w.done)
	w.watch.look(w.env.clock())
	idle := time.NewTicker(idleTurn)
	defer idle.Stop()
	for {
		w.turns.Add(1)
		w.linger()
		items, dropped, closed := w.q.take(w.items, w.batchMax)
		w.items = items
		switch {
		case len(items) == 1 && items[0].op != nil:
			w.turnOp(&items[0], dropped)
		case len(items) > 0 || dropped != nil:
			w.turn(items, dropped)
		case closed:
			w.finish()
			return
		case w.grower.unprepared() && w.out == nil:
			w.prepare()
		case w.mayMakeLog():
			w.makeLog()
		case w.mayPark():
			w.park()
		default:
			w.rest(idle.C)
		}
		w.q.release()
		if w.out.due() {
			w.resume()
		}
	}
}

// prepare does what the next commit would have to do while others wait for it.
// Who hears of the last one goes first.
func (w *writer) prepare() {
	runtime.Gosched()
	w.grower.prepare(w.enc, &w.tail)
}

// rest waits for something to do.
func (w *writer) rest(idle <-chan time.Time) {
	var quiet <-chan time.Time
	if w.waits {
		timer := time.NewTimer(lull)
		defer timer.Stop()
		quiet = timer.C
	}
	select {
	case <-w.q.wake:
	case res := <-w.seals():
		w.takeSeal(res)
		w.turnIdle()
	case <-idle:
		w.turnMinute()
	case <-quiet:
		w.turnIdle()
	case <-w.out.tick():
		w.resume()
	}
}

// turnMinute is what an idle writer does every minute: nothing stays in the log
// for longer.
func (w *writer) turnMinute() {
	if w.out == nil && w.settleLog() != nil {
		return
	}
	w.turnIdle()
}

// turnIdle commits what has to be done though no event has come.
func (w *writer) turnIdle() {
	if w.out != nil {
		return
	}
	if jump := w.watch.look(w.env.clock()); jump != nil {
		w.group([]item{*jump}, nil)
		return
	}
	for w.ready != nil || w.mayPromote() && len(w.tail.blocks()) > 0 || w.env.expired() {
		if w.apply(&change{}) != nil {
			return // the outage that has begun sees to it
		}
	}
	w.askSealer(true)
}

// seals returns the channel of finished blocks. During an outage they wait:
// the change that is pending says which one is next.
func (w *writer) seals() chan sealResult {
	if w.out != nil {
		return nil
	}
	return w.sealed
}

// linger waits for more events if the user asked for fewer commits.
func (w *writer) linger() {
	for w.delay > 0 && w.out == nil {
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
		w.turns.Add(1)
	}
}

// turn commits and publishes events, and before the first that was stamped
// after a jump of the wall clock the event that says so.
func (w *writer) turn(items []item, dropped tally) {
	for w.out == nil {
		i, jump := w.watch.scan(items)
		if jump == nil {
			break
		}
		w.group(slices.Concat(items[:i], []item{*jump}), nil)
		items = items[i:]
	}
	w.group(items, dropped)
}

// group commits events together and publishes them.
func (w *writer) group(items []item, dropped tally) {
	if !w.wal.takesBeside(&w.tail, items) {
		_ = w.settleLog() // an outage begins where it fails
	}
	if w.out != nil {
		w.deliver(items, dropped)
		return
	}
	b := w.number(items, dropped)
	if w.logAhead(b) {
		w.counts.add(b)
		w.env.publish(b.recs, b.bits)
		return
	}
	if w.encode(b); len(b.data) > w.storedMax || int(b.hdr.raw) > maxPayload {
		// Only an event that is a batch alone can be that large.
		w.log.Warn("an event is too large for the journal's limit and is not recorded; raise --max-size to keep such events",
			"type", b.recs[0].Type, "bytes", len(b.recs[0].Wire))
		b = w.number(nil, w.q.tooLarge(b.recs[0].Type, dropped))
		w.encode(b)
	}
	if b.data != nil && w.apply(&change{batch: b}) != nil {
		return
	}
	w.counts.add(b)
	w.env.publish(b.recs, b.bits)
}

// turnOp answers a Flush, records an event by itself, begins a session, or does
// upkeep between commits.
func (w *writer) turnOp(it *item, dropped tally) {
	o := it.op
	if dropped != nil {
		w.turn(nil, dropped)
	}
	switch {
	case o.source != nil:
		o.session, o.continued = w.beginSession(*o.source, o.begun)
	case o.run != nil:
		o.err = o.run(w)
	case it.wire != nil:
		o.err = w.record(*it)
	default:
		o.err = w.flushed()
	}
	close(o.done)
}

// record commits and publishes an event alone, unless the disk fails.
func (w *writer) record(it item) error {
	if w.out == nil {
		it.op = nil
		w.turn([]item{it}, nil)
	}
	if w.out != nil {
		return w.out.err()
	}
	return nil
}

// beginSession makes what follows belong to src. While the disk fails the
// session is written when it does no more.
func (w *writer) beginSession(src event.Source, begun time.Time) (id uint64, continued bool) {
	if begun.IsZero() {
		begun = w.env.now()
	}
	s := &Session{ID: 1, Source: src, First: w.next, Begun: begun.UTC().Truncate(time.Microsecond)}
	if w.session != nil {
		s.ID = w.session.ID + 1
		if sameProcess(w.session.Source, src) {
			continued = true
			if w.session.Source == src {
				return w.session.ID, true
			}
			s.ID, s.First, s.Begun = w.session.ID, w.session.First, w.session.Begun
		}
	}
	if w.out != nil {
		w.out.session, w.out.fresh = s, w.out.fresh || !continued
	} else {
		_ = w.apply(&change{session: s}) // the outage that begins sees to it
	}
	w.session = s
	w.counts.session.Store(s.ID)
	return s.ID, continued
}

// number makes records of items and, after them, of what was dropped. The
// records' numbers count from w.next, which moves on with the commit only.
func (w *writer) number(items []item, dropped tally) *batch {
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
// batches at the tail's head, which are blocks already. If that fails an outage
// has begun, which sees to it that c is committed in the end. During an outage
// nothing is applied.
func (w *writer) apply(c *change) error {
	if w.out != nil {
		return w.out.err()
	}
	select {
	case res := <-w.sealed:
		w.takeSeal(res)
	default:
	}
	c.seal = w.ready
	if w.mayPromote() {
		c.promote = w.tail.blocks()
	}
	w.carry(c)
	c.toBlock = c.batch != nil && c.grown == nil && w.tail.empty() && w.tail.large(&c.batch.hdr)
	if c.grown == nil {
		c.grown = w.grow(c)
	}
	if err := w.commit(c); err != nil {
		w.beginOutage(c, err)
		return w.out.err()
	}
	w.askSealer(c.batch == nil || len(c.batch.data) < busyBatch)
	return nil
}

// grow says what becomes of the batch of c in the file; nil: what it is.
// Nothing grows while a vacuum copies what there is by its borders, nor what
// leaves the tail with c.
func (w *writer) grow(c *change) *growth {
	if c.batch == nil || c.toBlock || w.repack.held {
		return nil
	}
	if n := len(c.promote); n > 0 {
		w.grower.handed = max(w.grower.handed, c.promote[n-1].last)
	}
	return w.grower.plan(w.enc, &w.tail, c.batch)
}

// mayPromote reports whether nobody is at work on the tail's head.
func (w *writer) mayPromote() bool { return (!w.sealing || w.repack.busy) && w.ready == nil }

// commit tries to commit c. An error means that the disk fails: it has come
// again, or readers have held the pages it needs for too long.
func (w *writer) commit(c *change) error {
	var waited time.Duration
	for try, pause := 1, firstRetry; ; try++ {
		err := w.commitOnce(c)
		waits := errors.Is(err, errNoRoom) && waited < w.roomWait
		if err == nil || try >= quickTries && !waits {
			return err
		}
		if stopping := w.env.pause(pause); stopping && try >= closingTries {
			return err
		}
		waited += pause
		pause = min(2*pause, roomRetry)
	}
}

// commitOnce is where all changes become durable.
func (w *writer) commitOnce(c *change) error {
	out, err := w.env.commit(c)
	if err != nil {
		text := err.Error()
		w.failure.Store(&text)
		return err
	}
	w.failure.Store(nil)
	w.counts.commits.Add(1)
	w.parking.committed(c)
	w.settleTail(c, out)
	return nil
}

// settleTail brings the writer's picture of the file up to date.
func (w *writer) settleTail(c *change, out outcome) {
	switch {
	case c.seal == nil:
		if len(c.promote) > 0 {
			w.repack.look(c.promote[0].first)
		}
		w.tail.drop(len(c.promote))
	case out.sealed && !c.seal.repack:
		w.tail.drop(len(c.seal.replaces))
	}
	w.ready = nil
	for _, what := range out.sums {
		w.log.Error("kept sums of the bandwidth were damaged; records are written on, and `torjournal verify` tells what is set aside: see whether the disk fails", "sums", what)
	}
	if c.appends() {
		hdr, _ := c.stored()
		w.next = hdr.last + 1
		if c.toBlock {
			w.repack.look(hdr.first)
		} else {
			w.tail.grow(len(c.replaced()), hdr)
		}
		w.settledLog(c)
	}
	w.wal.rest = max(0, w.wal.rest-1)
	w.tail.evicted(out.evicted)
	w.env.evicted(out.evicted)
}

const (
	// busyBatch is the size of a commit, in bytes as stored, from which blocks
	// wait: whatever can be done at another time is.
	busyBatch = 16 << 10

	// lull is how long nothing must have come before an idle writer begins
	// what has waited.
	lull = 50 * time.Millisecond
)

// askSealer hands the oldest batches of the tail to the sealer if there are
// enough of them for a block, or else old blocks, if there is little to do. It
// works on one block at a time.
func (w *writer) askSealer(idle bool) {
	if w.stuck {
		w.restPacked()
	}
	if w.sealing || w.ready != nil {
		return
	}
	idle = idle || len(w.packed) > 0
	batches := w.tail.toSeal(len(w.packed) > 0)
	if w.waits = batches != nil && !idle; w.waits {
		return
	}
	if batches != nil {
		w.sealing, w.grower.handed = true, batches[len(batches)-1].last
		w.env.seal(sealJob{batches, bucketTail})
		return
	}
	if idle {
		w.askRepack()
	}
	if !w.sealing && len(w.tail.blocks()) == 0 {
		w.restPacked()
	}
}

// takeSeal keeps what the sealer has made for the next commit, unless the ring
// has taken what it was made of. A block that cannot be made leaves the tail
// as it is: reading goes on from there.
func (w *writer) takeSeal(res sealResult) {
	w.sealing, w.repack.busy = false, false
	switch {
	case res.repack:
		w.takeRepack(res)
	case res.err == nil:
		if w.tail.begins(res.seal.replaces[0]) {
			w.ready = res.seal
		}
	case !errors.Is(res.err, errEvicted):
		w.sealing, w.stuck = true, true // for ever: the same would fail again
		w.log.Error("records cannot be sealed into a block and stay as they are; look at the journal with verify", "error", res.err)
		w.restPacked()
	}
}

func (w *writer) writeError() string {
	if s := w.failure.Load(); s != nil {
		return *s
	}
	return ""
}
