package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// replay is the part of a connection's events that lies in the past. It ends
// with CAUGHT_UP; then the connection is live.
//
// Without an UNTIL the connection's own cursor was moved back, and history
// becomes present without a seam. With one, a span is read beside the cursor,
// because only it can skip to the end of what was asked for; what lies
// between that and the present is said to be a gap.
type replay struct {
	since time.Time // records before it are passed over
	asked time.Time // when it began: live-only events from before are no history
	last  uint64    // newest record when it began, or when the cursor left the file
	span  *span     // with UNTIL; else nil

	speed float64          // times as fast as it happened; 0: as fast as it goes
	now   func() time.Time // of the pace
	begun time.Time        // when the first record went out
	first time.Time        // that record's own time
}

// pause returns how long the first of held has to wait.
func (p *replay) pause(held []journal.Record) time.Duration {
	if p.speed == 0 || len(held) == 0 || !p.wants(&held[0]) {
		return 0
	}
	t := held[0].Time
	if p.begun.IsZero() {
		p.begun, p.first = p.now(), t
	}
	due := float64(t.Sub(p.first)) / p.speed
	if due >= math.MaxInt64/2 {
		due = math.MaxInt64 / 2 // 146 years
	}
	return p.begun.Add(time.Duration(due)).Sub(p.now())
}

// wants reports whether r is part of the replay: its own time is in the range
// (with a span the span has looked), and it was journaled or has just come.
// What somebody else was shown live, and is only by chance still in memory,
// is told to nobody afterwards.
func (p *replay) wants(r *journal.Record) bool {
	if r.Seq == 0 {
		return !r.Time.Before(p.asked)
	}
	return p.span != nil || !r.Time.Before(p.since)
}

// endsBefore reports whether r is the first record of the present.
func (p *replay) endsBefore(r *journal.Record, behind bool) bool {
	return p.span == nil && !behind && r.Seq > p.last
}

// caughtUp ends the replay when nothing of it is left.
func (o *outlet) caughtUp() {
	p := o.past
	switch {
	case p == nil:
	case p.span != nil:
		if o.idle {
			o.endSpan(p.span)
		}
	case o.behind:
		if b, err := o.conn.srv.records.Bounds(o.conn.ctx); err == nil {
			p.last = max(p.last, b.Last)
		}
	case o.cursor.Position() > p.last:
		o.announce()
	}
}

// announce ends the replay: all up to its last number has been written.
func (o *outlet) announce() {
	last := o.past.last
	o.past = nil
	o.replaying.Store(false)
	o.mark("CAUGHT_UP SEQ=%d", last)
}

// endSpan goes from the end of an UNTIL to the present.
func (o *outlet) endSpan(s *span) {
	o.past.last = s.last
	o.announce()
	o.cursor.Seek(0)
	o.idle = false
	if now := o.cursor.Position(); now > s.last+1 {
		o.gap(journal.Gap{From: s.last + 1, To: now - 1})
	}
	o.position.Store(o.cursor.Position())
}

// span reads a bounded part of the journal.
type span struct {
	from  journal.Reader
	until time.Time
	since time.Time
	types event.Set
	next  uint64 // first number not looked at
	last  uint64 // newest number handed out; before that the one in front of the range
}

// Next returns the next records of the span; an empty chunk is its end.
func (s *span) Next(ctx context.Context) (journal.Chunk, error) {
	for {
		r := journal.Range{From: s.next, Since: s.since, Until: s.until, Types: s.types}
		st, err := s.from.Fetch(ctx, s.next, r)
		if errors.Is(err, io.EOF) {
			return journal.Chunk{Behind: true}, nil
		}
		if err != nil {
			return journal.Chunk{}, err
		}
		chunk := journal.Chunk{Behind: true}
		if st.From > s.next {
			chunk.Gap = &journal.Gap{From: s.next, To: st.From - 1}
		}
		recs, err := st.Decode(s.types)
		if err != nil {
			return journal.Chunk{}, err
		}
		kept := recs[:0]
		for i := range recs {
			if r.Match(&recs[i]) {
				kept = append(kept, recs[i])
			}
		}
		chunk.Records, s.next = kept, st.Last+1
		if len(kept) > 0 {
			s.last = kept[len(kept)-1].Seq
		}
		if len(kept) > 0 || chunk.Gap != nil {
			return chunk, nil
		}
	}
}

// replayArgs are the arguments of REPLAY.
type replayArgs struct {
	since, until time.Time // zero: not given
	from         uint64    // 0: not given
	speed        float64   // 0: not given
}

