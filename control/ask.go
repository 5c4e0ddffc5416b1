package control

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
)

// The order of a reply and the events around it is known on one connection to
// the source: the one that brings the events. A reply on another one has its
// place by the clock, which is no better than a millisecond, and guesses what
// the command has caused (invariant T3). So what a controller compares with
// events goes over that connection (Asker), if he hears any: questions about
// what they tell of, for a circuit that a reply calls gone must not be built by
// an event after it, and commands that make or change that, for a reply that
// names a new circuit comes before the events about it. Nothing that the source
// ties to the connection it came by may go there: ADD_ONION, TAKEOWNERSHIP,
// RESOLVE.

// stateKeys are the keys of GETINFO whose answers are what events tell of.
var stateKeys = []string{"circuit-status", "stream-status", "orconn-status", "entry-guards"}

// stateVerbs are the commands that change circuits and streams.
var stateVerbs = []string{"EXTENDCIRCUIT", "SETCIRCUITPURPOSE", "CLOSECIRCUIT", "ATTACHSTREAM", "REDIRECTSTREAM", "CLOSESTREAM"}

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
	text, err := c.srv.asker.Ask(ctx, "GETINFO "+cmd.args, nil, c.out.stopHere)
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

// changeState has such a command done. Once it was sent it is not sent again.
// Long ones, of which the connection to tor would hold a copy, are no such.
func (c *conn) changeState(cmd command) error {
	line, plain := plainLine(cmd.raw)
	if c.srv.asker == nil || c.types.Empty() || !plain || len(line) > smallCommand {
		return c.forward(cmd)
	}
	d, sent := c.audit.deed(cmd), false
	text, err := c.srv.asker.Ask(c.ctx, line, func() { sent = true; d.begin() }, c.out.stopHere)
	defer c.out.goOn()
	switch {
	case !sent:
		return c.forward(cmd)
	case err != nil:
		c.out.goOn()
		return c.unanswered(err)
	}
	_, _ = d.of(io.Discard).Write(text)
	d.answered(nil)
	err = c.answer(text, (*outlet).bind)
	d.end()
	return err
}

// plainLine returns a command without its line end, if it is text that means
// the same to the source behind any other command.
func plainLine(raw []byte) (line string, ok bool) {
	line, ok = strings.CutSuffix(string(raw), "\r\n")
	return line, ok && strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// stopHere makes events that arrive after by wait for the reply that has just
// arrived. It is called before the next one can arrive.
func (o *outlet) stopHere(by time.Time) { o.fence.Store(&by) }

// goOn ends what stopHere began, if the reply has not.
func (o *outlet) goOn() {
	if o.fence.Swap(nil) != nil {
		o.wake()
	}
}
