package controlport

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"torjournal/tor/event"
)

// life is one attachment to a tor.
type life struct {
	*Source

	// Set before started.
	address Address
	conn    *Conn
	policy  Policy
	source  event.Source
	names   event.Set // what tor lists as events/names
	ctx     context.Context
	sums    bool // of BW the sum over each day is recorded

	started atomic.Bool   // the fields above are set, events may come
	settled chan struct{} // closed when it is attached, or will not be
	lost    chan struct{} // closed when all of it is over and told

	unlisted event.Set // belongs to the holder of Source.subscribing: what tor has taken though it does not list it

	subscribed event.Set      // guarded by Source.mu: what the last SETEVENTS that tor accepted said
	helpers    sync.WaitGroup // goroutines that wait for replies; added to by the reader, or under Source.mu while it is attached
}

// live attaches, and records until the connection ends.
func (s *Source) live(ctx context.Context) (lasted time.Duration, err error) {
	l, err := s.attach(ctx)
	if err != nil {
		return 0, s.noteFailure(ctx, err)
	}
	begun := s.opt.now()
	l.snapshot(ctx, snapshotKeys)
	l.again(ctx)
	s.end(ctx, l)
	return s.opt.now().Sub(begun), nil
}

// end takes leave of a life whose connection is ending. Who waits for Lost
// may rely on it: SOURCE_LOST is with the sink.
func (s *Source) end(ctx context.Context, l *life) {
	s.lostAt = s.opt.now()
	s.mu.Lock()
	s.status.Attached, s.status.Since, s.status.Subscribed = false, s.lostAt, event.Set{}
	s.status.LastError = "lost tor at " + l.address.String()
	s.mu.Unlock()
	_ = l.conn.Close() // waits for the last events
	l.helpers.Wait()
	why := l.conn.Err()
	if ctx.Err() == nil {
		ev := event.NewJournal(event.WhatSourceLost, append([]string{"REASON", lossReason(why)}, l.uptime()...)...)
		if err := s.opt.Sink.Append(ctx, ev); err != nil {
			s.log.Error("the loss of tor could not be journaled", "address", l.address, "error", err)
		}
		s.log.Warn("tor is lost; looking for it again", "address", l.address, "error", why)
	}
	s.mu.Lock()
	s.status.LastError += ": " + why.Error()
	s.mu.Unlock()
	s.forget(l)
}

// forget ends the time in which l is the present life.
func (s *Source) forget(l *life) {
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	close(l.lost)
}

// uptime is how long tor had run, in seconds, as key and value; nothing if it
// is not known.
func (l *life) uptime() []string {
	if l.source.Started.IsZero() {
		return nil
	}
	age := l.opt.now().Sub(l.source.Started)
	return []string{"UPTIME", strconv.FormatInt(int64(age/time.Second), 10)}
}

// lossReason says in one word why a connection ended.
func lossReason(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "CLOSED"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "RESET"
	case errors.Is(err, ErrMalformed):
		return "MALFORMED"
	case errors.Is(err, errRoleChanged):
		return "ROLE"
	}
	return "ERROR"
}

// maxFailure bounds what is remembered of a failure, in bytes: the other side's
// words are in it, and controllers and status are told.
const maxFailure = 1 << 10

// noteFailure remembers why there is no tor, and logs it once. It returns the
// error, marked if there shall be no other attempt.
func (s *Source) noteFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if len(text) > maxFailure {
		text = text[:maxFailure] + "…"
	}
	s.mu.Lock()
	s.status.LastError = text
	if s.status.Since.IsZero() {
		s.status.Since = s.opt.now()
	}
	s.mu.Unlock()
	if text != s.lastWarn {
		s.lastWarn = text
		s.log.Warn("no tor could be attached; trying again", "error", text)
	}
	if s.opt.FailFast && !s.attached && errors.Is(err, ErrCredentials) {
		return &inVain{err}
	}
	return err
}

// take is the event function of the life's connection.
func (l *life) take(wires [][]byte) {
	if !l.started.Load() {
		return // nobody asked for events yet
	}
	evs := make([]event.Event, 0, len(wires)+1)
	for _, wire := range wires {
		evs = l.keep(evs, wire)
	}
	l.append(evs...)
	l.told.Add(1)
}

// keep appends to evs what is kept of one event.
func (l *life) keep(evs []event.Event, wire []byte) []event.Event {
	switch t := event.TypeOf(wire); {
	case t == event.NEWCONSENSUS && l.policy.Summarized().Has(t) && !l.wanted.Load().Has(t):
		l.summarize(wire)
		return evs
	case t == event.CONF_CHANGED:
		l.checkRole()
	case t == event.BW && l.sums:
		if sum := l.daily.add(l.opt.now(), wire); sum != nil {
			evs = append(evs, sum)
		}
	}
	if ev := l.policy.Keep(wire); ev != nil {
		evs = append(evs, ev)
	}
	return evs
}

// append hands events to the sink, from the reader. A sink that takes no more
// ends the life: what it does not take would be lost without a word.
func (l *life) append(evs ...event.Event) {
	if len(evs) == 0 {
		return
	}
	if err := l.opt.Sink.Append(l.ctx, evs...); err != nil {
		l.conn.fail(err)
	}
}
