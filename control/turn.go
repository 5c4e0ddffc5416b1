package control

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Turns: how replies and events share a socket.
//
// Two goroutines write to a connection. conn.serve answers commands, one
// after the other; outlet.run delivers events. What they write must look as if
// it came from tor, which writes both from one thread. Invariants:
//
//	T1  Who has the turn, and nobody else, writes to the socket and touches
//	    the outlet's fields, the cursor included. The outlet has it unless it
//	    has given it away.
//	T2  A reply takes the turn with its first byte and gives it back after its
//	    last: no event splits a reply, and commands that change the outlet
//	    (SETEVENTS, REPLAY) change it between two events.
//	T3  A reply whose first byte came at T goes after every event of this
//	    connection that arrived before T − replySlack, and before all others.
//	T4  While a command waits for its reply's first byte, events wait until
//	    they are replySlack old: what the command caused shall not be
//	    delivered before T is known.
//	T5  T3 and T4 do not hold while the connection reads history: who replays
//	    last week still gets his answers at once.
//	T6  Waiting for the turn holds no lock, and ends when the connection ends.
//
//	serve                                outlet.run
//	  Forward → first byte at T            loop:
//	  ask ← T                    ──────▶     T ← ask:
//	                                           wait for records.Settled(T − slack)
//	                                           write records up to T − slack
//	  ← granted                  ◀──────       granted ←
//	  write the reply, change the cursor
//	  back ←                     ──────▶       ← back
//	                                         or cursor ready: write records
//	                                         or source lost: write the rest, end
//
// T3 is needed because events wait for a commit and replies do not: without
// it a controller that polls circuit-status would be told that a circuit is
// gone and read of its being built afterwards. It needs two clocks that agree,
// the arrival of events and of replies, and both are taken in this process.
//
// The way that lost: one goroutine that reads commands and events and writes
// everything. It needs a copy of each reply (tor's may have megabytes) or a
// second goroutine for it anyway, and a slow command would stop the events.
type outlet struct {
	// Immutable.
	conn    *conn
	ask     chan time.Time // serve → run: when the reply's first byte came
	granted chan struct{}  // run → serve: you have the turn
	back    chan struct{}  // serve → run: take it back
	gone    chan struct{}  // closed when run has ended

	// Owned by who has the turn.
	w      sockWriter
	cursor cursor           // nil while nothing is subscribed
	types  event.Set        // what cursor selects
	held   []journal.Record // rest of the last chunk, not written yet
	idle   bool             // the feed had nothing more; wait for Ready
	behind bool             // the last chunk came from the file
	past   *replay          // nil: live
	sieve  *sieve           // nil: no filter
	empty  func()           // letGo
	ours   bool             // it used a command of ours: it hears of gaps, and outlives the source
	meta   bool             // USEFEATURE JOURNAL_META
	last   bool             // the last reply is written
	life   <-chan struct{}  // Backend.Lost() of the life it has seen; nil: none
	upDone <-chan struct{}  // Done of the upstream that serve uses; nil: none

	// Owned by run.
	leaving <-chan struct{}  // closed by quit: the source will not answer any more; nil: noted
	grace   <-chan time.Time // when to end because the upstream ended; nil: it did not
	quit    func()           // of serve, at most once

	awaited atomic.Bool // set by serve: a command was sent and its reply has not begun

	// For status, from any goroutine.
	authenticated, replaying, late atomic.Bool
	position                       atomic.Uint64
}

func newOutlet(c *conn) *outlet {
	o := &outlet{
		conn:    c,
		ask:     make(chan time.Time),
		granted: make(chan struct{}),
		back:    make(chan struct{}),
		gone:    make(chan struct{}),
	}
	leaving := make(chan struct{})
	o.leaving, o.quit = leaving, func() { close(leaving) }
	o.w.sock = c.sock
	o.w.room.of(c.sock)
	o.empty = o.letGo
	o.bind()
	return o
}

// take waits for the turn for a reply whose first byte came at the given
// time. Only serve calls it. It fails when the connection has ended.
func (o *outlet) take(at time.Time) error {
	select {
	case o.ask <- at:
	case <-o.gone:
		return net.ErrClosed
	}
	select {
	case <-o.granted:
		return nil
	case <-o.gone:
		return net.ErrClosed
	}
}

// giveBack ends what take began.
func (o *outlet) giveBack() { o.back <- struct{}{} }

// run delivers events until the connection ends, which it ends itself when
// the source is lost or nothing can be written any more.
func (o *outlet) run() {
	defer close(o.gone)
	err := o.deliver(o.conn.ctx)
	if o.cursor != nil {
		o.cursor.Close()
	}
	o.w.drop()
	if err != nil || !o.last {
		o.conn.cancel()
	}
}

