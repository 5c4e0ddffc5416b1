package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/tor/event"
)

// Journal is an open journal file with its writer. All methods may be called
// by any goroutine.
type Journal struct {
	// immutable
	opt    Options
	store  *store
	q      *queue
	win    *window
	cache  *blockCache
	bench  *workbench
	chunks chunkPool
	pieces sync.Pool // *[pieceItems]item, cleared: of Append
	writer *writer
	sealer *sealer
	stop   chan struct{} // closed when Close begins
	unseal context.CancelFunc
	counts *counts
	found  uint64 // first record of the file at its opening

	committer *committer             // owned by the writer goroutine
	limits    atomic.Pointer[Limits] // changed by the writer goroutine
	vacuuming sync.Mutex             // held while a vacuum runs

	boundsMu sync.Mutex
	bounds   Bounds // guarded by boundsMu; as Bounds found them last

	closeOnce sync.Once
	closeErr  error // written inside closeOnce
}

// Open opens the journal file at path for writing, or creates it, with its
// folder if need be. It waits up to 10 seconds for a reader to let go of the
// file, then returns ErrLocked.
func Open(path string, opt Options) (*Journal, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := openStore(path, opt, false)
	if err != nil {
		return nil, err
	}
	j, err := start(s, opt)
	if err != nil {
		s.abandon()
		return nil, openError(path, err)
	}
	return j, nil
}

// start builds what stands around an open file and starts its goroutines.
func start(s *store, opt Options) (*Journal, error) {
	j := &Journal{opt: opt, store: s, cache: &blockCache{}, bench: newWorkbench(), stop: make(chan struct{}), counts: newCounts()}
	state, err := readState(s)
	if err != nil {
		return nil, err
	}
	if j.found, err = s.firstNumber(); err != nil {
		return nil, err
	}
	ages := newAgeClock(opt)
	com, err := newCommitter(s, opt, ages)
	if err != nil {
		return nil, err
	}
	tailEncoder, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		return nil, err
	}
	blockEncoder, err := newPacker()
	if err != nil {
		return nil, err
	}
	j.q = newQueue(opt.queueBytes, opt.Now)
	j.q.clocks = opt.clocks
	j.win = newWindow(opt.windowBytes, state.next)
	j.win.spare = j.q.idle
	j.sealer = &sealer{store: s, bench: j.bench, enc: blockEncoder, jobs: make(chan sealJob, 1), out: make(chan sealResult, 1), done: make(chan struct{})}
	j.committer = com
	j.limits.Store(&Limits{MaxSize: opt.MaxSize, MaxAge: opt.MaxAge})
	commit := commitFunc(com.commit)
	if opt.wrapCommit != nil {
		commit = opt.wrapCommit(commit)
	}
	log := logFunc(s.writeLog)
	if opt.wrapLog != nil {
		log = opt.wrapLog(log)
	}
	j.writer = &writer{
		env: writerEnv{
			commit: commit, log: log, overlay: s.overlay, findLog: func() (walRegion, error) { return findLog(s.file) }, expired: com.expired, reread: s.reread, note: s.writeNote, pause: j.pause, now: opt.Now, clock: j.q.clock,
			publish: j.win.publish, ahead: j.win.publishAhead, settled: j.win.settled, evicted: j.evict,
			seal:   func(job sealJob) { j.sealer.jobs <- job },
			free:   s.emptyPages,
			park:   com.park,
			repack: func(r *repacker, t *tail) ([]header, error) { return r.find(s, t) },
		},
		q: j.q, log: opt.Logger, delay: opt.CommitDelay, retry: opt.outageRetry, roomWait: opt.roomWait,
		batchMax: opt.turnMax(), storedMax: maxStored(opt.MaxSize),
		sealed: j.sealer.out, done: make(chan struct{}), counts: j.counts,
		enc: tailEncoder, next: state.next, session: state.session, grower: grower{most: opt.growBytes}, parking: parking{after: opt.parkLimits.after},
		tail: tail{sealAt: opt.sealBytes, sealAge: sealAge(opt.MaxAge), lagAt: lagLimit(opt.MaxSize)},
	}
	for _, h := range state.tail {
		j.writer.tail.append(h)
	}
	if err := j.writer.openLog(s, opt); err != nil {
		return nil, err
	}
	if state.session != nil {
		j.counts.session.Store(state.session.ID)
	}
	if s.note != nil {
		j.writer.takeUp(s.note)
		s.note = nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.unseal = cancel
	go j.sealer.run(ctx)
	go j.writer.run()
	return j, nil
}