// parseReplay reads SINCE=, UNTIL=, FROM= and SPEED=, each at most once.
func parseReplay(args string, now time.Time) (replayArgs, error) {
	var a replayArgs
	seen := map[string]bool{}
	words, err := keywords(args)
	if err != nil {
		return a, err
	}
	for _, w := range words {
		key, value := w.key, w.value
		if key == "" || seen[key] {
			return a, fmt.Errorf("%q: REPLAY takes SINCE=time UNTIL=time FROM=number SPEED=factor, each once", w.text)
		}
		seen[key] = true
		var err error
		switch key {
		case "SINCE":
			a.since, err = filter.Time(value, now, time.Local)
		case "UNTIL":
			a.until, err = filter.Time(value, now, time.Local)
		case "FROM":
			if a.from, err = strconv.ParseUint(value, 10, 63); err != nil || a.from == 0 {
				err = errors.New("FROM is the number of a record, from 1; GETINFO journal/first journal/last says which there are")
			}
		case "SPEED":
			if a.speed, err = strconv.ParseFloat(value, 64); err != nil || !(a.speed > 0 && a.speed <= maxSpeed) {
				err = fmt.Errorf("SPEED is how many times as fast as it happened, more than 0 and at most %d; leave it out to go as fast as possible", maxSpeed)
			}
		default:
			err = fmt.Errorf("%q: REPLAY takes SINCE=time UNTIL=time FROM=number SPEED=factor", key)
		}
		if err != nil {
			return a, err
		}
	}
	if !a.since.IsZero() && !a.until.IsZero() && !a.since.Before(a.until) {
		return a, errors.New("SINCE must be earlier than UNTIL")
	}
	return a, nil
}

// maxSpeed is the fastest pace. A day passes in 0.1 s: without a pace it goes
// no slower.
const maxSpeed = 1_000_000

// replay moves the connection's events back in time.
func (c *conn) replay(cmd command) error {
	if !c.history.Load() {
		return c.say("551 REPLAY %s", noHistory)
	}
	now := c.srv.now()
	a, err := parseReplay(cmd.args, now)
	if err != nil {
		return c.say("512 Bad arguments to REPLAY: %v", err)
	}
	c.mu.Lock()
	types := c.types
	c.mu.Unlock()
	if types.Empty() {
		return c.say("551 REPLAY sends events of the types that SETEVENTS chose, and it chose none: send SETEVENTS first")
	}
	p, from, err := c.srv.planReplay(c.ctx, a, types, now)
	if err != nil {
		return c.say("551 %v", err)
	}
	text := "250 OK\r\n"
	if a.speed > 0 && a.speed <= 1 && p.span == nil {
		text = "250 OK at this SPEED the replay never catches up with the present\r\n"
	}
	return c.answer([]byte(text), func(o *outlet) { o.rewind(p, from) })
}

// rewind begins a replay; it replaces one that is under way.
func (o *outlet) rewind(p *replay, from uint64) {
	o.hold(nil, nil)
	o.behind, o.idle, o.ours = false, false, true
	o.past = p
	o.replaying.Store(true)
	if p.span == nil {
		o.cursor.Seek(from)
		o.position.Store(from)
	}
	o.reselect()
}

// planReplay finds where a replay begins and how it ends.
func (s *Server) planReplay(ctx context.Context, a replayArgs, types event.Set, now time.Time) (*replay, uint64, error) {
	b, err := s.records.Bounds(ctx)
	if err != nil {
		return nil, 0, err
	}
	p := &replay{since: a.since, asked: now, last: b.Last, speed: a.speed, now: s.now}
	if a.from > b.Last+1 {
		return nil, 0, fmt.Errorf("the newest record has number %d: FROM=%d is not there yet", b.Last, a.from)
	}
	from := max(a.from, 1)
	if a.from == 0 {
		from = max(b.First, 1) // what the ring evicted before was not asked for
	}
	if !a.since.IsZero() {
		if from, err = s.firstSince(ctx, from, a.since, b.Last); err != nil {
			return nil, 0, err
		}
	}
	if a.until.IsZero() || a.until.After(now) {
		return p, from, nil
	}
	p.span = &span{from: s.records, since: a.since, until: a.until, types: types, next: from, last: from - 1}
	return p, from, nil
}

// firstSince returns the number of the first record from the given number on
// that is not older than since, last + 1 if there is none.
func (s *Server) firstSince(ctx context.Context, from uint64, since time.Time, last uint64) (uint64, error) {
	for rec, err := range journal.Records(ctx, s.records, journal.Range{From: from, Since: since}) {
		var gap *journal.Gap
		switch {
		case errors.As(err, &gap):
			return gap.From, nil // the cursor tells of it
		case err != nil:
			return 0, err
		}
		return rec.Seq, nil
	}
	return last + 1, nil
}
