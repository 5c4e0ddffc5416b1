package query

import (
	"strings"

	"torjournal/tor/event"
)

// Status words of STREAM events (control-spec 4.1.2) that are a state as they
// stand. Of the others some end a stream, some put it back to where it was new,
// and some change something else of it.
const (
	streamNew         = "NEW"
	streamNewResolve  = "NEWRESOLVE"
	streamSentConnect = "SENTCONNECT"
	streamSentResolve = "SENTRESOLVE"
	streamSucceeded   = "SUCCEEDED"
)

// streamLineup is stream-status. An entry's flag says that the stream resolves
// a name: with the answer it is over, though CLOSED comes a little later, and so
// is any stream with FAILED.
type streamLineup struct{ entries }

func (*streamLineup) types() event.Set    { return event.NewSet(event.STREAM) }
func (l *streamLineup) makers() event.Set { return l.types() }

func (l *streamLineup) stands(line string) {
	if w, _, ok := words(line, 4); ok {
		e, _ := l.entry(w[0])
		l.is(e, w[1], w[2], w[3])
	}
}

func (l *streamLineup) is(e *entry, status, circ, target string) {
	e.flag = e.flag || status == streamNewResolve || status == streamSentResolve
	e.status, e.circ = strings.Clone(status), strings.Clone(circ)
	l.say(e, target)
}

func (l *streamLineup) take(t *tell) {
	w, _, ok := words(t.text, 4)
	if !ok {
		return
	}
	id, status, circ, target := w[0], w[1], w[2], w[3]
	switch status {
	case statusFailed, statusClosed:
		l.drop(id)
		return
	}
	e, made := l.entry(id)
	switch status {
	case streamSucceeded:
		if e.flag {
			l.drop(id)
			return
		}
	case streamNew, streamNewResolve, streamSentConnect, streamSentResolve:
	case "DETACHED": // it waits for another circuit
		status, circ = e.waiting(), "0"
	case "CONTROLLER_WAIT": // it waits for a controller to attach it
		status = e.waiting()
	default: // REMAP changes the target; XON and XOFF nothing
		if status = e.status; made {
			status = streamSucceeded // only who is open is told such things
		}
	}
	l.is(e, status, circ, target)
}

// waiting is the status of a stream that is on no circuit.
func (e *entry) waiting() string {
	if e.flag {
		return streamNewResolve
	}
	return streamNew
}

func (*streamLineup) line(id string, e *entry) string {
	return id + " " + e.status + " " + e.circ + " " + e.text
}