// deliver is run's loop; it returns nil when the connection ends as it should.
func (o *outlet) deliver(ctx context.Context) error {
	for !o.last {
		more, stopTimer := o.more()
		var err error
		select {
		case at := <-o.ask:
			err = o.grant(ctx, at)
		case <-more:
			err = o.advance(ctx)
		case <-o.life:
			if o.life = nil; !o.outlives() {
				return o.takeLeave(ctx)
			}
		case <-o.upDone:
			if o.upDone = nil; !o.outlives() {
				o.grace = time.After(lossGrace)
			}
		case <-o.leaving:
			o.leaving, o.grace = nil, time.After(lossGrace)
		case <-o.grace:
			return o.takeLeave(ctx)
		case <-o.conn.door.closing:
			return o.takeLeave(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
		stopTimer()
		if err != nil {
			return err
		}
	}
	return nil
}

// advance delivers what is held, or else looks for more.
func (o *outlet) advance(ctx context.Context) error {
	o.idle = false
	if len(o.held) == 0 {
		if err := o.fetch(ctx); err != nil {
			return err
		}
		if o.idle || o.pause() > 0 {
			return o.w.flush()
		}
	}
	_, err := o.step(ctx, time.Time{})
	return err
}

// more returns a channel that says when step has something to do.
func (o *outlet) more() (something <-chan struct{}, stop func()) {
	stop = func() {}
	if wait := o.pause(); wait > 0 {
		over := make(chan struct{})
		t := time.AfterFunc(wait, func() { close(over) })
		return over, func() { t.Stop() }
	}
	switch {
	case o.past != nil && o.past.span != nil, len(o.held) > 0:
		return ready, stop
	case o.cursor == nil:
		return nil, stop
	case !o.idle:
		return ready, stop
	}
	return o.cursor.Ready(), stop
}

// pause returns how long the held records have to wait.
func (o *outlet) pause() time.Duration {
	switch {
	case len(o.held) == 0:
		return 0
	case o.past != nil:
		return o.past.pause(o.held)
	case o.behind || !o.awaited.Load():
		return 0
	}
	// By the clock, but never longer than if they had come just now: the
	// clock may have been put back.
	s := o.conn.srv
	newest := o.held[len(o.held)-1].Time
	return min(newest.Add(s.slack).Sub(s.now()), s.slack)
}

// grant gives the turn to serve for one reply.
func (o *outlet) grant(ctx context.Context, at time.Time) error {
	if o.cursor != nil && o.past == nil && !o.behind {
		if err := o.catchUp(ctx, at.Add(-o.conn.srv.slack), true); err != nil {
			return err
		}
	}
	o.granted <- struct{}{}
	<-o.back
	return nil
}

// catchUp writes what arrived by the given time. If only while live, it
// gives up when it finds that the cursor reads history.
func (o *outlet) catchUp(ctx context.Context, by time.Time, liveOnly bool) error {
	if err := o.settle(ctx, by); err != nil {
		return err
	}
	for {
		done, err := o.step(ctx, by)
		if done || err != nil || liveOnly && o.behind {
			return err
		}
	}
}

// settle waits until the journal has published what arrived by the given
// time, or has taken too long.
func (o *outlet) settle(ctx context.Context, by time.Time) error {
	settled := o.conn.srv.records.Settled(by)
	select {
	case <-settled:
		return nil
	default:
	}
	patience := time.NewTimer(replyPatience)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
		o.conn.srv.log.Warn("a reply did not wait for the events before it: commits take too long; see whether the disk is full or slow",
			"conn", o.conn.id, "waited", replyPatience)
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// outlives reports whether the connection stays when the source is lost.
func (o *outlet) outlives() bool { return o.ours || o.conn.srv.keepOnLoss }

// bind ties the connection to the present life of the source, if there is
// one and it is tied to none.
func (o *outlet) bind() {
	if o.life != nil {
		return
	}
	life := o.conn.srv.backend.Lost()
	select {
	case <-life:
	default:
		o.life = life
	}
}

// takeLeave writes what had arrived, lets serve finish the reply it is
// writing, and returns for good.
func (o *outlet) takeLeave(ctx context.Context) error {
	o.w.patience = drainTime
	if o.cursor != nil && o.past == nil {
		if err := o.catchUp(ctx, o.conn.srv.now(), false); err != nil {
			return err
		}
	}
	wait := time.NewTimer(farewell)
	defer wait.Stop()
	for {
		select {
		case o.conn.working <- struct{}{}:
			return nil
		case <-o.ask:
			o.granted <- struct{}{}
			<-o.back
		case <-wait.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
