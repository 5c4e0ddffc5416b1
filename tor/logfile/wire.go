package logfile

import (
	"bytes"
	"time"

	"torjournal/tor/event"
)

// nextWire reads a control connection as it was captured. Replies to commands
// are passed over. The bytes tell no times, but where the controller had asked
// torjournal for JOURNAL_META, a JOURNAL AT before each event does.
func (r *Reader) nextWire() (Entry, error) {
	for {
		line, err := r.line()
		if err != nil {
			return r.end(err)
		}
		if e, done, err := r.wireLine(line, stamp{at: r.at}); done {
			return e, err
		}
	}
}

// wireLine takes a line as the connection carried it. done is true when Next
// has something to return.
func (r *Reader) wireLine(line []byte, at stamp) (e Entry, done bool, err error) {
	switch p := &r.reply; {
	case p.open():
		p.add(line)
	case isStatus(line):
		p.begin(line, r.lines.n, at)
	case blank(line):
		return e, false, nil
	default:
		return e, true, &LineError{Line: r.lines.n, Err: errStray}
	}
	if r.reply.state != whole {
		return e, false, nil
	}
	if !r.reply.async {
		r.reply.state = idle
		r.notes++
		return e, false, nil
	}
	e, err = r.entry()
	if err == nil && r.toConnection(e.Wire) {
		r.notes++
		return e, false, nil
	}
	return e, true, err
}

// toConnection reports whether an event was torjournal's word to this one
// connection, which is in no journal: AT, GAP, CAUGHT_UP.
func (r *Reader) toConnection(wire []byte) bool {
	if !bytes.HasPrefix(wire, []byte("650 JOURNAL ")) {
		return false
	}
	ev, err := event.Parse(wire)
	if err != nil {
		return false
	}
	j, ok := ev.(*event.Journal)
	if !ok {
		return false
	}
	switch j.What {
	case event.WhatAt:
		if v, ok := j.Keywords.Get("TIME"); ok {
			if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
				if t, err = microseconds(t); err == nil {
					r.at = t
				}
			}
		}
		return true
	case event.WhatGap, event.WhatCaughtUp:
		return true
	}
	return false
}
