package control

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// joiner is a Writer for tor's reply to its share of a GETINFO; it writes the
// reply to the whole. It holds one line at a time.
type joiner struct {
	out   io.Writer
	parts []part
	err   error

	line    []byte // unfinished line
	next    int    // index of the first part that is not answered yet
	block   bool   // inside a data block
	refused []byte // tor's refusal so far
	over    bool   // the final line has been seen
}

var errOddReply = errors.New("control: the source's answer to GETINFO does not fit the question")

// Write takes the next bytes of tor's reply.
func (j *joiner) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && j.err == nil; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		if len(j.line)+end > maxReplyLine {
			j.err = errLongReply
			break
		}
		j.line = append(j.line, rest[:end]...)
		rest = rest[end:]
		if j.line[len(j.line)-1] == '\n' {
			j.takeLine(j.line)
			j.line = j.line[:0]
		}
	}
	if j.err != nil {
		return 0, j.err
	}
	return len(p), nil
}

// takeLine handles one whole line of tor's reply.
func (j *joiner) takeLine(line []byte) {
	switch {
	case j.block:
		j.takeBlockLine(line)
	case len(line) < 4 || j.over:
		j.err = errOddReply
	case string(line[:4]) == "250 ":
		j.over = true
		j.finish(line)
	case bytes.HasPrefix(line, []byte("250")):
		j.takeAnswer(line)
	default:
		if len(j.refused)+len(line) > maxReplyLine {
			j.err = errLongReply
			return
		}
		j.refused = append(j.refused, line...)
		if j.over = line[3] == ' '; j.over {
			j.refuse()
		}
	}
}

// takeAnswer handles the first line of tor's answer for one key.
func (j *joiner) takeAnswer(line []byte) {
	for j.next < len(j.parts) && !j.parts[j.next].tor {
		j.emit(j.parts[j.next].answer)
		j.next++
	}
	if j.next == len(j.parts) {
		j.err = errOddReply
		return
	}
	if line[3] == '+' {
		j.block = true
		j.emit(line)
		return
	}
	if add := j.parts[j.next].amend; add != "" && !strings.Contains(add, "\n") {
		body := bytes.TrimRight(line, "\r\n")
		j.emit(body)
		j.emit([]byte(add))
		line = line[len(body):]
	}
	j.emit(line)
	j.next++
}

func (j *joiner) takeBlockLine(line []byte) {
	if string(line) != ".\r\n" && string(line) != ".\n" {
		j.emit(line)
		return
	}
	j.emit([]byte(j.parts[j.next].amend))
	j.emit(line)
	j.block = false
	j.next++
}

// finish writes what is left of ours and the final line, or the refusal if a
// key of ours does not exist.
func (j *joiner) finish(line []byte) {
	if j.unknown() {
		j.refuse()
		return
	}
	for ; j.next < len(j.parts); j.next++ {
		if j.parts[j.next].tor {
			j.err = errOddReply
			return
		}
		j.emit(j.parts[j.next].answer)
	}
	j.emit(line)
}

// alone answers a GETINFO that has no key of tor's.
func (j *joiner) alone() {
	j.over = true
	j.finish([]byte("250 OK\r\n"))
}

// close checks that the reply was whole.
func (j *joiner) close() error {
	if j.err == nil && !j.over {
		j.err = errOddReply
	}
	return j.err
}

// emit writes p, unless the whole GETINFO will be refused.
func (j *joiner) emit(p []byte) {
	if j.err == nil && len(p) > 0 && !j.unknown() {
		_, j.err = j.out.Write(p)
	}
}

// unknown reports whether a key of ours does not exist.
func (j *joiner) unknown() bool {
	for i := range j.parts {
		if !j.parts[i].tor && j.parts[i].answer == nil {
			return true
		}
	}
	return false
}

// refuse writes the refusal of the whole: tor's own, with the keys that we do
// not know among those that tor does not know, in the order asked.
func (j *joiner) refuse() {
	text := j.refused
	if j.unknown() && (len(text) == 0 || bytes.HasPrefix(text, []byte("552"))) {
		text = j.unrecognized()
	}
	if j.err == nil {
		_, j.err = j.out.Write(text)
	}
}

func (j *joiner) unrecognized() []byte {
	var lines []string
	for _, p := range j.parts {
		line := `Unrecognized key "` + p.key + `"`
		if !p.tor && p.answer == nil || p.tor && bytes.Contains(j.refused, []byte(line+"\r\n")) {
			lines = append(lines, line)
		}
	}
	var b bytes.Buffer
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		b.WriteString("552" + sep + l + "\r\n")
	}
	return b.Bytes()
}