// evict forgets what the ring has given up, up to record last.
func (j *Journal) evict(last uint64) {
	j.win.evict(last)
	j.cache.evict(last)
}

// state is what the writer must know of the file to go on.
type state struct {
	next    uint64
	session *Session
	tail    []header
}

func readState(s *store) (st state, err error) {
	err = s.view(func(tx *txn) error {
		last, _, err := newest(tx)
		if err != nil {
			return err
		}
		st.next = last + 1
		all, err := sessions(tx)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			st.session = &all[len(all)-1]
		}
		tail, err := appendOnly(tx, bucketTail)
		if err != nil {
			return err
		}
		return tail.each(func(_ []byte, v held) error {
			h, err := v.header()
			st.tail = append(st.tail, h)
			return err
		})
	})
	return st, err
}

// reread returns the last record that the file holds, whatever the writer
// believes.
func (s *store) reread() (last uint64, err error) {
	err = s.view(func(tx *txn) error {
		last, _, err = newest(tx)
		return err
	})
	return last, err
}

// pause waits before a failed commit is tried again.
func (j *Journal) pause(d time.Duration) (stopping bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-j.stop:
	}
	select {
	case <-j.stop:
		return true
	default:
		return false
	}
}

// Append hands events to the writer, in order; it is the only way into the
// journal for what happens now (Import: for the past). An event.Live is
// delivered in its place and never written. Append returns when the events are
// queued, not when they are on disk: Flush waits for that. When the queue is
// full it blocks; events that have waited 30 s lead to drops, which are counted
// and recorded. After an error a first part of the events may have been queued.
// The bytes that Format returns must not change any more.
func (j *Journal) Append(ctx context.Context, evs ...event.Event) error {
	switch {
	case len(evs) <= smallAppend:
		var items [smallAppend]item
		return j.append(ctx, items[:0], evs)
	case len(evs) > pieceItems:
		return j.append(ctx, make([]item, 0, len(evs)), evs)
	}
	piece, _ := j.pieces.Get().(*[pieceItems]item)
	if piece == nil {
		piece = new([pieceItems]item)
	}
	defer j.pieces.Put(piece)
	defer clear(piece[:len(evs)])
	return j.append(ctx, piece[:0], evs)
}

// Offer is Append of one event for who must not be held up: it never waits.
// Where Append would, the event is dropped, counted and recorded as under
// overload. Its only error is ErrClosed.
func (j *Journal) Offer(ev event.Event) error {
	typ := ev.Type()
	return j.q.offer(&item{wire: ev.Format(), typ: typ, bit: bitOf(typ)})
}

// smallAppend is how many events Append takes on its stack.
const smallAppend = 4

func (j *Journal) append(ctx context.Context, items []item, evs []event.Event) error {
	for _, ev := range evs {
		live := false
		if l, ok := ev.(event.Live); ok {
			ev, live = l.Event, true
		}
		typ := ev.Type()
		items = append(items, item{wire: ev.Format(), typ: typ, bit: bitOf(typ), live: live})
	}
	return j.q.put(ctx, items)
}

// BeginSession: what is appended after it belongs to src. If src is the same
// process as the current session's (same name and PID, Started within 2 s),
// that session goes on and continued is true. Returns when committed; while
// the disk fails at once, and the session is written when it does no more.
func (j *Journal) BeginSession(ctx context.Context, src event.Source) (id uint64, continued bool, err error) {
	o := &op{source: &src, done: make(chan struct{})}
	if err := j.do(ctx, o); err != nil {
		return 0, false, err
	}
	return o.session, o.continued, nil
}

