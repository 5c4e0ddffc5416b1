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
// after the other; outlet.run delivers events while there are some, and ends
// when there are none. What they write must look as if it came from tor, which
// writes both from one thread. Invariants:
//
//	T1  Who has the turn, and nobody else, writes to the socket and touches
//	    the outlet's fields, the cursor included.
//	T2  A reply takes the turn with its first byte and gives it back after its
//	    last: no event splits a reply, and commands that change the outlet
//	    (SETEVENTS, REPLAY) change it between two events.
//	T3  A reply whose first byte came at T goes after every event of this
//	    connection that arrived before its command was sent, or before
//	    T − replySlack, and before all others. If the command may have caused
//	    some, those that arrived after it was sent, but no more than
//	    causeSlack before T, are others too. A reply that came on the
//	    connection that brings the events, and those to all questions and
//	    commands about circuits and streams do, goes exactly between the
//	    events that it came between (ask.go).
//	T4  While a command waits for its reply's first byte, events wait until
//	    they are replySlack old, or causeSlack if it may have caused them:
//	    what it caused shall not be delivered before T is known.
//	T5  T3 and T4 do not hold while the connection reads history: who replays
//	    last week still gets his answers at once.
//	T6  Waiting for the turn holds no lock, and ends when the connection ends.
//	T7  Whatever gives run something to do calls wake: run is at work then, or
//	    works once more, or begins. So a connection that waits for events has
//	    one goroutine, and that one waits for commands.
//	T8  Who publishes may take the turn in run's place, if nobody has it, and
//	    deliver what can be written without waiting (atonce.go).
//
//	serve                                 run
//	  Forward → first byte at T             until there is nothing to do:
//	  take the turn                           take the turn
//	  wait for records.Settled(T − slack)     source lost: write the rest, end
//	  write records up to T − slack           write some records
//	  write the reply, change the cursor      give the turn back
//	  give the turn back, wake                too early for the next ones: pause
//
// T3 is needed because events wait for a commit and replies do not: without
// it a controller that polls circuit-status would be told that a circuit is
// gone and read of its being built afterwards. It needs two clocks that agree,
// the arrival of events and of replies, and both are taken in this process.
//
// The ways that lost: one goroutine that reads commands and events and writes
// everything. It needs a copy of each reply (tor's may have megabytes) or a
// second goroutine for it anyway, and a slow command would stop the events.
// And a second goroutine that stays and selects among all that may happen:
// most connections wait most of the time, and each goroutine that waits costs
// more than what it waits with.
type outlet struct {
	// Immutable.
	conn *conn
	free chan struct{} // capacity 1; holds a token while nobody has the turn
	kick chan struct{} // capacity 1; sent to by wake while run is at work
	gone chan struct{} // closed when run has ended for good

	state   atomic.Int32              // resting, working or called
	leaving atomic.Bool               // set by serve: the source will not answer any more
	overdue atomic.Bool               // the grace of a connection whose upstream ended is over
	fence   atomic.Pointer[time.Time] // events that arrived later wait for a reply; set by who reads from the source, see stopHere
	awaited atomic.Int64              // set by serve: how old events must be while a command's reply has not begun, in ns; 0: none is awaited

	// Owned by who has the turn.
	w      sockWriter
	cursor cursor           // nil while nothing is subscribed
	types  event.Set        // what cursor selects
	held   []journal.Record // rest of the last chunk, not written yet
	wires  []byte           // of all held records one after the other; nil: they do not lie so
	since  time.Time        // when what is held first had to wait for a reply
	end    bool             // nothing follows what is held: the cursor calls
	idle   bool             // the feed had nothing more: it calls
	behind bool             // the last chunk came from the file
	past   *replay          // nil: live
	sieve  *sieve           // nil: no filter
	empty  func()           // letGo
	ours   bool             // it used a command of ours: it hears of gaps, and outlives the source
	meta   bool             // USEFEATURE JOURNAL_META
	last   bool             // the last reply is written
	life   <-chan struct{}  // Backend.Lost() of the life it has seen; nil: none
	upDone <-chan struct{}  // Done of the upstream that serve uses; nil: none
	grace  *time.Timer      // sets overdue; nil: the upstream lives
	failed error            // why serve could not write what came before its reply

	// For status, from any goroutine.
	authenticated, replaying, late atomic.Bool
	position                       atomic.Uint64
}

// States of an outlet.
const (
	resting = iota // nobody is at work
	working        // run is at work
	called         // and looks once more before it rests
)

func newOutlet(c *conn) *outlet {
	o := &outlet{
		conn: c,
		free: make(chan struct{}, 1),
		kick: make(chan struct{}, 1),
		gone: make(chan struct{}),
	}
	o.free <- struct{}{}
	o.w.sock = c.sock
	o.w.room.of(c.sock)
	o.empty = o.letGo
	o.bind()
	return o
}

// take waits for the turn for a reply that goes after the events that arrived
// by the given time. Only serve calls it. It fails when the connection has
// ended.
func (o *outlet) take(by time.Time) error {
	select {
	case <-o.free:
	case <-o.gone:
		return net.ErrClosed
	}
	if o.cursor == nil || o.past != nil || o.behind {
		return nil
	}
	if err := o.catchUp(o.conn.ctx, by, true); err != nil {
		o.failed = err
		o.giveBack()
		return net.ErrClosed
	}
	return nil
}

// giveBack ends what take began.
func (o *outlet) giveBack() {
	o.free <- struct{}{}
	o.wake()
}

