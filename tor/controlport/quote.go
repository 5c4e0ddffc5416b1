package controlport

import (
	"strings"

	"torjournal/tor/event"
)

// keywords reads the KEY=value pairs of a reply line, whose values may be
// quoted strings ([control-spec] 2.1), into a map. Words that are no pairs
// are skipped. Of a repeated key the first counts.
func keywords(text string) map[string]string {
	m := make(map[string]string)
	for rest := strings.TrimLeft(text, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, value := rest, ""
		isPair := false
		if i := strings.IndexAny(rest, " ="); i >= 0 && rest[i] == '=' {
			key, rest, isPair = rest[:i], rest[i+1:], true
			n := valueLen(rest)
			value, _ = event.Unquote(rest[:n])
			rest = rest[n:]
		} else if i >= 0 {
			rest = rest[i:]
		} else {
			rest = ""
		}
		if _, dup := m[key]; isPair && !dup {
			m[key] = value
		}
	}
	return m
}

// valueLen returns the length of the value at the beginning of s: a quoted
// string with what clings to it, or everything up to a blank.
func valueLen(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			return i
		}
	}
	return len(s)
}
