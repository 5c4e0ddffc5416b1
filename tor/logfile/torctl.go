package logfile

import (
	"errors"
	"io"
	"strconv"
	"time"
)

// stamp is the arrival of an event.
type stamp struct{ at time.Time }

// nextTorctl reads the log of tor-ctl-logger and of OnionPerf: each event
// begins with "2026-01-01 00:00:00 1767225600.00 ", local time and the same as
// seconds since 1970, of which only the seconds count. The further lines of an
// event follow bare, ended by CRLF or LF. What else has a time is the logger's
// own remark.
//
// A line with a time can only be the beginning of something new. Where an
// event lacks nothing then but the "." or the last line, which some loggers
// lose, it is given them again; else the logger died within it, or within a
// line of it, and it is passed over.
func (r *Reader) nextTorctl() (Entry, error) {
	p := &r.reply
	for {
		line, err := r.line()
		if err != nil {
			return r.endTorctl(err)
		}
		at, rest, timed := cutStamp(line)
		if timed && p.open() {
			r.lines.unread(0)
			return r.restore(errUnended)
		}
		if next := secondTime(line, beginsTorctl); next > 0 {
			if err := r.torn(next, timed && !isEvent(rest)); err != nil {
				return Entry{}, err
			}
			continue
		}
		switch {
		case timed && isEvent(rest):
			p.begin(rest, r.lines.n, at)
		case timed:
			r.notes++
			continue
		case p.open():
			p.add(line)
		case blank(line):
			continue
		default:
			return Entry{}, &LineError{Line: r.lines.n, Err: errStray}
		}
		if p.state == whole {
			return r.entry()
		}
	}
}

func (r *Reader) endTorctl(err error) (Entry, error) {
	if err == io.EOF && r.reply.open() {
		return r.restore(errCut)
	}
	return r.end(err)
}

// restore ends an event that the log did not end; lost is why, if more is
// missing than its end.
func (r *Reader) restore(lost error) (Entry, error) {
	if !r.reply.restore() {
		r.reply.fail(lost)
	}
	e, err := r.entry()
	if err == nil {
		r.restored++
	}
	return e, err
}

// clock is the part of a stamp that people read.
const clock = "2006-01-02 15:04:05"

// cutStamp cuts "2026-01-01 00:00:00 1767225600.00 " off a line.
func cutStamp(line []byte) (at stamp, rest []byte, ok bool) {
	if len(line) < len(clock)+2 || line[len(clock)] != ' ' {
		return at, nil, false
	}
	for i, c := range line[:len(clock)] {
		if digit := c >= '0' && c <= '9'; digit != (clock[i] >= '0' && clock[i] <= '9') || !digit && c != clock[i] {
			return at, nil, false
		}
	}
	t, n, ok := parseUnix(line[len(clock)+1:])
	rest = line[len(clock)+1+n:]
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return at, nil, false
	}
	return stamp{t}, rest[1:], true
}

// parseUnix reads seconds since 1970, with or without a fraction, and returns
// how many bytes they take.
func parseUnix(b []byte) (t time.Time, n int, ok bool) {
	sec := int64(0)
	for n < len(b) && b[n] >= '0' && b[n] <= '9' && n < 12 {
		sec = sec*10 + int64(b[n]-'0')
		n++
	}
	if n == 0 {
		return t, 0, false
	}
	us, unit := int64(0), int64(100_000)
	if n < len(b) && b[n] == '.' {
		for n++; n < len(b) && b[n] >= '0' && b[n] <= '9'; n++ {
			us += unit * int64(b[n]-'0')
			unit /= 10
		}
	}
	t, err := microseconds(time.UnixMicro(sec*1_000_000 + us))
	return t, n, err == nil
}

// ErrTime means that a torctl log cannot hold this time: it is not from 1970
// to 9999.
var ErrTime = errors.New("logfile: the time is out of bounds")

// AppendTorctl appends an event to b as a torctl log has it: the time in UTC
// and as seconds since 1970, both of the arrival at, and the wire form as it
// is. A Reader gives both back, the time to the microsecond. The tools that
// read such logs take the six digits behind the point as they take two.
//
// A Reader takes such a time inside the event, at the beginning of a line or
// with an event behind it, for that of the next one; tor sends none.
func AppendTorctl(b []byte, at time.Time, wire []byte) ([]byte, error) {
	at, err := microseconds(at)
	if err != nil {
		return b, ErrTime
	}
	b = at.AppendFormat(b, clock)
	b = strconv.AppendInt(append(b, ' '), at.Unix(), 10)
	b = at.AppendFormat(b, ".000000 ")
	return append(b, wire...), nil
}
