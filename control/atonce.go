package control

// Delivery at once. Whoever publishes events and has time to spare, because no
// others have come meanwhile, writes them to the socket himself: a goroutine
// that had to be woken, and its processor with it, would do so later. This is
// for the plain case, a connection that is live and gets its events as they
// are, and never waits: for all else, and for what the socket does not take,
// there is run.

// atOnce is the most bytes that are written at once: some events, of which any
// socket that has room takes all.
const atOnce = 4 << 10

// told is what the cursor calls.
func (o *outlet) told(spare bool) {
	if !spare || !o.state.CompareAndSwap(resting, working) {
		o.wake()
		return
	}
	if !o.deliverAtOnce() {
		go o.run()
	}
}

// deliverAtOnce does what run does, and reports whether that was all and the
// outlet rests again.
func (o *outlet) deliverAtOnce() bool {
	select {
	case <-o.free:
	default:
		return false
	}
	done := o.isPlain() && o.w.hasRoomNow() && o.pass()
	o.free <- struct{}{}
	return done && o.state.CompareAndSwap(working, resting)
}

// isPlain reports whether events may just be written: nothing has to be done
// before, and none has to wait. The cursor of such a connection is live.
func (o *outlet) isPlain() bool {
	switch {
	case o.cursor == nil, len(o.held) > 0, o.past != nil, o.sieve != nil, o.meta, o.w.buf != nil, o.w.err != nil,
		o.fence.Load() != nil, o.awaited.Load() != 0:
		return false
	}
	return !o.ending()
}

// ending reports whether the connection has to end, or look whether it has to.
func (o *outlet) ending() bool {
	return o.conn.ctx.Err() != nil || o.failed != nil || o.last || o.leaving.Load() || o.overdue.Load() ||
		closed(o.conn.door.closing) || o.life == nil || closed(o.life) || o.upDone != nil && closed(o.upDone)
}

// pass writes the next chunk, if that is all there is and the socket takes all
// of it. Else it holds what is left.
func (o *outlet) pass() bool {
	chunk, err := o.cursor.Next(o.conn.ctx)
	if err != nil {
		return false // it comes again
	}
	o.drawn(&chunk, chunk.Records)
	switch {
	case o.idle:
		return true
	case !o.end, o.behind, len(o.wires) == 0, len(o.wires) > atOnce, o.w.buf != nil, o.hidesSome():
		return false
	}
	n := o.w.writeNow(o.wires)
	if n == 0 {
		return false
	}
	rest := o.wires[n:]
	o.hold(nil, nil)
	if len(rest) > 0 {
		o.w.write(rest) // it is gathered
		return false
	}
	o.letGo()
	return true
}
