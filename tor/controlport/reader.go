package controlport

import (
	"bytes"
	"fmt"
	"io"
)

// The reader's limits. One connection holds at most one unfinished line, one
// unfinished asynchronous reply and one unfinished reply: 4 + 32 + 32 MiB in
// the worst case, and 64 KiB in all usual ones.
const (
	// readSize is what the buffer begins with and returns to.
	readSize = 64 << 10

	// quietSize is readSize of a connection without events: most replies are
	// shorter, and there are thousands of such connections, one for each
	// controller. While reads fill the buffer it grows to readSize.
	quietSize = 2 << 10

	// maxLine bounds one line. The longest that tor sends are lists in one
	// line (exit policies, families): some 100 kB.
	maxLine = 4 << 20

	// maxEvent bounds one asynchronous reply. A NEWCONSENSUS of the public
	// network has 2 MB.
	maxEvent = 32 << 20

	// maxReply bounds a reply that is held whole (Do). Forward has no bound.
	maxReply = 32 << 20
)

// reader is what the reading goroutine knows. It alone uses it.
type reader struct {
	*Conn
	least int    // bytes that buf begins with and returns to
	buf   []byte // what has been read and not yet been dealt with is buf[:fill]
	fill  int
	spans []span // asynchronous replies whose end lies in buf

	// The asynchronous reply that has begun and not ended. Its lines up to
	// the last read are in partial, those of this read begin at eventFrom.
	partial   []byte
	eventFrom int
	inEvent   bool

	// The reply that has begun and not ended: its lines of this read begin
	// at replyFrom.
	replyFrom int
	inReply   bool

	inData bool // the next line belongs to a data block
}

type span struct{ from, to int }

// read is the reading goroutine.
func (c *Conn) read() {
	defer close(c.done)
	r := &reader{Conn: c, least: readSize}
	if c.quiet {
		r.least = quietSize
	}
	r.buf = make([]byte, r.least)
	for {
		n, err := c.nc.Read(r.buf[r.fill:])
		c.quickAck()
		seen := r.fill // no line ends before it
		r.fill += n
		if n > 0 {
			if bad := r.take(seen); bad != nil {
				c.fail(bad)
				break
			}
		}
		if err != nil {
			c.fail(readError(err))
			break
		}
	}
}

func readError(err error) error {
	if err == io.EOF {
		return fmt.Errorf("controlport: tor closed the connection: %w", err)
	}
	return fmt.Errorf("controlport: read from tor: %w", err)
}

// take deals with every whole line in the buffer and keeps the rest for the
// next read. The first seen bytes hold no line's end.
func (r *reader) take(seen int) error {
	from := 0
	for {
		i := bytes.IndexByte(r.buf[seen:r.fill], '\n')
		if i < 0 {
			break
		}
		to := seen + i + 1
		if err := r.line(from, to); err != nil {
			r.deliver() // what came whole before the bad line is good
			return err
		}
		from, seen = to, to
	}
	if err := r.endRead(from); err != nil {
		return err
	}
	return r.compact(from)
}

// line deals with the line buf[from:to].
func (r *reader) line(from, to int) error {
	line := r.buf[from:to]
	if r.inData {
		if isDot(line) {
			r.inData = false
		}
		return nil
	}
	if len(line) < 5 || !isStatus(line) {
		return fmt.Errorf("controlport: %w: line %.100q", ErrMalformed, line)
	}
	if line[0] == '6' && line[1] == '5' && line[2] == '0' {
		return r.eventLine(from, to)
	}
	return r.replyLine(from, to)
}

// eventLine deals with a line of an asynchronous reply, also where it stands
// between the lines of a reply (which tor promises not to do).
func (r *reader) eventLine(from, to int) error {
	if !r.inEvent {
		r.inEvent, r.eventFrom = true, from
		if err := r.passReply(from); err != nil {
			return err
		}
	}
	switch r.buf[from+3] {
	case '+':
		r.inData = true
	case ' ':
		r.spans = append(r.spans, span{r.eventFrom, to})
		r.inEvent, r.replyFrom = false, to
	}
	return nil
}

func (r *reader) replyLine(from, to int) error {
	if r.inEvent {
		return fmt.Errorf("controlport: %w: line %.100q inside an asynchronous reply", ErrMalformed, r.buf[from:to])
	}
	if !r.inReply {
		r.inReply, r.replyFrom = true, from
	}
	switch r.buf[from+3] {
	case '+':
		r.inData = true
	case ' ':
		r.deliver()
		r.inReply = false
		return r.answer(r.buf[r.replyFrom:to], true)
	}
	return nil
}

// passReply gives the command the lines of its reply that lie before to.
func (r *reader) passReply(to int) error {
	if !r.inReply || r.replyFrom == to {
		return nil
	}
	from := r.replyFrom
	r.replyFrom = to
	return r.answer(r.buf[from:to], false)
}

// endRead hands out what the read brought. Whole lines end at to.
func (r *reader) endRead(to int) error {
	r.deliver()
	if r.inEvent {
		if len(r.partial)+to-r.eventFrom > maxEvent {
			return fmt.Errorf("controlport: %w: an asynchronous reply of more than %d MiB", ErrMalformed, maxEvent>>20)
		}
		r.partial = append(r.partial, r.buf[r.eventFrom:to]...)
		r.eventFrom = 0
		return nil // a reply that it interrupts has been passed on
	}
	err := r.passReply(to)
	r.replyFrom = 0
	return err
}

// deliver hands the asynchronous replies that are whole to the event
// function: copied, all into one piece of memory that is theirs alone.
func (r *reader) deliver() {
	if len(r.spans) == 0 {
		return
	}
	size := len(r.partial)
	for _, s := range r.spans {
		size += s.to - s.from
	}
	arena := append(make([]byte, 0, size), r.partial...)
	wires := make([][]byte, len(r.spans))
	begin := 0
	for i, s := range r.spans {
		arena = append(arena, r.buf[s.from:s.to]...)
		wires[i] = arena[begin:len(arena):len(arena)]
		begin = len(arena)
	}
	r.spans = r.spans[:0]
	r.partial = r.partial[:0]
	if cap(r.partial) > readSize {
		r.partial = nil
	}
	r.events(wires)
}

// compact moves the unfinished line, which begins at from, to the front and
// makes room behind it.
func (r *reader) compact(from int) error {
	rest := r.buf[from:r.fill]
	size := len(r.buf)
	switch {
	case len(rest) >= maxLine:
		return fmt.Errorf("controlport: %w: a line of more than %d MiB", ErrMalformed, maxLine>>20)
	case len(rest) == size, r.fill == size && size < readSize:
		size *= 2
	case size > r.least && len(rest) < r.least/2 && (size > readSize || r.fill < size):
		size = r.least
	}
	if size != len(r.buf) {
		r.buf = append(make([]byte, 0, size), rest...)[:size]
	} else {
		copy(r.buf, rest)
	}
	r.fill = len(rest)
	return nil
}

// isDot reports whether line ends a data block.
func isDot(line []byte) bool {
	return line[0] == '.' && (len(line) == 2 || len(line) == 3 && line[1] == '\r')
}

// isStatus reports whether line begins with three digits and a separator.
func isStatus(line []byte) bool {
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return line[3] == ' ' || line[3] == '-' || line[3] == '+'
}
