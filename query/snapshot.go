package query

import (
	"iter"
	"strings"

	"torjournal/tor/event"
)

// A SNAPSHOT's body is tor's reply to one GETINFO, as control-spec 4.1 (sync
// replies) and 3.9 have it: each key is either one line
//
//	250-circuit-status=7 BUILT …
//
// or a data block
//
//	250+circuit-status=
//	7 BUILT …
//	9 LAUNCHED …
//	.
//
// tor writes a list of one entry in the former form, a longer or an empty one
// may have either.

// snapshotLines yields the lines of one key's value in such a reply, without
// line ends, dots unstuffed. found says whether the key is there at all: if it
// is, what it does not list is gone.
func snapshotLines(reply string, key string) (lines iter.Seq[string], found bool) {
	value, block, found := snapshotValue(reply, key)
	return func(yield func(string) bool) {
		if !block {
			if value != "" {
				yield(value)
			}
			return
		}
		for value != "" {
			var line string
			line, value = cutLine(value)
			if line == "." {
				return
			}
			if !yield(strings.TrimPrefix(line, ".")) {
				return
			}
		}
	}, found
}

// snapshotValue finds key in reply. value is the rest of its line, or, if
// block is true, what follows that line.
func snapshotValue(reply string, key string) (value string, block, found bool) {
	inBlock := false
	for reply != "" {
		var line string
		line, reply = cutLine(reply)
		if inBlock {
			inBlock = line != "."
			continue
		}
		if len(line) < 4 || line[:3] != "250" {
			continue
		}
		inBlock = line[3] == '+'
		name, rest, ok := strings.Cut(line[4:], "=")
		if !ok || name != key {
			continue
		}
		if inBlock {
			return reply, true, true
		}
		return rest, false, true
	}
	return "", false, false
}

// snapshotEntry returns a line of circuit-status or stream-status as the event that
// would say the same: tor writes both in one form (control-spec 3.9). ok is false
// if it cannot be read.
func snapshotEntry[E event.Event](of event.Type, line string) (e E, ok bool) {
	parsed, _ := event.ParseInPlace([]byte("650 " + string(of) + " " + line + "\r\n"))
	e, ok = parsed.(E)
	return e, ok
}

// cutLine returns the first line of b, without CRLF or LF, and what follows.
func cutLine(b string) (line, rest string) {
	line, rest, _ = strings.Cut(b, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}
