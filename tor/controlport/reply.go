package controlport

import (
	"iter"
	"strconv"
	"strings"
)

// Reply is tor's whole answer to one command ([control-spec] 2.3): lines with
// a status code, the last of them with a blank after it, and data blocks.
type Reply struct{ raw []byte }

// Line is one line of a reply.
type Line struct {
	Code string // three digits
	Text string // what follows the code, without the line's end
	Data string // of a "+" line: its data block, lines ended by CRLF, unstuffed
	Mark byte   // '-', '+' or ' '
}

// Bytes returns the reply as it came. The caller must not change it.
func (r Reply) Bytes() []byte { return r.raw }

// String returns the reply as it came.
func (r Reply) String() string { return string(r.raw) }

// Code returns the status code of the final line, 0 for a zero Reply.
func (r Reply) Code() (code int) {
	for l := range r.Lines() {
		code, _ = strconv.Atoi(l.Code)
	}
	return code
}

// Err returns nil if the final line's code is 2xx, else a *Refusal.
func (r Reply) Err() error { return r.err("the command") }

func (r Reply) err(command string) error {
	if code := r.Code(); code >= 200 && code < 300 {
		return nil
	}
	return &Refusal{Command: command, reply: r}
}

// Lines yields the reply's lines.
func (r Reply) Lines() iter.Seq[Line] {
	return func(yield func(Line) bool) {
		rest := string(r.raw)
		for rest != "" {
			var text string
			text, rest = cutLine(rest)
			if len(text) < 4 {
				return
			}
			l := Line{Code: text[:3], Mark: text[3], Text: text[4:]}
			if l.Mark == '+' {
				l.Data, rest = cutData(rest)
			}
			if !yield(l) {
				return
			}
		}
	}
}

// Values returns what a GETINFO or GETCONF answered, by key. A key that
// occurs several times (GETCONF ORPort) has several values, in order; one
// without "=" (GETCONF: not set) has none but is there.
func (r Reply) Values() map[string][]string {
	m := make(map[string][]string)
	for l := range r.Lines() {
		key, value, isSet := strings.Cut(l.Text, "=")
		switch {
		case l.Mark == ' ' && l.Text == "OK":
		case l.Mark == '+':
			m[key] = append(m[key], l.Data)
		case isSet:
			m[key] = append(m[key], value)
		default:
			m[key] = append(m[key], []string{}...)
		}
	}
	return m
}

// cutLine cuts off the first line, whose end it drops.
func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// cutData cuts off a data block with the "." that ends it.
func cutData(s string) (data, rest string) {
	var b strings.Builder
	for rest = s; rest != ""; {
		var line string
		line, rest = cutLine(rest)
		if line == "." {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
		b.WriteString("\r\n")
	}
	return b.String(), rest
}
