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
			n := event.WordLen(rest)
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
