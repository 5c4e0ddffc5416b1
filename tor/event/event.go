// Package event is torjournal's vocabulary: the asynchronous events of Tor's
// control protocol (control-spec, section 4.1) as Go values. Parse gives the
// typed value of a wire form, Format the wire form of a value.
//
// It promises that nothing is lost: unknown event types, unknown keywords and
// words that do not fit an event's grammar are kept, and for all that Parse
// takes, Format(Parse(wire)) is wire again. And it promises that no field can
// break out of its line: what Format makes of an event's fields, whatever they
// hold, is one reply of the event's type (Raw and Unknown, which carry whole
// replies, excepted). It does no I/O, keeps no state and imports the standard
// library only.
//
// It does not judge events, follow circuits or decide what is kept: query and
// tor/scrub do.
package event

import "time"

// Event is one asynchronous event.
type Event interface {
	// Type is the event's name.
	Type() Type

	// Format returns the event's whole wire form: one or more lines, each
	// ended by CRLF, the first beginning with "650". The caller may keep the
	// result but must not change it: some events return the bytes they hold.
	Format() []byte
}

// Raw is an event that nobody has parsed yet: the bytes that a source sent.
// Whoever makes a Raw gives up Wire: it is never changed afterwards.
type Raw struct {
	Name Type
	Wire []byte // whole wire form, every line ended by CRLF
}

// NewRaw returns wire as an event without parsing more of it than its name.
func NewRaw(wire []byte) Raw { return Raw{Name: TypeOf(wire), Wire: wire} }

// Type returns the event's name.
func (r Raw) Type() Type { return r.Name }

// Format returns the bytes as they came.
func (r Raw) Format() []byte { return r.Wire }

// Live marks an event that is delivered, in order, to whoever asks for it
// now, but never written and never numbered (DESIGN section 5: what the role
// does not record).
type Live struct{ Event }

// TypeOf returns the event name in a wire form ("650 CIRC …", "650+NS …",
// "650-CONF_CHANGED"), "" if there is none. It does not allocate for types
// that this package knows.
func TypeOf(wire []byte) Type {
	if len(wire) < 4 {
		return ""
	}
	word := wire[4:]
	for i, c := range word {
		if c == ' ' || c == '\r' || c == '\n' {
			word = word[:i]
			break
		}
	}
	if b, ok := typeIndex[string(word)]; ok {
		return types[b]
	}
	return Type(word)
}

var typeIndex = func() map[string]int {
	m := make(map[string]int, len(types))
	for i, t := range types {
		m[string(t)] = i
	}
	return m
}()

// Source describes one life of a Tor process (or of another source of
// events). It is what a journal's session is about.
type Source struct {
	Name        string    // what the user calls it; by default its address
	Version     string    // "0.4.9.11", as GETINFO version says
	Fingerprint string    // 40 hex digits if it is a relay, else ""
	Role        string    // the role it is recorded as: client, onion, relay, testnet, all, custom
	PID         int       // process/pid, 0 if unknown
	Started     time.Time // when the process started (now − uptime), zero if unknown
	Scrub       string    `json:",omitempty"` // names the key that what is recorded is hashed with, "" if it is not
}
