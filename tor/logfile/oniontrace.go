package logfile

import "bytes"

// controlLine is the function of oniontrace that logs what tor sent.
const controlLine = "[_oniontracelogger_logControlLine] "

// nextOnionTrace reads the log of oniontrace. Every line that tor sent is a
// line of the log, with a time, a level in brackets, the function in brackets,
// the logger's name, a colon and a blank before it; what other functions say is
// a remark. An event arrived when its first line did. oniontrace loses empty
// lines, so that a data block may lack some. Where it says that it starts, what
// it logged before has ended.
func (r *Reader) nextOnionTrace() (Entry, error) {
	for {
		line, err := r.line()
		if err != nil {
			return r.end(err)
		}
		at, text, said := cutOnionTrace(line)
		if next := secondTime(line, beginsOnionTrace); next > 0 {
			if err := r.torn(next, said && text == nil); err != nil {
				return Entry{}, err
			}
			continue
		}
		switch {
		case said && r.reply.open() && isStart(line):
			r.lines.unread(0)
			return r.restore(errUnended)
		case said && text == nil:
			r.notes++
		case said:
			if e, done, err := r.wireLine(text, at); done {
				return e, err
			}
		case !blank(line):
			return Entry{}, &LineError{Line: r.lines.n, Err: errStray}
		}
	}
}

// cutOnionTrace returns what tor sent in a line of oniontrace; nil where the
// line is a remark. ok is false if it is no line of oniontrace.
func cutOnionTrace(line []byte) (at stamp, text []byte, ok bool) {
	at, rest, ok := cutStamp(line)
	if !ok || !twoBrackets(rest) {
		return at, nil, false
	}
	_, rest, _ = bytes.Cut(rest, []byte("] "))
	rest, ok = bytes.CutPrefix(rest, []byte(controlLine))
	if !ok {
		return at, nil, true
	}
	_, text, ok = bytes.Cut(rest, []byte(": "))
	if !ok {
		return at, nil, true
	}
	return at, text, true
}

// twoBrackets reports whether b begins like "[info] [main] ".
func twoBrackets(b []byte) bool {
	for range 2 {
		end := bytes.IndexByte(b, ']')
		if len(b) == 0 || b[0] != '[' || end < 0 || end+1 >= len(b) || b[end+1] != ' ' {
			return false
		}
		b = b[end+2:]
	}
	return true
}
