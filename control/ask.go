package control

import (
	"context"
	"slices"
	"time"
)

// stateKeys are the keys of GETINFO whose answers are what events tell of. A
// controller compares both: a circuit that a reply calls gone must not be
// built by an event after it. So the connection that brings the events asks,
// where the order of both is known (Asker); a reply on another one has its
// place by the clock, which is no better than a millisecond (invariant T3).
var stateKeys = []string{"circuit-status", "stream-status", "orconn-status", "entry-guards"}

// asksState reports whether arguments of GETINFO are such keys.
func asksState(args string) bool {
	n := 0
	for k := range fields(args) {
		if !slices.Contains(stateKeys, k) {
			return false
		}
		n++
	}
	return 0 < n && n <= len(stateKeys)
}

// askState answers a GETINFO of such keys. Who subscribed to nothing has no
// order to keep; his reply comes as all others do, and so does one that cannot
// be had in order.
func (c *conn) askState(cmd command) error {
	if c.srv.asker == nil || c.types.Empty() {
		return c.forward(cmd)
	}
	ctx, cancel := context.WithTimeout(c.ctx, replyPatience)
	defer cancel()
	text, err := c.srv.asker.Ask(ctx, "GETINFO "+cmd.args, c.out.stopHere)
	defer c.out.goOn()
	if err != nil {
		c.out.goOn()
		return c.forward(cmd)
	}
	defer c.srv.answers.Add(-int64(len(text)))
	if c.srv.answers.Add(int64(len(text))) > maxAnswers {
		c.out.goOn()
		return c.forward(cmd)
	}
	return c.answer(text, (*outlet).bind)
}

// stopHere makes events that arrive from now on wait for the reply that has
// just arrived. It is called before the next one can arrive.
func (o *outlet) stopHere() {
	now := o.conn.srv.now()
	o.fence.Store(&now)
	// Events bear microseconds: the next one shall bear another.
	for began := time.Now(); time.Since(began) < time.Microsecond; {
	}
}

// goOn ends what stopHere began, if the reply has not.
func (o *outlet) goOn() {
	if o.fence.Swap(nil) != nil {
		o.wake()
	}
}
