package scrub

import (
	"bytes"

	"torjournal/tor/event"
)

// stateOf says which events tell the same as the answer to a GETINFO key, for
// those whose lines are like the events' own. All others are text.
func stateOf(key []byte) (t event.Type, known bool) {
	switch string(key) {
	case "circuit-status":
		return event.CIRC, true
	case "stream-status":
		return event.STREAM, true
	case "orconn-status":
		return event.ORCONN, true
	case "status/bootstrap-phase":
		return event.STATUS_CLIENT, true
	case "entry-guards", "helper-nodes":
		return event.GUARD, true
	case "version", "traffic/read", "traffic/written", "bw-event-cache":
		return "", true
	}
	return "", false
}

// state replaces in a JOURNAL SNAPSHOT, whose data block is a whole reply of
// tor's: "250-key=value", "250+key=" and lines up to "..", "250 OK".
func (k *keyed) state() {
	var of event.Type
	known, inData := false, false
	for at, n := 0, 0; at < len(k.src); n++ {
		end, next := k.line(at)
		line := k.src[at:end]
		switch {
		case n == 0, !inData && string(line) == ".":
		case inData:
			if inData = string(line) != ".."; inData {
				k.answer(of, known, at, end)
			}
		case hasCode(line):
			key, _, isSet := bytes.Cut(line[4:], []byte("="))
			inData = line[3] == '+'
			if of, known = stateOf(key); known && isSet {
				k.answer(of, known, at+4+len(key)+1, end)
			} else {
				k.text(at+4, end)
			}
		default:
			k.text(at, end)
		}
		at = next
	}
}

// answer replaces in a line of an answer.
func (k *keyed) answer(of event.Type, known bool, from, to int) {
	switch {
	case !known:
		k.text(from, to)
	case of == event.GUARD: // "name status …", without the kind
		k.fresh = false // tor remembers them long
		w := nextWord(k.src, from, to, true)
		k.field(entryField, w.from, w.to)
		k.text(w.to, to)
	case of != "":
		k.fields(of, from, to)
	}
}
