package controlport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"torjournal/tor/event"
)

// attachTimeout bounds each step of attaching: to open and authenticate a
// connection and ask who is there, or to subscribe. A tor at work answers in
// milliseconds; one that starts, or writes a core, may take seconds.
const attachTimeout = 30 * time.Second

// attach finds a tor and begins a life of it: on return the sink knows of it
// and tor sends events.
func (s *Source) attach(ctx context.Context) (*life, error) {
	var failed []error
	for _, a := range s.opt.Addresses {
		l, err := s.reach(ctx, a)
		if err == nil {
			err = s.begin(ctx, l)
		}
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// reach connects to a and learns whose life it is. On error nothing is left.
func (s *Source) reach(ctx context.Context, a Address) (*life, error) {
	ctx, cancel := withTimeout(ctx, attachTimeout)
	defer cancel()
	l := &life{Source: s, address: a, settled: make(chan struct{}), lost: make(chan struct{})}
	var err error
	if l.conn, err = s.opt.dial(ctx, a, l.take); err != nil {
		return nil, err
	}
	err = l.conn.Authenticate(ctx, s.opt.Credentials)
	if err == nil {
		err = l.learn(ctx)
	}
	if err != nil {
		_ = l.conn.Close()
		return nil, fmt.Errorf("attach to %v: %w", a, err)
	}
	return l, nil
}

// learn asks tor who it is, what it offers and how it is configured.
func (l *life) learn(ctx context.Context) error {
	rep, err := l.conn.must(ctx, "GETINFO events/names")
	if err != nil {
		if refused := (*Refusal)(nil); errors.As(err, &refused) && bytes.HasPrefix(refused.Reply(), []byte(noTor)) {
			return errTorjournal
		}
		return fmt.Errorf("ask what events there are: %w", err)
	}
	for _, name := range strings.Fields(first(rep.Values(), "events/names")) {
		l.names = l.names.Union(event.NewSet(event.ParseType(name)))
	}
	if l.names.Has(event.JOURNAL) {
		return errTorjournal
	}
	l.names = l.names.Minus(event.NewSet(event.AUTHDIR_NEWDESCS))
	if l.policy, err = l.choosePolicy(ctx); err != nil {
		return err
	}
	return l.identify(ctx)
}

// errTorjournal: recording what a torjournal serves would record it twice, and
// without end where it is this one.
var errTorjournal = errors.New("who listens there is a torjournal, not a tor: give the address of tor's own control port")

// noTor begins what a torjournal without a tor answers to what it would ask that.
// Why it has none follows: if it attaches to itself, the answer to the attempt
// before, and so each would be longer than the last.
const noTor = "551 There is no tor to answer this: "

// identify fills in the life's source.
func (l *life) identify(ctx context.Context) error {
	rep, err := l.conn.getInfo(ctx, []string{"version", "process/pid", "uptime"}, nil)
	if err != nil {
		return fmt.Errorf("ask who it is: %w", err)
	}
	now, values := l.opt.now(), rep.Values()
	rep, err = l.conn.Do(ctx, "GETINFO fingerprint") // 551 unless it is a relay
	if err != nil {
		return fmt.Errorf("ask for its fingerprint: %w", err)
	}
	l.source = event.Source{Name: l.opt.Name, Role: l.policy.Role(), Fingerprint: first(rep.Values(), "fingerprint")}
	if l.source.Name == "" {
		l.source.Name = l.address.String()
	}
	l.source.Version, _, _ = strings.Cut(first(values, "version"), " ")
	l.source.PID, _ = strconv.Atoi(first(values, "process/pid")) // 0: not known
	if up, err := strconv.ParseUint(first(values, "uptime"), 10, 32); err == nil {
		l.source.Started = now.Add(-time.Duration(up) * time.Second).UTC()
	}
	if l.opt.Describe != nil {
		l.source = l.opt.Describe(l.source)
	}
	return nil
}

// begin makes the life known to the sink and subscribes. It is the present one
// before the sink knows: who reads that tor is back may ask it something at
// once, and Open has that wait. On error nothing is left, and the sink knows
// that too.
func (s *Source) begin(ctx context.Context, l *life) error {
	defer close(l.settled)
	session, continued, err := s.opt.Sink.BeginSession(ctx, l.source)
	if err == nil {
		s.mu.Lock()
		s.life = l
		s.mu.Unlock()
		if err = s.opt.Sink.Append(ctx, s.greeting(l, session, continued)); err != nil {
			s.forget(l)
		}
	}
	if err != nil {
		_ = l.conn.Close()
		return fmt.Errorf("attach to %v: journal the attachment: %w", l.address, err)
	}
	s.attached = true
	l.ctx = ctx
	l.prepareDay()
	l.started.Store(true)
	if err := s.subscribeFirst(ctx, l); err != nil {
		l.conn.fail(err)
		s.end(ctx, l)
		return fmt.Errorf("attach to %v: %w", l.address, err)
	}
	return nil
}

// greeting is the event that says that tor is there, or there again.
func (s *Source) greeting(l *life, session uint64, continued bool) event.Event {
	kv := []string{
		"SESSION", strconv.FormatUint(session, 10), "CONTINUED", flag(continued),
		"ROLE", l.source.Role, "VERSION", l.source.Version,
	}
	if l.source.Scrub != "" {
		kv = append(kv, "SCRUB", l.source.Scrub)
	}
	if !s.attached {
		return event.NewJournal(event.WhatStart, append(kv, "PID", strconv.Itoa(os.Getpid()))...)
	}
	down := s.opt.now().Sub(s.lostAt).Milliseconds()
	return event.NewJournal(event.WhatSourceRestored, append(kv, "DOWN_MS", strconv.FormatInt(down, 10))...)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
