// Package scrub decides what is kept of a tor's events. A role says which
// types are recorded, which are only delivered to who asks for them, and
// whether what is recorded is stripped first.
//
// It promises that nothing that the role does not record comes out of
// Policy.Keep as an event to record, and that what a relay or a bridge records
// holds no network address and no host name of anybody's: log text, status
// events, changes of the configuration, OR connections and the snapshot of the
// state have them replaced by "[scrubbed]", as tor's own SafeLogging does.
//
// A policy that is Hashed replaces, whatever the role, every field by which
// others can tell whom the tor's users talk to by a keyed hash, also of what is
// delivered only. An event's type, the number and order of its words, and what
// is no such field stay. Relays are public and keep their names, except
// bridges.
//
// It does not judge what is delivered live otherwise, does not parse events
// into values, and does no I/O.
package scrub

// marker stands for what has been taken out. It is what tor itself writes. It
// holds no blank, quote, line end or "=", so that it fits wherever a word or
// a value does.
const marker = "[scrubbed]"
