package controlport

import (
	"context"
	"fmt"

	"torjournal/tor/event"
)

// Want replaces what owner wants to be delivered; the empty set ends its
// demand. It returns when tor sends all of it. If tor refuses, the error is a
// *Refusal with tor's own reply, and the demand is what it was before. While
// there is no tor the demand waits for one, and Want does not.
//
// The end of ctx ends the waiting only. A demand that is taken back is gone
// whatever the error.
func (s *Source) Want(ctx context.Context, owner uint64, types event.Set) error {
	if types.Empty() {
		s.demand(owner, types)
	}
	select {
	case s.subscribing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("controlport: wait to subscribe: %w", context.Cause(ctx))
	}
	before := s.demand(owner, types)
	l, settle := s.beginChange()
	if l == nil {
		<-s.subscribing
		return nil
	}
	result := make(chan error, 1)
	go func() {
		defer settle()
		err := l.resubscribe(s.ask(l, types))
		if err != nil {
			s.restore(owner, types, before)
		}
		<-s.subscribing
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("controlport: wait for tor to subscribe: %w", context.Cause(ctx))
	}
}

// demand replaces what owner wants and returns what it was.
func (s *Source) demand(owner uint64, types event.Set) (before event.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.demands[owner]
	s.demands[owner] = types
	if types.Empty() {
		delete(s.demands, owner)
	}
	wanted := event.Set{}
	for _, d := range s.demands {
		wanted = wanted.Union(d)
	}
	s.wanted.Store(&wanted)
	return before
}

// restore undoes a demand that tor refuses, unless there is a newer one.
func (s *Source) restore(owner uint64, refused, before event.Set) {
	s.mu.Lock()
	latest := s.demands[owner].Equal(refused)
	s.mu.Unlock()
	if latest {
		s.demand(owner, before)
	}
}

// beginChange returns the present life, which does not end before settle is
// called, or nil.
func (s *Source) beginChange() (l *life, settle func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.status.Attached {
		return nil, nil
	}
	s.life.helpers.Add(1)
	return s.life, s.life.helpers.Done
}

// subscription is what tor shall be asked for: what the policy always
// records and what anybody wants, as far as tor offers it.
func (s *Source) subscription(l *life) event.Set {
	wanted := intersect(l.names.Union(l.unlisted), *s.wanted.Load())
	return l.policy.Subscribe(l.names).Union(wanted).Minus(event.NewSet(event.JOURNAL, event.AUTHDIR_NEWDESCS))
}

// ask is the subscription with what else is wanted just now: of types that
// tor does not list, tor is the judge.
func (s *Source) ask(l *life, types event.Set) event.Set {
	all := s.subscription(l)
	if types.All() {
		return all
	}
	return all.Union(types.Minus(event.NewSet(event.JOURNAL)))
}

func intersect(a, b event.Set) event.Set { return a.Minus(a.Minus(b)) }

// subscribeFirst sends a life's first SETEVENTS, with which it is attached.
func (s *Source) subscribeFirst(ctx context.Context, l *life) error {
	select {
	case s.subscribing <- struct{}{}:
		defer func() { <-s.subscribing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := withTimeout(ctx, attachTimeout)
	defer cancel()
	types := s.subscription(l)
	if _, err := l.conn.must(ctx, setEvents(types)); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.subscribed, s.names = types, l.names
	s.status = SourceStatus{
		Attached: true, Address: l.address, Source: l.source, Since: s.opt.now(),
		Subscribed: types, Recorded: l.policy.Recorded(),
	}
	s.lastWarn = ""
	s.log.Info("attached to tor", "address", l.address, "version", l.source.Version,
		"role", l.source.Role, "pid", l.source.PID)
	return nil
}

// resubscribe has tor send types from now on. The holder of the subscribing
// token calls it.
func (l *life) resubscribe(types event.Set) error {
	l.mu.Lock()
	same := types.Equal(l.subscribed)
	l.mu.Unlock()
	if same {
		return nil
	}
	if types.Has(event.AUTHDIR_NEWDESCS) {
		// Tor takes this one, warns in its log each time, and never sends it.
		return unrecognized(event.AUTHDIR_NEWDESCS)
	}
	if _, err := l.conn.must(l.ctx, setEvents(types)); err != nil {
		return fmt.Errorf("controlport: subscribe: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlisted = l.unlisted.Union(types.Minus(l.names))
	l.subscribed = types
	if l.life == l && l.status.Attached {
		l.status.Subscribed = types
	}
	return nil
}

func setEvents(types event.Set) string {
	if types.Empty() {
		return "SETEVENTS"
	}
	return "SETEVENTS " + types.String()
}

// unrecognized is tor's refusal of an event that it does not have.
func unrecognized(t event.Type) error {
	line := fmt.Sprintf("552 Unrecognized event %q\r\n", string(t))
	return &Refusal{Command: "SETEVENTS", reply: Reply{raw: []byte(line)}}
}
