package scrub

import (
	"bytes"

	"torjournal/tor/event"
)

// statusKeys are the arguments of status events whose value is an address, a
// host name, or bytes that somebody else sent ([control-spec] 4.1.10).
var statusKeys = keySet("ADDRESS", "DIRADDRESS", "ORADDRESS", "HOSTADDR", "HOSTNAME", "DIRAUTH", "NS", "DATA")

// circuitKeys are the arguments of circuit events that say what a circuit is
// for ([control-spec] 4.1.1).
var circuitKeys = keySet("REND_QUERY", "SOCKS_USERNAME", "SOCKS_PASSWORD")

func keySet(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// strip returns the event without addresses. The number of its lines, their
// codes and ends, and what ends a data block stay.
func strip(t event.Type, wire []byte) []byte {
	out := make([]byte, 0, len(wire)+2*len(marker))
	inData := false
	for rest := wire; len(rest) > 0; {
		line, end := rest, len(rest)
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, end = rest[:i], i+1
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case inData:
			inData = !bytes.Equal(line, []byte("."))
			out = stripLine(out, t, line)
		case hasCode(line):
			inData = line[3] == '+'
			out = stripLine(append(out, line[:4]...), t, line[4:])
		default:
			out = stripLine(out, t, line)
		}
		out = append(out, rest[len(line):end]...)
		rest = rest[end:]
	}
	return out
}

// hasCode reports whether a line begins as those of replies do: three digits,
// then '-', '+' or a blank.
func hasCode(line []byte) bool {
	return digits(line, 0) == 3 && len(line) > 3 && (line[3] == '-' || line[3] == '+' || line[3] == ' ')
}

// stripLine appends one line's text as an event of type t keeps it.
func stripLine(dst []byte, t event.Type, text []byte) []byte {
	switch t {
	case event.NOTICE, event.WARN, event.ERR, event.INFO, event.DEBUG:
		return appendScrubbed(dst, text, true)
	case event.STATUS_GENERAL, event.STATUS_CLIENT, event.STATUS_SERVER:
		return appendScrubbed(dst, withoutValues(text, statusKeys), true)
	case event.CIRC, event.CIRC_MINOR:
		return appendScrubbed(dst, withoutValues(text, circuitKeys), false)
	case event.ORCONN:
		name, peer := cutWord(text)
		return stripPeer(append(dst, name...), peer)
	case event.CONF_CHANGED:
		return stripOption(dst, text)
	case event.JOURNAL, event.GUARD, event.SIGNAL, event.NETWORK_LIVENESS, event.BUILDTIMEOUT_SET, event.DESCCHANGED, event.NEWDESC:
		return appendScrubbed(dst, text, false)
	}
	// A type that no role records on a relay, but somebody's list of types.
	return appendScrubbed(dst, withoutValues(text, circuitKeys), true)
}

// cutWord cuts off the first word with the blanks behind it.
func cutWord(text []byte) (word, rest []byte) {
	i := bytes.IndexByte(text, ' ')
	if i < 0 {
		return text, nil
	}
	for i < len(text) && text[i] == ' ' {
		i++
	}
	return text[:i], text[i:]
}

// stripPeer appends "<target> <status> …": a target that is not a relay's
// fingerprint is an address.
func stripPeer(dst, text []byte) []byte {
	if len(text) > 0 && text[0] != '$' {
		target, _, _ := bytes.Cut(text, []byte(" "))
		dst = append(dst, marker...)
		text = text[len(target):]
	}
	return appendScrubbed(dst, text, false)
}

// withoutValues replaces the values of keys in a list of KEY=value words,
// quoted ones included.
func withoutValues(text []byte, keys map[string]bool) []byte {
	var out []byte // made when the first one is found
	copied := 0
	for i := 0; i < len(text); {
		word := text[i : i+event.WordLen(text[i:])]
		if eq := bytes.IndexByte(word, '='); eq > 0 && keys[string(word[:eq])] {
			out = append(append(out, text[copied:i+eq+1]...), marker...)
			copied = i + len(word)
		}
		i += len(word) + 1
	}
	if copied == 0 {
		return text
	}
	return append(out, text[copied:]...)
}
