package logfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// The limits of what a Reader holds: one line and one event, so 17 MiB for a
// log in text, and 24 MiB and the event made of it for JSON.
const (
	// maxLine bounds a line of text. The longest that tor sends are lists in
	// one line (exit policies, families): some 100 kB.
	maxLine = 1 << 20

	// maxEvent bounds an event. A NEWCONSENSUS of the public network has 2 MB.
	maxEvent = 16 << 20

	// maxJSONLine bounds a line of JSON, which is a whole event: the longest
	// one in base64, a third more, and what stands around it.
	maxJSONLine = 24 << 20

	// readSize is the buffer of a Reader. Longer lines are put together
	// elsewhere.
	readSize = 64 << 10
)

// lines reads lines, each at most max bytes long.
type lines struct {
	r    *bufio.Reader
	max  int
	n    int    // number of the line that next returned last
	line []byte // that line
	long []byte // scratch for lines that do not fit r's buffer
	back bool   // next returns line once more
}

func newLines(r io.Reader, max int) *lines {
	return &lines{r: bufio.NewReaderSize(r, readSize), max: max}
}

// next returns the next line without its line end, which is LF or CRLF. It is
// valid until the next call. The error of a line that is too long, or that has
// no end, is a *LineError; that line is passed over.
func (l *lines) next() ([]byte, error) {
	if l.back {
		l.back = false
		return l.line, nil
	}
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.longLine(line)
	}
	if len(line) > 0 || err == nil {
		l.n++
	}
	switch {
	case err == io.EOF && len(line) > 0:
		l.line = line
		return line, &LineError{Line: l.n, Err: errNoLineEnd}
	case err != nil:
		return nil, err
	case len(line) > l.max:
		return nil, &LineError{Line: l.n, Err: errLongLine}
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	l.line = line
	return line, nil
}

// longLine goes on with a line of which the first part is there. It keeps no
// more than max bytes and one buffer of it.
func (l *lines) longLine(part []byte) (line []byte, err error) {
	l.long = append(l.long[:0], part...)
	err = bufio.ErrBufferFull
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = l.r.ReadSlice('\n')
		if len(l.long) <= l.max {
			l.long = append(l.long, part...)
		}
	}
	line = l.long
	if cap(l.long) > maxLine {
		l.long = nil // one giant must not be kept for ever
	}
	return line, err
}

// unread makes the next call of next return the same line again, from the
// byte at on.
func (l *lines) unread(at int) { l.line, l.back = l.line[at:], true }

func blank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }
