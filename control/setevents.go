package control

import (
	"errors"
	"strings"
	"time"

	"torjournal/tor/event"
)

// noHistory is what a connection without the history privilege is told.
const noHistory = `needs the history privilege: authenticate with torjournal's own cookie or password, or run torjournal with "history" on this listener`

// setEvents replaces the connection's subscription (control-spec, section
// 3.4). As in tor, one bad name refuses the whole command and leaves the old
// subscription as it is.
func (c *conn) setEvents(cmd command) error {
	asked := c.srv.now()
	types, bad := c.eventTypes(cmd.args)
	switch {
	case bad != "":
		return c.say(`552 Unrecognized event "%s"`, bad)
	case types.Has(event.JOURNAL) && !c.history.Load():
		return c.say("551 SETEVENTS JOURNAL %s", noHistory)
	}
	if err := c.want(types); err != nil {
		return c.refusedEvents(err)
	}
	// What had arrived when the command came is of the old subscription, and
	// none of the new one's.
	if c.types.Empty() && !types.Empty() { // else the reply sees to it
		if err := c.out.settle(c.ctx, asked); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.types = types
	c.mu.Unlock()
	c.sent, c.slack = asked, c.srv.slack
	return c.answer([]byte("250 OK\r\n"), func(o *outlet) {
		c.sent = time.Time{}
		o.ours = o.ours || types.Has(event.JOURNAL)
		o.subscribe(types)
	})
}

// eventTypes reads the names, or returns the first that nobody knows.
func (c *conn) eventTypes(args string) (types event.Set, bad string) {
	offered := c.srv.demand.EventNames()
	for name := range fields(args) {
		t := event.ParseType(name)
		switch {
		case t == "EXTENDED": // once asked for the long form, which is the only one now
		case offered.Has(t) || t.Known(): // of a known one that is not offered the source is the judge
			if !t.Known() { // the subscription keeps the name: it must not keep the command
				t = event.Type(strings.Clone(string(t)))
			}
			types = types.Union(event.NewSet(t))
		default:
			return event.Set{}, name
		}
	}
	return types, ""
}

// unasked are types that may be subscribed to without asking the source:
// JOURNAL is ours, and AUTHDIR_NEWDESCS is accepted by tor, but with a warning
// in its log each time, and never sent.
var unasked = event.NewSet(event.JOURNAL, event.AUTHDIR_NEWDESCS)

// want tells the demand, unless it never heard of this connection and need not.
func (c *conn) want(types event.Set) error {
	types = types.Minus(unasked)
	if types.Empty() && !c.demands {
		return nil
	}
	c.demands = true
	return c.srv.demand.Want(c.ctx, c.id, types)
}

// refusedEvents passes on why a subscription failed.
func (c *conn) refusedEvents(err error) error {
	var refusal interface{ Reply() []byte }
	if errors.As(err, &refusal) {
		if text := refusal.Reply(); len(text) > 0 {
			if !strings.HasSuffix(string(text), "\n") {
				return c.say("%s", text)
			}
			return c.answer(text, nil)
		}
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return c.say("551 The events could not be subscribed to: %v", err)
}
