package logfile

import "bytes"

// A logger that dies leaves the line that it was writing without a line end,
// and the one that follows it in the same file goes on behind that: two halves
// of different things in one line. It is seen by the second time in it.

// startWords are how the remarks begin that loggers write when they start.
var startWords = [][]byte{[]byte("started tor-ctl-logger "), []byte("Starting torctl program ")}

// beginsTorctl reports whether rest, behind a time, can only be the beginning
// of what a logger of torctl lines wrote.
func beginsTorctl(rest []byte) bool {
	for _, w := range startWords {
		if bytes.HasPrefix(rest, w) {
			return true
		}
	}
	return isEvent(rest)
}

// isStart reports whether a line of oniontrace is the first that it writes.
func isStart(line []byte) bool {
	const start = "starting oniontrace"
	_, rest, ok := bytes.Cut(line, []byte("] [main] "))
	return ok && len(rest) > len(start) && bytes.EqualFold(rest[:len(start)], []byte(start))
}

// maxBrackets bounds how far behind a time the two words in brackets are looked
// for; oniontrace's are shorter.
const maxBrackets = 128

// beginsOnionTrace is what beginsTorctl is, for oniontrace.
func beginsOnionTrace(rest []byte) bool { return twoBrackets(rest[:min(len(rest), maxBrackets)]) }

// secondTime returns where another line begins within a line; 0 if none does.
// begins says of what stands behind a time whether it is one. Both loggers write
// fractions of a second.
func secondTime(line []byte, begins func(rest []byte) bool) int {
	const colon = len("2006-01-02 15") // in a clock
	for at := colon + 1; at < len(line); at++ {
		i := bytes.IndexByte(line[at:], ':')
		if i < 0 {
			return 0
		}
		at += i
		_, rest, ok := cutStamp(line[at-colon:])
		if ok && begins(rest) && bytes.IndexByte(line[at:len(line)-len(rest)], '.') > 0 {
			return at - colon
		}
	}
	return 0
}

// torn passes over a line, and the event that it belongs to, up to the byte
// where the next line begins in it. err is nil if it was but a remark.
func (r *Reader) torn(at int, remark bool) (err error) {
	r.lines.unread(at)
	switch p := &r.reply; {
	case p.open():
		err = &LineError{Line: p.line, Err: errTorn}
		_, _ = p.take()
	case remark:
		r.notes++
	default:
		err = &LineError{Line: r.lines.n, Err: errTorn}
	}
	return err
}
