package journal

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"torjournal/tor/event"
)

const (
	// queueBytes bounds what waits for the writer: wire bytes and itemCost
	// for each event. = 8 MiB, and one event of any size if it is alone.
	queueBytes = 8 << 20

	// itemCost is what an event costs in the queue beside its wire form.
	itemCost = 80

	// turnEvents bounds the events of one turn of the writer, whatever their
	// size. = 8192 × (an item of 72 bytes, a record of 80, a byte) = 1.2 MiB
	// of bookkeeping.
	turnEvents = 8192

	// overloadAfter is how long an event waits at a full queue before events
	// are dropped: until then the source stops reading, and tor buffers.
	overloadAfter = 30 * time.Second
)

// item is one event, or one op, that waits for the writer.
type item struct {
	wire []byte
	typ  event.Type
	us   int64         // arrival, wall clock, µs since 1970 UTC
	mono time.Duration // arrival since the queue was made, monotonic
	bit  uint8         // of typ in event masks
	live bool          // to be delivered but not written
	past bool          // us is what another log says, and no reading of the clock
	op   *op           // to be done alone: instead of an event, or it hears what became of the event
}

func (it *item) cost() int {
	if it.op != nil {
		return 0
	}
	return len(it.wire) + itemCost
}

// sheddable says what is dropped first under overload.
func (it *item) sheddable() bool {
	return it.op == nil && (it.live || it.typ == event.INFO || it.typ == event.DEBUG)
}

// op is something that the writer does between events.
type op struct {
	source *event.Source       // begin a session; nil: none
	begun  time.Time           // of that session, where another log says it; zero: now
	run    func(*writer) error // do this in the writer's goroutine; nil: nothing
	done   chan struct{}       // closed when everything before it is published

	// owned by the writer until done is closed
	session   uint64
	continued bool
	err       error
}

// queue is what stands in front of the writer. Appenders enter in the order of
// their arrival; when it is full they wait in that order, which is what makes
// Settled a comparison with the oldest.
type queue struct {
	// immutable
	limit  int // bytes
	now    func() time.Time
	start  time.Time
	clocks func() (wall time.Time, mono time.Duration) // one look at both; nil: by now
	wake   chan struct{}                               // capacity 1; sent to when the writer has something to do

	mu       sync.Mutex
	items    itemList // guarded by mu; they wait for the writer
	bytes    int      // guarded by mu; cost of items
	ops      int      // guarded by mu; how many of items are ops
	waiting  []*waiter
	taken    time.Duration // guarded by mu; arrival of the oldest event that the writer holds
	holding  bool          // guarded by mu; whether the writer holds any
	overload bool          // guarded by mu; an appender has waited overloadAfter and the writer took nothing since
	dropped  tally
	total    uint64 // guarded by mu; dropped since the beginning
	settle   []settling
	closed   bool // guarded by mu
}

// waiter is an appender that waits for room; owned by it.
type waiter struct {
	mono time.Duration // arrival of what it appends
	turn chan struct{} // capacity 1; sent to when it should look again
}

// settling is a caller of settled.
type settling struct {
	mono time.Duration
	done chan struct{} // closed when nothing that arrived by mono is left
}

func newQueue(limit int, now func() time.Time) *queue {
	return &queue{limit: limit, now: now, start: now(), wake: make(chan struct{}, 1)}
}

// clock returns the time of now: wall clock, in µs since 1970, and monotonic
// since the queue was made.
func (q *queue) clock() (us int64, mono time.Duration) {
	if q.clocks != nil {
		wall, mono := q.clocks()
		return wall.UnixMicro(), mono
	}
	now := q.now()
	return now.UnixMicro(), now.Sub(q.start)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// idle reports whether nothing waits for the writer.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items.len() == 0 && len(q.waiting) == 0 && q.dropped == nil
}

// put enters items in order and stamps them all, but those of the past, with
// the time of the call. It waits while the queue is full. After an error a
// first part of the items may have been entered.
func (q *queue) put(ctx context.Context, items []item) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	us, mono := q.clock()
	for i := range items {
		if items[i].mono = mono; !items[i].past {
			items[i].us = us
		}
	}
	if len(q.waiting) == 0 {
		items = q.enterLocked(items)
	}
	if len(items) == 0 {
		q.mu.Unlock()
		signal(q.wake)
		return nil
	}
	w := &waiter{mono: mono, turn: make(chan struct{}, 1)}
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()
	signal(q.wake)
	return q.wait(ctx, w, items)
}

// offer is put of one item for who cannot wait. If there is no room it is
// dropped, and counted with what an overload drops.
func (q *queue) offer(it *item) error {
	q.mu.Lock()
	defer signal(q.wake)
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	it.us, it.mono = q.clock()
	if len(q.waiting) > 0 || len(q.enterLocked([]item{*it})) > 0 {
		q.dropLocked(it)
	}
	return nil
}

