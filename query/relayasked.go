package query

import (
	"bytes"
	"context"
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// isRelay reports whether a hop as tor writes it is what word names: a
// nickname, a whole fingerprint, or "$" and the beginning of one.
func isRelay(word, hop string) bool {
	r := event.ParseRouter(hop)
	if beginning, ok := strings.CutPrefix(word, "$"); ok {
		beginning, _, _ = strings.Cut(beginning, "~")
		return len(beginning) > 0 && len(beginning) <= len(r.Fingerprint) && strings.EqualFold(beginning, r.Fingerprint[:len(beginning)])
	}
	return strings.EqualFold(word, r.Nickname) || strings.EqualFold(word, r.Fingerprint)
}

// askedRelay is the relay that a question is about, by a word as isRelay takes it.
// tor writes the fingerprint alone as long as it does not know the relay's
// nickname, for instance when it starts, and once it has forgotten it. So where a
// nickname is asked for, and a hop has none, it is looked for who bears it: once,
// in the events of the range that name relays. A range whose hops all have
// nicknames costs nothing more; another one costs one more look at the types of
// relayTypes, in which no event is parsed.
//
// What is found does not depend on the part of the answer that is wanted.
type askedRelay struct {
	word string
	src  source
	r    journal.Range
	part Part

	bearers map[string]bool // fingerprints of those that bear the nickname; nil: nobody wanted to know
	err     error           // why they could not be looked for
}

// relayTypes are the events that say what relays are called, when tor knows it.
var relayTypes = event.NewSet(event.CIRC, event.CIRC_MINOR, event.ORCONN, event.GUARD, event.JOURNAL)

// fingerprintLength is how many hex digits one has.
const fingerprintLength = 40

func (a *askedRelay) size() int { return len(a.bearers) * entryBytes }

// is reports whether a hop is the relay.
func (a *askedRelay) is(ctx context.Context, hop string) bool {
	if isRelay(a.word, hop) {
		return true
	}
	r := event.ParseRouter(hop)
	if r.Nickname != "" || r.Fingerprint == "" || a.word[0] == '$' || len(a.word) >= fingerprintLength || a.err != nil {
		return false
	}
	if a.bearers == nil {
		a.bearers = map[string]bool{}
		a.err = a.find(ctx)
	}
	return a.bearers[r.Fingerprint]
}

// find looks for who bears the nickname, from the beginning of the first session
// of the range to the range's end.
func (a *askedRelay) find(ctx context.Context) error {
	w := walker{src: a.src} // the walk of the answer tells the gaps
	first, ok, err := w.firstOfPart(ctx, a.r, Part{})
	if !ok || err != nil {
		return err
	}
	sessions, err := w.sessions(ctx)
	if err != nil {
		return err
	}
	look := journal.Range{To: a.r.To, Until: a.r.Until, Session: a.r.Session, Types: relayTypes}
	for _, s := range sessions {
		if s.ID == first.Session {
			look.From = s.First
		}
	}
	for rec, err := range w.records(ctx, look) {
		if err != nil {
			return err
		}
		if rec.Type == event.JOURNAL && !bytes.HasPrefix(rec.Wire, []byte("650+JOURNAL "+event.WhatSnapshot)) {
			continue // what a controller calls them in its commands proves nothing
		}
		a.learn(rec.Wire)
		if err := a.part.allow(a.size()); err != nil {
			return err
		}
	}
	return nil
}

// learn takes the relays that a wire form names.
func (a *askedRelay) learn(wire []byte) {
	for {
		_, rest, found := bytes.Cut(wire, []byte("$"))
		if !found {
			return
		}
		name := rest
		if end := bytes.IndexAny(rest, ", \r\n"); end >= 0 {
			name = rest[:end]
		}
		if wire = rest; len(name) > fingerprintLength+1 && (name[fingerprintLength] == '~' || name[fingerprintLength] == '=') &&
			strings.EqualFold(string(name[fingerprintLength+1:]), a.word) {
			a.bearers[string(name[:fingerprintLength])] = true
		}
	}
}
