package event

import (
	"fmt"
	"strings"
)

// frame is one asynchronous reply cut into its parts (control-spec, section
// 2.3, AsyncReply). All are parts of the one string copy of the wire form.
type frame struct {
	sep   byte   // what follows the first "650": ' ', '-' or '+'
	name  Type   // the event's name
	words string // the first line after the name: "" or a blank and more
	rest  string // the further lines, each with its CRLF
	data  int    // length of the data block at the head of rest, if sep is '+'
	stray bool   // the first line has a CR that ends no line
}

// cut checks that wire is one whole reply and cuts it.
func cut(wire string) (frame, error) {
	n := strings.IndexByte(wire, '\n')
	switch {
	case len(wire) < 4 || wire[:3] != "650" || !isSeparator(wire[3]):
		return frame{}, fmt.Errorf("event: %w: it does not begin with 650 and a blank, - or +", ErrNotEvent)
	case n < 0 || wire[n-1] != '\r':
		return frame{}, fmt.Errorf("event: %w: its first line is not ended by CRLF", ErrNotEvent)
	}
	f := frame{sep: wire[3], rest: wire[n+1:]}
	line := wire[4 : n-1]
	f.stray = strings.IndexByte(line, '\r') >= 0
	if i := strings.IndexByte(line, ' '); i >= 0 {
		f.name, f.words = Type(line[:i]), line[i:]
	} else {
		f.name = Type(line)
	}
	return f, f.checkRest()
}

func isSeparator(c byte) bool { return c == ' ' || c == '-' || c == '+' }

// checkRest walks the further lines: the last one begins with "650 ", those
// before it with "650-" or "650+", and a data block follows each "650+".
func (f *frame) checkRest() error {
	rest, sep := f.rest, f.sep
	for line := 2; ; line++ {
		if sep == '+' {
			n, ok := dataLen(rest)
			if !ok {
				return fmt.Errorf("event: %w: a data block has no end", ErrNotEvent)
			}
			if line == 2 {
				f.data = n
			}
			rest = rest[n+len(".\r\n"):]
		}
		if sep == ' ' {
			break
		}
		n := strings.IndexByte(rest, '\n')
		if n < 5 || rest[n-1] != '\r' || rest[:3] != "650" || !isSeparator(rest[3]) {
			return fmt.Errorf("event: %w: reply line %d does not begin with 650 or is not ended by CRLF", ErrNotEvent, line)
		}
		sep, rest = rest[3], rest[n+1:]
	}
	if rest != "" {
		return fmt.Errorf("event: %w: %d bytes follow the reply's last line", ErrNotEvent, len(rest))
	}
	return nil
}

// dataLen returns the length of the data block that s begins with, without
// its final "." line, and whether it is whole: lines ended by CRLF up to ".".
func dataLen(s string) (int, bool) {
	for at := 0; ; {
		n := strings.IndexByte(s[at:], '\n')
		if n < 1 || s[at+n-1] != '\r' {
			return 0, false
		}
		if n == 2 && s[at] == '.' {
			return at, true
		}
		at += n + 1
	}
}

// block returns the data block of an event that consists of a first line, one
// data block and "650 OK", and whether it is of that form.
func (f *frame) block() (Data, bool) {
	return Data(f.rest[:f.data]), f.sep == '+' && !f.stray && f.rest[f.data:] == blockEnd
}
