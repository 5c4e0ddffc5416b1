// Package logfile reads what other tools have logged of a tor's control port,
// event by event: when it arrived, and its wire form, whole. And it writes
// such a log ([AppendTorctl]).
//
//	jsonl       one JSON object a line: {"t":"…","raw":"650 …\r\n"}, and what
//	            torjournal replay -o json prints
//	torctl      2026-01-01 00:00:00 1767225600.00 650 …
//	            as OnionPerf and tor-ctl-logger write it
//	oniontrace  … [default] [_oniontracelogger_logControlLine] Logger: 650 …
//	            as oniontrace writes it, every line of an event by itself
//	wire        the bytes of a control connection as they came
//
// It promises that a [Reader] never gives half an event or two for one: what
// event.Parse would refuse is refused here, with the number of its line, and
// reading goes on behind it. Memory is bounded whatever the input holds. It
// opens no files and knows no journal.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"time"

	"torjournal/tor/event"
)

// Format is a form of log.
type Format string

// The formats that a Reader knows.
const (
	JSONLines  Format = "jsonl"
	Torctl     Format = "torctl"
	OnionTrace Format = "oniontrace"
	Wire       Format = "wire"
)

// Formats returns every format, in the order in which help texts name them.
func Formats() []Format { return []Format{JSONLines, Torctl, OnionTrace, Wire} }

// ParseFormat returns the format of that name; the tools that write torctl
// logs may be named instead of it. The error lists the names.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "onionperf", "tor-ctl-logger":
		return Torctl, nil
	}
	for _, f := range Formats() {
		if string(f) == name {
			return f, nil
		}
	}
	return "", fmt.Errorf("logfile: there is no format %q; there are %s", name, formatNames())
}

func formatNames() string {
	s := ""
	for i, f := range Formats() {
		if i > 0 {
			s += ", "
		}
		s += string(f)
	}
	return s
}

// Entry is one event of a log.
type Entry struct {
	Time    time.Time // arrival, UTC, to the microsecond; zero where the log does not tell
	Wire    []byte    // one whole asynchronous reply, every line ended by CRLF; the receiver's own
	Session uint64    // as the log numbers lives of a tor; 0 if it does not
	Line    int       // of the log, where the event begins, from 1
}

// LineError says that a part of the log is no event, and why. Reading may go
// on behind it.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// AtEnd reports whether the log ends within the event: it was cut short, or is
// being written.
func (e *LineError) AtEnd() bool { return e.Err == errCut || e.Err == errNoLineEnd }

// Why a line is no event, beside event.ErrNotEvent.
var (
	errLongLine  = errors.New("the line is too long")
	errLongEvent = errors.New("the event is too long")
	errCut       = errors.New("the log ends within this event")
	errUnended   = errors.New("the event has no end before the next one begins")
	errTorn      = errors.New("the log breaks off within this line, and goes on with the next event")
	errNoLineEnd = errors.New("the last line has no line end, it may be cut short")
	errStray     = errors.New("no event, and no part of one")
)

// Reader reads the events of one log. It is for one goroutine.
type Reader struct {
	lines    *lines
	next     func() (Entry, error)
	reply    reply // the event that has begun and not ended
	at       time.Time
	notes    int
	restored int
}

// NewReader returns a Reader of a log that has been unpacked.
func NewReader(r io.Reader, f Format) (*Reader, error) {
	lr := &Reader{lines: newLines(r, maxLine)}
	switch f {
	case JSONLines:
		lr.lines.max = maxJSONLine
		lr.next = lr.nextJSON
	case Torctl:
		lr.next = lr.nextTorctl
	case OnionTrace:
		lr.next = lr.nextOnionTrace
	case Wire:
		lr.next = lr.nextWire
	default:
		return nil, fmt.Errorf("logfile: there is no format %q", f)
	}
	return lr, nil
}

// Next returns the next event, or io.EOF. A *LineError says that something was
// passed over, and Next may be called again; any other error is the input's.
func (r *Reader) Next() (Entry, error) { return r.next() }

// Line returns the number of the line that was read last, from 1.
func (r *Reader) Line() int { return r.lines.n }

// Notes returns how many lines were passed over that are no events by right:
// remarks of the logger, and replies to a controller's commands.
func (r *Reader) Notes() int { return r.notes }

// Restored returns how many events were given the one line that the log had
// lost of their end.
func (r *Reader) Restored() int { return r.restored }

// entry makes an Entry of the reply that is whole. It checks what the line
// discipline of a format cannot see.
func (r *Reader) entry() (Entry, error) {
	p := &r.reply
	line, at := p.line, p.at
	wire, err := p.take()
	if err == nil {
		_, err = event.Parse(wire)
	}
	if err != nil {
		return Entry{}, &LineError{Line: line, Err: err}
	}
	return Entry{Time: at, Wire: wire, Line: line}, nil
}

// end is what Next returns at the end of the input, once for an event that is
// cut short and then for ever.
func (r *Reader) end(err error) (Entry, error) {
	if err == io.EOF && r.reply.open() {
		line := r.reply.line
		_, _ = r.reply.take()
		return Entry{}, &LineError{Line: line, Err: errCut}
	}
	return Entry{}, err
}

// line returns the next line. One that could not be read whole spoils the event
// that it is inside of, and is an error only where there is none.
func (r *Reader) line() ([]byte, error) {
	for {
		line, err := r.lines.next()
		var bad *LineError
		if !errors.As(err, &bad) || !r.reply.open() {
			return line, err
		}
		r.reply.fail(bad.Err)
	}
}
