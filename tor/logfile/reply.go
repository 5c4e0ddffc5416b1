package logfile

import "bytes"

// reply puts the lines of one reply of the control protocol together
// (control-spec, section 2.3). The zero value has not begun.
type reply struct {
	buf  []byte // lines so far, each with its CRLF
	line int    // of the log, where it begins
	state
	lone  bool // of the block: its last line so far is "650 OK"
	err   error
	async bool // an event, and no reply to a command
	stamp
}

type state uint8

const (
	idle   state = iota // none has begun
	within              // the next line begins with a status code
	block               // the next line belongs to a data block
	whole               // the last line has come
)

// keepBuffer is the largest buffer that is kept for the next reply.
const keepBuffer = 1 << 20

// open reports whether a reply has begun and not ended.
func (p *reply) open() bool { return p.state == within || p.state == block }

// isStatus reports whether line begins with a status code and a separator.
func isStatus(line []byte) bool {
	if len(line) < 4 {
		return false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return line[3] == ' ' || line[3] == '-' || line[3] == '+'
}

// isEvent reports whether line is the first of an asynchronous reply.
func isEvent(line []byte) bool { return isStatus(line) && string(line[:3]) == "650" }

// begin begins a reply with its first line, for which isStatus holds.
func (p *reply) begin(line []byte, n int, at stamp) {
	p.buf, p.line, p.stamp, p.err = p.buf[:0], n, at, nil
	p.async = isEvent(line)
	p.status(line)
}

// status adds a line that begins with a status code.
func (p *reply) status(line []byte) {
	p.keep(line)
	switch line[3] {
	case '+':
		p.state, p.lone = block, false
	case '-':
		p.state = within
	default:
		p.state = whole
	}
}

// add adds a further line of an open reply.
func (p *reply) add(line []byte) {
	switch {
	case p.state == block && string(line) == ".":
		p.keep(line)
		p.state = within
	case p.state == block:
		p.keep(line)
		p.lone = string(line) == "650 OK"
	case isStatus(line):
		p.status(line)
	default:
		p.fail(errStray)
	}
}

// keep appends a line, except to a reply that is given up.
func (p *reply) keep(line []byte) {
	if len(p.buf)+len(line)+2 > maxEvent {
		p.fail(errLongEvent)
	}
	if p.err == nil {
		p.buf = append(append(p.buf, line...), '\r', '\n')
	}
}

// fail says that the reply cannot be kept. Its further lines are still taken
// for its own, so that they are not reported one by one.
func (p *reply) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.buf = p.buf[:0]
}

// restore gives the reply the end that the log has lost: the "." before, or
// the "650 OK" behind it. It reports whether it could be done: what lacks both
// may lack more.
func (p *reply) restore() bool {
	const dot, ok = ".\r\n", "650 OK\r\n"
	switch {
	case p.err != nil:
	case p.state == block && p.lone:
		p.buf = append(p.buf[:len(p.buf)-len(ok)], dot+ok...)
	case p.state == within && bytes.HasSuffix(p.buf, []byte("\r\n"+dot)):
		p.buf = append(p.buf, ok...)
	default:
		return false
	}
	p.state = whole
	return true
}

// take ends the reply and returns a copy of its bytes.
func (p *reply) take() ([]byte, error) {
	p.state = idle
	wire, err := bytes.Clone(p.buf), p.err
	if cap(p.buf) > keepBuffer {
		p.buf = nil
	}
	return wire, err
}
