package control

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"torjournal/tor/event"
)

// Limits of JOURNAL MARK.
const (
	// maxMark bounds a mark's text, in bytes: a sentence with a name and some
	// figures, not a file.
	maxMark = 1 << 10

	// marksAtOnce and markEvery bound the marks of all connections together:
	// so many at once, then one in each interval. Every mark is a commit of
	// its own (12 to 16 KiB written) and takes the place of older records:
	// 86,400 × 1 KiB = 84 MiB a day at most, where a tool that marks each step
	// of an experiment needs a few a minute.
	marksAtOnce = 60
	markEvery   = time.Second

	// markPatience is how long a mark may wait for its commit. A controller
	// that waits longer than this had better be told.
	markPatience = replyPatience
)

// journal answers JOURNAL, of which there is JOURNAL MARK "text": it writes a
// tool's own mark into the history. 250 says that it is there.
func (c *conn) journal(cmd command) error {
	what, args, _ := strings.Cut(cmd.args, " ")
	if !strings.EqualFold(what, "MARK") {
		return c.say(`512 There is only JOURNAL MARK "text"`)
	}
	ws, err := words(args)
	switch {
	case err != nil, len(ws) != 1, len(ws) == 1 && !ws[0].quoted:
		return c.say(`512 JOURNAL MARK takes one text in double quotes; inside it \" stands for a quote and \\ for a backslash`)
	case ws[0].text == "":
		return c.say("512 JOURNAL MARK needs a text that is not empty")
	case len(ws[0].text) > maxMark:
		return c.say("512 The text of JOURNAL MARK has %d bytes, and may have %d", len(ws[0].text), maxMark)
	case !utf8.ValidString(ws[0].text):
		return c.say("512 The text of JOURNAL MARK is no UTF-8")
	}
	if wait := c.srv.marks.take(markEvery); wait > 0 {
		return c.say("451 Too many marks: %d at once, then one every %v; the next in %d ms", marksAtOnce, markEvery, (wait+time.Millisecond-1)/time.Millisecond)
	}
	kv := append(append([]string{"CONN", c.audit.id()}, c.audit.who()...), "TEXT", ws[0].text)
	ctx, cancel := context.WithTimeoutCause(c.ctx, markPatience, errSlowMark)
	defer cancel()
	if err := c.srv.writes.Record(ctx, event.NewJournal(event.WhatMark, kv...)); err != nil {
		if context.Cause(ctx) == errSlowMark {
			err = errSlowMark
		}
		return c.say("451 The mark is not in the journal: %v", err)
	}
	return c.answer([]byte("250 OK\r\n"), (*outlet).useOurs)
}

var errSlowMark = errors.New("its commit takes too long, and it may come yet: see whether the disk is full or slow")
