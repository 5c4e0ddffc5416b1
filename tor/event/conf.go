package event

import "strings"

// ConfChanged is a CONF_CHANGED event: configuration options have changed
// (control-spec, section 4.1.18).
type ConfChanged struct {
	Options []Option // in wire order; an option of several values comes several times
}

// Option is one changed configuration option.
type Option struct {
	Name  string
	Value string // as tor writes it, not unquoted
	Set   bool   // false if the option has gone back to its default: no value at all
}

// Type returns CONF_CHANGED.
func (*ConfChanged) Type() Type { return CONF_CHANGED }

// Format returns the wire form. Line ends in names and values become blanks.
func (c *ConfChanged) Format() []byte {
	b := []byte("650-CONF_CHANGED\r\n")
	for _, o := range c.Options {
		b = appendText(append(b, "650-"...), o.Name)
		if o.Set {
			b = appendText(append(b, '='), o.Value)
		}
		b = append(b, '\r', '\n')
	}
	return append(b, "650 OK\r\n"...)
}

func readConfChanged(f *frame, s *scanner) *ConfChanged {
	c := &ConfChanged{}
	s.bad = f.stray || f.sep != '-' || f.words != ""
	rest := f.rest
	for strings.HasPrefix(rest, "650-") {
		var line string
		line, rest, _ = strings.Cut(rest[len("650-"):], "\r\n")
		s.bad = s.bad || strings.IndexByte(line, '\r') >= 0
		var o Option
		o.Name, o.Value, o.Set = strings.Cut(line, "=")
		c.Options = append(c.Options, o)
	}
	s.bad = s.bad || rest != "650 OK\r\n"
	return c
}
