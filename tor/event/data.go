package event

import (
	"iter"
	"strings"
)

// Data is the data block of a multi-line event as it stands on the wire
// (control-spec, section 2.3, CmdData): lines ended by CRLF, one more dot
// before each line that begins with a dot, without the final "." line.
type Data string

// NewData returns text as a data block: line ends become CRLF, the last line
// gets one if it has none, and lines that begin with a dot are stuffed.
func NewData(text string) Data {
	var b strings.Builder
	b.Grow(len(text) + 2)
	for len(text) > 0 {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		if strings.HasPrefix(line, ".") {
			b.WriteByte('.')
		}
		b.WriteString(line)
		b.WriteString("\r\n")
		text = rest
	}
	return Data(b.String())
}

// Text returns the block's text: the stuffed dots are gone, the line ends are
// CRLF as on the wire. It allocates only if a line is stuffed.
func (d Data) Text() string {
	if !strings.HasPrefix(string(d), ".") && !strings.Contains(string(d), "\n.") {
		return string(d)
	}
	var b strings.Builder
	b.Grow(len(d))
	for line := range d.Lines() {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// Lines yields the block's lines, un-stuffed, without their line ends.
func (d Data) Lines() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := string(d); rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			line = strings.TrimSuffix(line, "\r")
			if !yield(strings.TrimPrefix(line, ".")) {
				return
			}
		}
	}
}

// wellFormed reports whether d can stand on the wire as it is: every line
// ends with CRLF and none would end the block.
func (d Data) wellFormed() bool {
	for rest := string(d); rest != ""; {
		n := strings.IndexByte(rest, '\n')
		if n < 1 || rest[n-1] != '\r' || rest[:n+1] == ".\r\n" {
			return false
		}
		rest = rest[n+1:]
	}
	return true
}

// appendBlock appends d, the line that ends it and the reply's last line. A
// hand-made block that would break the framing is taken for plain text.
func appendBlock(b []byte, d Data) []byte {
	if !d.wellFormed() {
		d = NewData(string(d))
	}
	b = append(b, d...)
	return append(b, blockEnd...)
}

// blockEnd ends every event that has a data block (control-spec, section
// 4.1.12 and others): the block's last line and the reply's.
const blockEnd = ".\r\n650 OK\r\n"
