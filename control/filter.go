package control

import (
	"cmp"
	"context"
	"errors"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// SETFILTER: of this connection's events only those reach it of which an
// expression is true.
//
// Records are sifted when they are taken from the feed, before the outlet
// holds them. What a filter costs falls on its own connection:
//
//   - The work on one record, what a filter holds and what compiling it takes
//     are bounded by the package filter.
//   - Who sifts needs one of the server's matchers, and there is one less than
//     the machine has processors: filters never have the last one, and what
//     they need for evaluating is not held once for each connection.
//   - A turn at a matcher ends after siftTime or siftRecords. What is left of
//     a chunk goes back to where it came from: who waits holds nothing.

// sieve is the filter of one connection. It belongs to who has the turn.
type sieve struct {
	where  *filter.Where
	kept   []journal.Record // what is left of the last chunk; reused
	seen   time.Time        // of the newest record that was sifted
	back   bool             // the rest of the last chunk went back to the cursor
	failed bool             // an evaluation failed: told once
}

// letGo frees what the last chunk was in.
func (s *sieve) letGo() {
	clear(s.kept)
	s.back = false
	if s.kept = s.kept[:0]; cap(s.kept) > 2*siftRecords {
		s.kept = nil // a span's
	}
}

// setFilter replaces the connection's filter, or removes it.
func (c *conn) setFilter(cmd command) error {
	args, err := words(cmd.args)
	switch {
	case err != nil:
		return c.say(`512 Bad arguments to SETFILTER: the expression has no closing quote; inside it, \" stands for a quote and \\ for a backslash`)
	case len(args) == 0, len(args) == 1 && args[0].text == "":
		return c.useFilter(nil)
	case len(args) > 1 || !args[0].quoted:
		return c.say(`512 Bad arguments to SETFILTER: put the expression into double quotes, for example SETFILTER "Type == 'CIRC' && Reason == 'TIMEOUT'"`)
	}
	w, err := c.srv.compileFilter(c.ctx, args[0].text)
	var wrong *filter.ExprError
	switch {
	case errors.As(err, &wrong):
		return c.say("512 Bad filter: %v", wrong)
	case err != nil:
		return err
	}
	return c.useFilter(w)
}

// useFilter makes w the connection's filter; nil: none.
func (c *conn) useFilter(w *filter.Where) error {
	if !c.srv.chargeFilter(c.filter, w) {
		return c.say("551 The filters of all connections together are too large; try again, or with a shorter one")
	}
	c.mu.Lock()
	c.filter = w
	c.mu.Unlock()
	return c.answer([]byte("250 OK\r\n"), func(o *outlet) { o.filterBy(c.ctx, w) })
}

// chargeFilter accounts for what one filter holds more than another, against
// maxFilters; either may be nil.
func (s *Server) chargeFilter(old, w *filter.Where) bool {
	var due int64
	if old != nil {
		due -= int64(old.Size())
	}
	if w != nil {
		due += int64(w.Size())
	}
	if s.filters.Add(due) > maxFilters && due > 0 {
		s.filters.Add(-due)
		return false
	}
	return true
}

// compileFilter compiles one expression at a time: what that takes is not
// taken once for each connection.
func (s *Server) compileFilter(ctx context.Context, expression string) (*filter.Where, error) {
	select {
	case s.compiling <- struct{}{}:
		defer func() { <-s.compiling }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return filter.CompileWhere(expression, s.now(), time.Local)
}

// idleMatchers returns n of them, made when they are needed.
func idleMatchers(n int) chan *filter.Matcher {
	c := make(chan *filter.Matcher, n)
	for range n {
		c <- nil
	}
	return c
}

// siftedUpTo reports whether nothing is held, though the feed has come to
// records that are newer than by.
func (o *outlet) siftedUpTo(by time.Time) bool {
	return !by.IsZero() && o.sieve != nil && len(o.held) == 0 && o.sieve.seen.After(by)
}

// filterBy makes w the filter from here on, also of what is held already.
func (o *outlet) filterBy(ctx context.Context, w *filter.Where) {
	o.ours, o.sieve = true, nil
	if w != nil {
		o.sieve = &sieve{where: w}
	}
	if o.sieve != nil && len(o.held) > 0 {
		kept, _ := o.sift(ctx, o.held) // fails only if the connection ends
		o.hold(kept, nil)
	}
	o.idle, o.end = false, false
	o.reselect()
}

// reselect tells the feeds which types can pass.
func (o *outlet) reselect() {
	if o.cursor != nil {
		o.cursor.SetTypes(o.selected())
	}
	if o.past != nil && o.past.span != nil {
		o.past.span.types = o.selected()
	}
}

// selected returns the subscribed types of which an event can pass the
// filter; all that are subscribed if there is none, for a feed without types
// would not tell how far it is. JOURNAL is among them if the connection hears
// of what is missing.
func (o *outlet) selected() event.Set {
	types := o.types
	if o.sieve != nil {
		if r, some := o.sieve.where.Narrow(journal.Range{Types: o.types}); some {
			types = r.Types
		}
	}
	if o.ours {
		types = types.Union(event.NewSet(event.JOURNAL))
	}
	return types
}

// lendMatcher takes one of the server's matchers for a turn.
func (o *outlet) lendMatcher(ctx context.Context, use func(*filter.Matcher)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	matchers := o.conn.srv.matchers
	select {
	case m := <-matchers:
		if m == nil { // not made yet
			m = filter.NewMatcher()
		}
		use(m)
		m.Forget()
		matchers <- m
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// draw takes the next chunk from a feed, and what of it shall be written. It
// waits for its turn to sift with empty hands where it would hold what the
// window lets go meanwhile; what comes from the file is the connection's own.
func (o *outlet) draw(ctx context.Context, from feed) (chunk journal.Chunk, kept []journal.Record, err error) {
	if o.sieve == nil {
		chunk, err = from.Next(ctx)
		return chunk, chunk.Records, err
	}
	o.letGo()
	if o.behind || o.past != nil {
		if chunk, err = from.Next(ctx); err != nil || len(chunk.Records) == 0 {
			return chunk, nil, err
		}
		kept, err = o.sift(ctx, chunk.Records)
		chunk.End = chunk.End && !o.sieve.back
		return chunk, kept, err
	}
	lent := o.lendMatcher(ctx, func(m *filter.Matcher) {
		if chunk, err = from.Next(ctx); err == nil {
			if rest := o.turn(ctx, m, chunk.Records); len(rest) > 0 {
				o.putBack(rest[0].Seq)
			}
		}
	})
	chunk.End = chunk.End && !o.sieve.back
	return chunk, o.sieve.kept, cmp.Or(err, lent)
}

// sift returns the records that pass. What it has not come to within its turn
// goes back; but not to a span, which would have to decode its block again.
func (o *outlet) sift(ctx context.Context, recs []journal.Record) ([]journal.Record, error) {
	for len(recs) > 0 {
		err := o.lendMatcher(ctx, func(m *filter.Matcher) { recs = o.turn(ctx, m, recs) })
		if err != nil {
			return nil, err
		}
		if len(recs) > 0 && (o.past == nil || o.past.span == nil) {
			o.putBack(recs[0].Seq)
			break
		}
	}
	return o.sieve.kept, nil
}

// putBack makes the cursor give the records from seq on again.
func (o *outlet) putBack(seq uint64) {
	o.cursor.Seek(seq)
	o.sieve.back = true
}

// turn adds the records that pass to what the sieve keeps. It ends early, at
// a record with a number, when the turn is over, and returns what is left.
func (o *outlet) turn(ctx context.Context, m *filter.Matcher, recs []journal.Record) (rest []journal.Record) {
	s := o.sieve
	began, unseen, kept := time.Now(), 0, len(s.kept)
	for i := range recs {
		r := &recs[i]
		full := len(s.kept)-kept >= siftRecords
		if r.Seq != 0 && i > 0 && (full || unseen >= siftCheck) {
			if unseen = 0; full || time.Since(began) > siftTime || ctx.Err() != nil {
				return recs[i:]
			}
		}
		if o.passes(m, r) {
			s.kept = append(s.kept, *r)
		}
		s.seen = r.Time
		unseen += len(r.Wire)
	}
	return nil
}

// passes reports whether r passes the filter. An event of which that cannot
// be said does not; the log is told once. What tells of missing events does.
func (o *outlet) passes(m *filter.Matcher, r *journal.Record) bool {
	if r.Type == event.JOURNAL && o.ours && (tellsOfMissing(r) || !o.types.Has(r.Type)) {
		return tellsOfMissing(r)
	}
	ok, err := m.Match(o.sieve.where, r)
	if err != nil && !o.sieve.failed {
		o.sieve.failed = true
		o.conn.srv.log.Info("a connection's filter fails on an event, which does not pass; nothing needs to be done here",
			"conn", o.conn.id, "type", r.Type, "err", err)
	}
	return ok
}