// wait enters items as there is room, in the order of waiters.
func (q *queue) wait(ctx context.Context, w *waiter, items []item) error {
	timer := time.NewTimer(overloadAfter)
	defer timer.Stop()
	for {
		var err error
		expired := false
		select {
		case <-w.turn:
		case <-timer.C:
			expired = true
			timer.Reset(overloadAfter) // the writer may go on before it is this one's turn
		case <-ctx.Done():
			err = ctx.Err()
		}
		q.mu.Lock()
		if expired {
			q.overloadLocked()
		}
		if q.closed {
			err = ErrClosed
		}
		if err == nil && q.waiting[0] == w {
			items = q.enterLocked(items)
		}
		if err == nil && len(items) > 0 {
			q.mu.Unlock()
			signal(q.wake)
			continue
		}
		q.waiting = slices.DeleteFunc(q.waiting, func(o *waiter) bool { return o == w })
		if len(q.waiting) > 0 {
			signal(q.waiting[0].turn)
		}
		q.settleLocked()
		q.mu.Unlock()
		signal(q.wake)
		return err
	}
}

// enterLocked enters as many items as there is room for, or under overload
// drops those for which there is none and those that are worth least, and
// returns the others.
func (q *queue) enterLocked(items []item) []item {
	for i := range items {
		cost := items[i].cost()
		switch {
		case q.overload && items[i].sheddable():
			q.dropLocked(&items[i]) // the room is for what is worth more
		case q.bytes == 0, q.bytes+cost <= q.limit, cost == 0:
			q.bytes += cost
			if items[i].op != nil {
				q.ops++
			}
			q.items.push(&items[i])
		case q.overload:
			q.dropLocked(&items[i])
		default:
			return items[i:]
		}
	}
	return nil
}

func (q *queue) dropLocked(it *item) {
	q.dropped.add(it.typ, 1)
	q.total++
}

// overloadLocked makes room by dropping what is worth least. Until the writer
// takes something, what finds no room is dropped instead of waiting.
func (q *queue) overloadLocked() {
	q.overload = true
	q.items.keep(func(it *item) bool {
		if it.sheddable() {
			q.bytes -= it.cost()
			q.dropLocked(it)
			return false
		}
		return true
	})
	if len(q.waiting) > 0 {
		signal(q.waiting[0].turn)
	}
}

// take moves up to max bytes of events into dst, at least one if any waits;
// an op is taken alone. dropped is what was dropped since the last call, nil
// for nothing. What is taken counts as unsettled until release.
func (q *queue) take(dst []item, max int) (items []item, dropped tally, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, size := dst[:0], 0
	for q.items.len() > 0 {
		it := q.items.front()
		if len(items) > 0 && (it.op != nil || size+len(it.wire) > max || len(items) == turnEvents) {
			break
		}
		size += len(it.wire)
		q.bytes -= it.cost()
		items = append(items, *it)
		q.items.pop()
		if op := items[len(items)-1].op; op != nil {
			q.ops--
			break
		}
	}
	if len(items) > 0 {
		q.taken, q.holding, q.overload = items[0].mono, true, false
	}
	if len(q.waiting) > 0 {
		signal(q.waiting[0].turn)
	}
	dropped, q.dropped = q.dropped, nil
	return items, dropped, q.closed && len(q.waiting) == 0
}

// release says that what take returned is published.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holding = false
	q.settleLocked()
}

// hurry reports whether a commit should not wait for more events, and since
// when the oldest waits; ok is false if none does.
func (q *queue) hurry(max int) (since time.Duration, now, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.items.len() == 0 {
		return 0, q.closed || q.dropped != nil, false
	}
	return q.items.front().mono, q.closed || q.ops > 0 || q.bytes >= max || len(q.waiting) > 0, true
}

// oldestLocked returns the arrival of the oldest event that is not published.
func (q *queue) oldestLocked() (time.Duration, bool) {
	switch {
	case q.holding:
		return q.taken, true
	case q.items.len() > 0:
		return q.items.front().mono, true
	case len(q.waiting) > 0:
		return q.waiting[0].mono, true
	}
	return 0, false
}

func (q *queue) settleLocked() {
	oldest, any := q.oldestLocked()
	q.settle = slices.DeleteFunc(q.settle, func(s settling) bool {
		if any && oldest <= s.mono {
			return false
		}
		close(s.done)
		return true
	})
}

// settled returns a channel that is closed once every event that had arrived
// by t is published.
func (q *queue) settled(t time.Time) <-chan struct{} {
	s := settling{mono: t.Sub(q.start), done: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	if oldest, any := q.oldestLocked(); !any || oldest > s.mono {
		close(s.done)
		return s.done
	}
	q.settle = append(q.settle, s)
	return s.done
}

// close lets nobody enter any more; what waits inside is still taken.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	for _, w := range q.waiting {
		signal(w.turn)
	}
	q.mu.Unlock()
	signal(q.wake)
}

func (q *queue) waitingBytes() (n int, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.total
}

// tooLarge counts an event that does not fit the journal as dropped, beside
// those that take has told of.
func (q *queue) tooLarge(t event.Type, dropped tally) tally {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total++
	dropped.add(t, 1)
	return dropped
}

// dropNotice is the event that says what an overload cost.
func dropNotice(dropped tally) event.Event {
	return event.NewJournal(event.WhatDropped, "TYPES", dropped.types(), "COUNT", strconv.FormatUint(dropped.total(), 10))
}
