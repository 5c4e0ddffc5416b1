package control

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// A GETINFO may name our keys, tor's keys, and tor's keys whose answers we
// amend. With tor's alone it goes through untouched. Otherwise tor is asked
// for its own in one command, and its answers are joined with ours in the
// order asked while they stream by (join.go).

// Our keys begin with one of these; nothing of tor's does.
const (
	ownKeys    = "journal/"
	momentKeys = "history/"
)

func isOwn(key string) bool {
	return strings.HasPrefix(key, ownKeys) || strings.HasPrefix(key, momentKeys)
}

// getInfo answers GETINFO (control-spec, section 3.9).
func (c *conn) getInfo(cmd command) error {
	own, amended, all := 0, 0, 0
	what := ""
	for k := range fields(cmd.args) {
		all++
		switch {
		case isOwn(k):
			own++
			what, _, _ = strings.Cut(k, "/")
		case c.amends(k):
			amended++
		}
	}
	switch {
	case asksState(cmd.args):
		return c.askState(cmd)
	case own+amended == 0:
		return c.forward(cmd)
	case all > maxKeys:
		return c.say("551 A GETINFO with keys of torjournal may have at most %d keys; ask in several commands", maxKeys)
	case own > 0 && !c.history.Load():
		return c.say("551 GETINFO %s/… %s", what, noHistory)
	}
	parts, err := c.ownAnswers(slices.Collect(fields(cmd.args)))
	var wrong *badHistory
	switch {
	case errors.As(err, &wrong):
		return c.say("512 %v", wrong.error)
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case err != nil:
		return c.say("551 %v", err)
	}
	held := int64(0)
	for i := range parts {
		held += int64(len(parts[i].answer))
	}
	defer c.srv.answers.Add(-held)
	if c.srv.answers.Add(held) > maxAnswers {
		return c.say("551 GETINFO: the answer has %d bytes, and others have not read theirs yet: ask for less at once, or try again", held)
	}
	if own > 0 {
		return c.joinReplies(parts, (*outlet).useOurs)
	}
	return c.joinReplies(parts, nil)
}

// useOurs is noted of who uses a command of ours.
func (o *outlet) useOurs() {
	o.ours = true
	o.reselect()
}

// part is one key of a GETINFO and what is to be said of it.
type part struct {
	key    string
	tor    bool   // tor answers it
	answer []byte // ours, whole lines; nil: we know no such key
	amend  string // what is added to tor's answer: words to a line, or whole lines to a data block
}

// ownAnswers makes the parts of a GETINFO, those that are ours answered.
func (c *conn) ownAnswers(keys []string) ([]part, error) {
	parts := make([]part, len(keys))
	for i, k := range keys {
		parts[i] = part{key: k}
		if !isOwn(k) {
			parts[i].tor = true
			parts[i].amend = c.amendment(k)
			continue
		}
		if strings.HasPrefix(k, momentKeys) {
			continue // all of them together, below
		}
		value, err := c.srv.journalInfo(c.ctx, strings.TrimPrefix(k, ownKeys))
		switch {
		case errors.Is(err, errNoKey):
		case err != nil:
			return nil, err
		default:
			parts[i].answer = infoAnswer(k, value)
		}
	}
	return parts, c.moments(parts)
}

// infoAnswer is one key's share of a GETINFO's reply.
func infoAnswer(key, value string) []byte {
	if !strings.Contains(value, "\r\n") {
		return []byte("250-" + key + "=" + value + "\r\n")
	}
	return []byte("250+" + key + "=\r\n" + value + ".\r\n")
}

// joinReplies asks tor for its keys and sends the joined answer. change is
// made to the outlet when the reply's turn has come.
func (c *conn) joinReplies(parts []part, change func(*outlet)) error {
	var theirs []string
	for _, p := range parts {
		if p.tor {
			theirs = append(theirs, p.key)
		}
	}
	r := reply{conn: c}
	j := joiner{out: &changing{&r, change}, parts: parts}
	var err error
	if len(theirs) > 0 {
		if err = c.pass([]byte("GETINFO "+strings.Join(theirs, " ")+"\r\n"), &j, nil); err == nil {
			err = j.close()
		}
		return c.settleReply(&r, err)
	}
	j.alone()
	return c.settleReply(&r, j.err)
}

// changing makes a change to the outlet before the first byte of a reply.
type changing struct {
	*reply
	change func(*outlet)
}

func (w *changing) Write(p []byte) (int, error) {
	if w.change != nil {
		if err := w.begin(w.conn.srv.now()); err != nil {
			return 0, err
		}
		w.change(w.conn.out)
		w.change = nil
	}
	return w.reply.Write(p)
}

// amends reports whether tor's answer for key is not the whole truth here.
func (c *conn) amends(key string) bool { return c.amendment(key) != "" }

// amendment is what we add to tor's answer for key. What needs the history
// privilege is offered only to who has it: a controller that subscribes to
// every name it is told must not be refused.
func (c *conn) amendment(key string) string {
	switch {
	case key == "features/names":
		return " " + featureMeta + " " + featureZstd
	case key == "events/names" && c.history.Load():
		return " JOURNAL"
	case key == "info/names" && c.history.Load():
		return journalKeys()
	}
	return ""
}