// Record is Append of one event for who has to know what became of it: it
// returns nil when the event is in the file and published, and never drops it
// under overload. While the disk fails it returns ErrUnjournaled, and the event
// is not delivered; if the disk fails under the event itself, or ctx ends
// first, it may be delivered, and be in the file later. An event.Live is
// refused.
func (j *Journal) Record(ctx context.Context, ev event.Event) error {
	if _, live := ev.(event.Live); live {
		return fmt.Errorf("journal: a live-only %s event is never recorded", ev.Type())
	}
	typ := ev.Type()
	o := &op{done: make(chan struct{})}
	return j.await(ctx, o, item{wire: ev.Format(), typ: typ, bit: bitOf(typ), op: o})
}

// Flush returns when everything appended before it is committed and published.
// It returns ErrUnjournaled if the disk fails now, or has since the last call so
// that events are missing.
func (j *Journal) Flush(ctx context.Context) error {
	return j.do(ctx, &op{done: make(chan struct{})})
}

func (j *Journal) do(ctx context.Context, o *op) error { return j.await(ctx, o, item{op: o}) }

// await has the writer come to it, whose op is o.
func (j *Journal) await(ctx context.Context, o *op, it item) error {
	if err := j.q.put(ctx, []item{it}); err != nil {
		return err
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inWriter runs f in the writer's goroutine, between two commits. If ctx ends
// before f has begun, f does not run any more.
func (j *Journal) inWriter(ctx context.Context, f func(*writer) error) error {
	var begun atomic.Bool
	o := &op{done: make(chan struct{}), run: func(w *writer) error {
		if !begun.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return f(w)
	}}
	err := j.do(ctx, o)
	if ctx.Err() == nil || begun.CompareAndSwap(false, true) {
		return err
	}
	<-o.done
	return o.err
}

// Settled returns a channel that is closed once every event that had arrived
// by t (its Append was called by then, also if it still waits for room) is
// published. t should have a monotonic reading, as time.Now gives it.
func (j *Journal) Settled(t time.Time) <-chan struct{} { return j.q.settled(t) }

// SeekTime returns the number of the first record of the first batch that may
// hold a record at or after t; if there is none, the number of the record that
// will come next.
func (j *Journal) SeekTime(ctx context.Context, t time.Time) (uint64, error) {
	return j.store.seekTime(ctx, t, j.win.published())
}

// Fetch is Reader's.
func (j *Journal) Fetch(ctx context.Context, seq uint64, r Range) (Stored, error) {
	for {
		limit := j.win.published()
		st, err := j.store.fetch(ctx, seq, limit, r)
		if !errors.Is(err, io.EOF) || j.win.published() == limit {
			return st, err
		}
		// Since limit was asked for, records up to it may have become part of
		// a block that reaches beyond it.
	}
}

// Wait is Reader's.
func (j *Journal) Wait(ctx context.Context, seq uint64) error {
	for {
		ch, err := j.win.await(seq)
		if ch == nil || err != nil {
			return err
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Bounds is Reader's. It decodes a batch only when the first one has changed
// since the last call, or nothing was published since Open.
func (j *Journal) Bounds(ctx context.Context) (Bounds, error) {
	last, lastTime := j.win.newest()
	first, err := j.store.firstNumber()
	if err != nil {
		return Bounds{}, err
	}
	j.boundsMu.Lock()
	defer j.boundsMu.Unlock()
	if first != j.bounds.First || lastTime.IsZero() {
		if j.bounds, err = j.store.bounds(ctx, last); err != nil || lastTime.IsZero() {
			return j.bounds, err
		}
	}
	if j.bounds.First == 0 || last < j.bounds.First {
		return Bounds{}, nil
	}
	b := j.bounds
	b.Last, b.LastTime = last, lastTime
	return b, nil
}

// Sessions is Reader's.
func (j *Journal) Sessions(context.Context) ([]Session, error) { return j.store.sessions() }

// Rollups is like File's.
func (j *Journal) Rollups(ctx context.Context, since, until time.Time) (StoredRollups, error) {
	return j.store.rollups(ctx, since, until)
}

// Close refuses new events, commits and publishes those that wait, and closes
// the file. Cursors can still read what is in memory. Further calls return
// what the first did.
func (j *Journal) Close() error {
	j.closeOnce.Do(func() {
		close(j.stop)
		j.q.close()
		<-j.writer.done
		j.unseal()
		<-j.sealer.done
		j.win.close()
		j.closeErr = errors.Join(j.writer.err, j.store.close())
	})
	return j.closeErr
}
