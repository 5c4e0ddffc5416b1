package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// forward passes a command to the source, byte for byte, and its reply back.
func (c *conn) forward(cmd command) error {
	r, d := reply{conn: c}, c.audit.deed(cmd)
	w, note := c.holds.of(cmd, d.of(&r))
	err := c.pass(cmd.raw, w, d.begin)
	if err == nil {
		note(c.up) // status knows it when the controller does
	}
	d.answered(err)
	err = c.settleReply(&r, err)
	d.end()
	return err
}

// errNoSource is why a command that needs the source cannot be answered.
type errNoSource struct{ reason error }

func (e *errNoSource) Error() string { return "control: no source: " + e.reason.Error() }
func (e *errNoSource) Unwrap() error { return e.reason }

// pass sends a command upstream and writes the reply to w. It calls begin, if
// that is not nil, when the command goes: an event that begin records arrives
// after it was sent, so that the reply does not wait for it.
func (c *conn) pass(raw []byte, w io.Writer, begin func()) error {
	if err := c.connect(); err != nil {
		return err
	}
	c.sent, c.slack = c.srv.now(), c.srv.slack
	if !onlyAsks(raw) {
		c.slack = max(c.slack, c.srv.cause)
	}
	c.out.awaited.Store(int64(c.slack))
	defer func() {
		c.out.awaited.Store(0)
		c.sent = time.Time{}
	}()
	if begin != nil {
		begin()
	}
	return c.up.Forward(c.ctx, raw, w)
}

// onlyAsks reports whether no event can come of a command.
func onlyAsks(raw []byte) bool {
	verb, _, _ := bytes.Cut(raw, []byte(" "))
	return bytes.EqualFold(verb, []byte("GETINFO")) || bytes.EqualFold(verb, []byte("GETCONF"))
}

// after returns up to when events must have arrived to go before a reply whose
// first byte came at the given time (invariant T3).
func (c *conn) after(at time.Time) time.Time {
	if stop := c.out.fence.Load(); stop != nil {
		return *stop
	}
	if c.sent.IsZero() {
		return at.Add(-c.srv.slack)
	}
	by := at.Add(-c.slack)
	if by.Before(c.sent) {
		by = c.sent // what had arrived then was sent before tor knew of the command
	}
	return by
}

// connect makes sure that there is an upstream connection to the present life
// of the source. The life is asked for first: if it ends in between, the
// connection counts as part of the one that ended.
func (c *conn) connect() error {
	if c.up != nil && !closed(c.up.Done()) && !closed(c.upLife) {
		return nil
	}
	c.disconnect()
	life := c.srv.backend.Lost()
	up, err := c.srv.backend.Open(c.ctx)
	if err != nil {
		return &errNoSource{err}
	}
	c.up, c.upLife = up, life
	c.upWatch.Go(func() {
		<-up.Done()
		c.holds.drop()
		c.out.wake()
	})
	return nil
}

// disconnect closes the upstream connection if there is one.
func (c *conn) disconnect() {
	if c.up != nil {
		c.up.Close()
		c.upWatch.Wait()
		c.up = nil
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// settleReply ends a reply that the source was to give; err is how that went.
func (c *conn) settleReply(r *reply, err error) error {
	if err == nil {
		return r.end()
	}
	if r.open { // a part of the reply is out and the rest will not come
		r.conn.out.last = true
		return errors.Join(errTorn, r.end(), err)
	}
	return c.unanswered(err)
}

// unanswered deals with a command that got no reply. A connection that has
// the source's fate ends with it; another one is told.
func (c *conn) unanswered(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	var none *errNoSource
	if errors.As(err, &none) {
		return c.noSource(none)
	}
	r := reply{conn: c}
	if err := r.begin(c.srv.now()); err != nil {
		return err
	}
	stays := c.out.outlives()
	if stays {
		c.out.w.write([]byte(oneLine("551 Tor ended before it answered this: " + err.Error() + "; send it again when tor is back")))
	}
	if err := r.end(); err != nil {
		return err
	}
	if !stays {
		<-c.working // the outlet need not wait for this command
		c.out.leaving.Store(true)
		c.out.wake() // it writes what had arrived and ends the connection
		<-c.out.gone
		return errLeft
	}
	return nil
}

// noSource answers a command that needs the source while there is none. A
// connection that has the source's fate ends with it: tor would not even have
// let it in, and bitcoind, say, asks for its onion service again only after it
// has lost its connection.
func (c *conn) noSource(none *errNoSource) error {
	stays := false
	err := c.answer([]byte(oneLine("551 There is no tor to answer this: "+none.reason.Error())), func(o *outlet) {
		stays = o.outlives()
		o.last = !stays
	})
	if err == nil && !stays {
		return errBye
	}
	return err
}

// errLeft ends a connection whose source ended.
var errLeft = errors.New("control: the source ended")
