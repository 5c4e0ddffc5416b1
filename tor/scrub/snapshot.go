package scrub

import (
	"bytes"

	"torjournal/tor/event"
)

// snapshotKeys are the GETINFO keys that a snapshot may hold where not all is
// recorded, each with the type of event that tells the same: what must not be
// recorded as it happens must not be recorded as a state either. "" means
// always. A key that is not in the list is left out.
var snapshotKeys = map[string]event.Type{
	"version":                "",
	"traffic/read":           "", // the sum since tor's start
	"traffic/written":        "",
	"status/bootstrap-phase": event.STATUS_CLIENT,
	"circuit-status":         event.CIRC,
	"stream-status":          event.STREAM,
	"orconn-status":          event.ORCONN,
	"entry-guards":           event.GUARD,
	"bw-event-cache":         event.BW,
}

func isSnapshot(wire []byte) bool {
	const head = "650+JOURNAL SNAPSHOT"
	rest, ok := bytes.CutPrefix(wire, []byte(head))
	return ok && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\r' || rest[0] == '\n')
}

// snapshot returns a JOURNAL SNAPSHOT with what the policy keeps of tor's
// reply inside. The reply's own data blocks end with ".", which is ".." there.
func (p *Policy) snapshot(wire []byte) []byte {
	out := make([]byte, 0, len(wire))
	var of event.Type // what the lines of the present data block are like
	keep, inData := true, false
	for n := 0; len(wire) > 0; n++ {
		line := wire
		if i := bytes.IndexByte(wire, '\n'); i >= 0 {
			line = wire[:i+1]
		}
		wire = wire[len(line):]
		text := bytes.TrimRight(line, "\r\n")
		end := line[len(text):]
		switch {
		case n == 0 || bytes.Equal(text, []byte(".")):
			out = append(out, line...)
			if n > 0 {
				return append(out, wire...) // 650 OK
			}
		case inData:
			inData = !bytes.Equal(text, []byte(".."))
			if keep {
				out = append(p.stateLine(out, of, text), end...)
			}
		case hasCode(text) && text[3] != ' ':
			key, value, _ := bytes.Cut(text[4:], []byte("="))
			inData = text[3] == '+'
			if of, keep = p.keepsState(string(key)); keep {
				out = append(append(append(out, text[:4]...), key...), '=')
				out = append(p.stateLine(out, of, value), end...)
			}
		case hasCode(text): // 250 OK
			out = append(p.stateLine(append(out, text[:4]...), "", text[4:]), end...)
		}
	}
	return out
}

// keepsState says whether a key's answer is kept, and which events tell the
// same.
func (p *Policy) keepsState(key string) (of event.Type, keep bool) {
	of, known := snapshotKeys[key]
	return of, known && (of == "" || p.recorded.Has(of))
}

// stateLine appends a line of an answer as the policy keeps it.
func (p *Policy) stateLine(dst []byte, of event.Type, text []byte) []byte {
	switch {
	case !p.strips || len(text) == 0:
		return append(dst, text...)
	case text[0] == '.', of == "": // the end of a block; or a number
		return appendScrubbed(dst, text, true)
	case of == event.ORCONN:
		return stripPeer(dst, text)
	}
	return stripLine(dst, of, text)
}
