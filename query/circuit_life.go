package query

import (
	"strings"
	"time"

	"torjournal/tor/event"
)

// Status words of CIRC events (control-spec 4.1.1) that change what is known;
// GUARD_WAIT does not.
const (
	statusLaunched = "LAUNCHED"
	statusExtended = "EXTENDED"
	statusBuilt    = "BUILT"
	statusFailed   = "FAILED"
	statusClosed   = "CLOSED"
)

// timedOut is the reason of circuits that tor gives up but goes on building,
// to learn how long it takes (path-spec 2.4).
const timedOut = "TIMEOUT"

// life is the state machine of one circuit. It takes CIRC, CIRC_MINOR and
// CIRC_BW events in the order of the record, from any point of the circuit's
// life on, and entries of a snapshot, which may say what events said already.
//
//	LAUNCHED ─▶ EXTENDED ─▶ BUILT ─▶ CLOSED   the usual life
//	     EXTENDED ─▶ FAILED                   the usual failure
//	     FAILED (TIMEOUT) ─▶ EXTENDED ─▶ BUILT ─▶ CLOSED
//	                                          given up, but measured on
//	     BUILT ─▶ EXTENDED ─▶ BUILT | FAILED  cannibalized: extended to serve something else
//
// It is not a table of allowed steps: events may be missing anywhere, and
// what comes is believed. Words and hops are shared between lives: a journal
// has few of them, often.
type life struct {
	being

	launched    time.Time // arrival of LAUNCHED
	created     time.Time // earliest TIME_CREATED that tor told, while launched is unknown; a cannibalized circuit has two
	built       time.Time // arrival of the first BUILT
	everBuilt   bool      // by BUILT or by a snapshot
	builtBefore bool      // it was BUILT before the record, so no BUILT to come is the first
	failed      bool      // FAILED came, whatever followed

	failedAt      time.Time // arrival of FAILED
	failedHops    int       // that it had then
	failedBuilt   bool      // it had been BUILT then: tor extended it to serve something else
	failedPurpose string    // that it had then

	status, purpose, hsState, buildFlags string
	reason, remoteReason                 string
	path                                 []string
	streams, read, written               uint64

	onion *onionUse // what it did last for an onion service; nil: nothing
}

// begun is the earliest time at which it is known to have lived.
func (l *life) begun() time.Time {
	if !l.launched.IsZero() {
		return l.launched
	}
	if !l.created.IsZero() && l.created.Before(l.namedAt) {
		return l.created
	}
	return l.namedAt
}

// over reports whether its end is final.
func (l *life) over() bool {
	return l.ended() && (l.status == statusClosed || l.reason != timedOut)
}

// outcome judges; see the constants.
func (l *life) outcome() string {
	switch {
	case l.failed:
		return Failed
	case l.ended() && l.everBuilt:
		return Built
	case l.ended():
		return Closed
	case l.lost():
		return Lost
	case l.everBuilt:
		return Open
	}
	return Building
}

// circ takes a CIRC event that arrived at t.
func (l *life) circ(ev *event.Circuit, t time.Time, words *intern) {
	l.named = true
	l.lostBy, l.closed = time.Time{}, time.Time{}
	l.describe(ev.Path, ev.BuildFlags, ev.Purpose, ev.HSState, words)
	if ev.Status == statusLaunched && l.launched.IsZero() {
		l.launched = t
	}
	l.age(ev.TimeCreated)
	switch ev.Status {
	case statusExtended:
		l.builtBefore = l.builtBefore || l.everBuilt && l.built.IsZero()
	case statusBuilt:
		if l.everBuilt = true; l.built.IsZero() && !l.builtBefore {
			l.built = t
		}
	case statusFailed, statusClosed:
		l.closed = t
		if !l.failed {
			l.reason, l.remoteReason = words.word(ev.Reason), words.word(ev.RemoteReason)
		}
		if ev.Status == statusFailed && !l.failed {
			l.failed, l.failedAt, l.failedHops, l.failedBuilt, l.failedPurpose = true, t, len(l.path), l.everBuilt, l.purpose
		}
	}
	l.status = words.status(ev.Status)
}

// standing takes an entry of a snapshot's circuit-status, which arrived at t.
// A circuit whose end is recorded stays ended: tor may tell the end before it
// forgets the circuit.
func (l *life) standing(ev *event.Circuit, words *intern) {
	l.named = true
	l.age(ev.TimeCreated)
	if l.ended() {
		return
	}
	l.lostBy = time.Time{}
	l.describe(ev.Path, ev.BuildFlags, ev.Purpose, ev.HSState, words)
	l.everBuilt = l.everBuilt || ev.Status == statusBuilt
	l.status = words.word(ev.Status)
}

// minor takes a CIRC_MINOR event.
func (l *life) minor(ev *event.CircuitMinor, words *intern) {
	l.describe(ev.Path, ev.BuildFlags, ev.Purpose, ev.HSState, words)
	l.age(ev.OldTimeCreated)
	l.age(ev.TimeCreated)
}

// age takes a TIME_CREATED, which says nothing where LAUNCHED was recorded.
func (l *life) age(timeCreated string) {
	if !l.launched.IsZero() {
		return
	}
	t, err := event.ParseTime(timeCreated)
	if err == nil && (l.created.IsZero() || t.Before(l.created)) {
		l.created = t
	}
}

// describe takes what an event says of the circuit; what it leaves out stays.
func (l *life) describe(path event.Path, flags, purpose, hsState string, words *intern) {
	if path != "" {
		l.hops(string(path), words)
	}
	for _, said := range [...]struct {
		of *string
		is string
	}{{&l.buildFlags, flags}, {&l.purpose, purpose}, {&l.hsState, hsState}} {
		if said.is != "" && said.is != *said.of { // most events repeat what is known
			*said.of = words.word(said.is)
		}
	}
}

// usualHops is the length of a path that needs no room of its own: three relays,
// and one more where a circuit is cannibalized.
const usualHops = 4

// hops sets the path, sharing what an earlier event said of it already.
func (l *life) hops(path string, words *intern) {
	n, more := 0, true
	for ; more && n < len(l.path) && strings.HasPrefix(path, l.path[n]); n++ {
		rest := path[len(l.path[n]):]
		if rest != "" && rest[0] != ',' {
			break // another hop, whose name begins so
		}
		if more = rest != ""; more {
			path = rest[1:]
		}
	}
	switch {
	case l.path == nil:
		l.path = make([]string, 0, usualHops)
	case n < len(l.path):
		l.path = l.path[:n:n] // who keeps what it was keeps it as it was
	}
	for more {
		var hop string
		hop, path, more = strings.Cut(path, ",")
		l.path = append(l.path, words.word(hop))
	}
}