// wake makes run look for what there is to do. It never waits.
func (o *outlet) wake() {
	for {
		s := o.state.Load()
		if s == called {
			return
		}
		if !o.state.CompareAndSwap(s, called) {
			continue
		}
		if s == resting {
			go o.run()
			return
		}
		select {
		case o.kick <- struct{}{}:
		default:
		}
		return
	}
}

// nothing is how long run waits for records that have not come.
const nothing = time.Duration(-1)

// run delivers events until there are none. When the connection ends, which it
// sees to itself when the source is lost or nothing can be written any more,
// it keeps the turn and its state for ever.
func (o *outlet) run() {
	for {
		o.state.Store(working) // what calls from here on is looked for again
		wait, over, err := o.look(o.conn.ctx)
		switch {
		case over:
			o.close(err)
			return
		case wait > 0:
			o.pauseFor(wait)
		case wait == nothing && o.state.CompareAndSwap(working, resting):
			return
		}
	}
}

// look takes the turn for one step. It returns how long to wait for the next.
// over says that there is none; then it has kept the turn.
func (o *outlet) look(ctx context.Context) (wait time.Duration, over bool, err error) {
	<-o.free // who has it gives it back, also when the connection ends
	switch {
	case ctx.Err() != nil:
		return 0, true, ctx.Err()
	case o.failed != nil:
		return 0, true, o.failed
	case o.last:
		return 0, true, nil
	case o.mustLeave():
		return 0, true, o.takeLeave(ctx)
	}
	if wait, err = o.advance(ctx); err != nil {
		return 0, true, err
	}
	o.free <- struct{}{}
	return wait, false, nil
}

// pauseFor waits, until something calls.
func (o *outlet) pauseFor(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.kick:
	}
}

// close ends delivery for good.
func (o *outlet) close(err error) {
	if o.cursor != nil {
		o.cursor.Close()
	}
	if o.grace != nil {
		o.grace.Stop()
	}
	o.w.drop()
	_ = o.w.finish() // there is nobody to tell
	if err != nil || !o.last {
		if err == nil {
			o.conn.tellEnd()
		}
		o.conn.end()
	}
	close(o.gone)
}

// advance delivers what is held, or else looks for more. It returns how long
// to wait for the next.
func (o *outlet) advance(ctx context.Context) (wait time.Duration, err error) {
	fresh := len(o.held) == 0
	if fresh {
		if o.cursor == nil {
			return nothing, nil
		}
		if err := o.fetch(ctx); err != nil {
			return 0, err
		}
		if o.idle || len(o.held) == 0 && o.end && o.past == nil {
			return nothing, o.w.flush()
		}
	}
	if wait := o.pause(); wait > 0 {
		return wait, o.w.flush()
	}
	if done, err := o.step(ctx, time.Time{}); err != nil {
		return 0, err
	} else if done && len(o.held) > 0 && o.past == nil {
		return nothing, nil // they wait for a reply, which calls
	}
	if fresh && (o.idle || len(o.held) == 0 && o.end) {
		return nothing, nil
	}
	return 0, nil // what was held before now: the cursor may have called meanwhile, and calls once
}

// pause returns how long the held records have to wait.
func (o *outlet) pause() time.Duration {
	switch {
	case len(o.held) == 0:
		return 0
	case o.past != nil:
		return o.past.pause(o.held)
	case o.behind:
		return 0
	}
	slack := time.Duration(o.awaited.Load())
	if slack == 0 {
		return 0
	}
	// By the clock, but never longer than if they had come just now: the
	// clock may have been put back.
	if o.since.IsZero() {
		o.since = time.Now()
	}
	newest := o.held[len(o.held)-1].Time
	return min(newest.Add(slack).Sub(o.conn.srv.now()), slack-time.Since(o.since))
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
	patience := time.NewTimer(o.conn.srv.waits.reply)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
		o.conn.srv.log.Warn("a reply did not wait for the events before it: commits take too long; see whether the disk is full or slow",
			"conn", o.conn.id, "waited", o.conn.srv.waits.reply)
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// mustLeave reports whether the connection has to end: its listener ends, its
// source is lost, or its upstream has ended and time to hear of a loss has
// passed.
func (o *outlet) mustLeave() bool {
	switch {
	case closed(o.conn.door.closing), o.overdue.Load():
		return true
	case o.life != nil && closed(o.life):
		if o.life = nil; !o.outlives() {
			return true
		}
	}
	ended := o.leaving.Load()
	if o.upDone != nil && closed(o.upDone) {
		o.upDone = nil
		ended = ended || !o.outlives()
	}
	if ended && o.grace == nil {
		o.grace = time.AfterFunc(o.conn.srv.waits.loss, func() {
			o.overdue.Store(true)
			o.wake()
		})
	}
	return false
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
	if !closed(life) {
		o.life = life
		o.conn.door.watch(life)
	}
}

// takeLeave writes what had arrived, lets serve finish the reply it is
// writing, and returns for good, with the turn.
func (o *outlet) takeLeave(ctx context.Context) error {
	o.w.patience = o.conn.srv.waits.drain
	if o.cursor != nil && o.past == nil {
		if err := o.catchUp(ctx, o.conn.srv.now(), false); err != nil {
			return err
		}
	}
	if o.cursor != nil {
		o.cursor.Close()
		o.cursor, o.held = nil, nil
	}
	o.free <- struct{}{}
	wait := time.NewTimer(o.conn.srv.waits.farewell)
	defer wait.Stop()
	select {
	case o.conn.working <- struct{}{}:
	case <-wait.C:
	case <-ctx.Done():
	}
	<-o.free
	return ctx.Err()
}
