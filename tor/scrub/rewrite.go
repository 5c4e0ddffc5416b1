package scrub

import (
	"bytes"

	"torjournal/tor/event"
)

// Rewriter hashes events that were recorded without, as a Hashed policy would
// have done before they were: the lines are the same. It is for one goroutine.
//
// A tor's configuration is not in its records. Which relays are bridges is
// known from what is given of it, and from what the records tell: a Rewriter
// that has been shown all of them (Learn) knows so from the first one on.
type Rewriter struct {
	// immutable
	base   *Policy
	hasher *Hasher
	conf   map[string][]string

	learning, writing life
}

// life is the policy of one session's records.
type life struct {
	session uint64
	policy  *Policy // nil before the first record
}

// NewRewriter returns a rewriter of records of tors that had, as far as it is
// known, the configuration conf: HashedOptions and BridgeRelay. With strip,
// addresses and host names are taken out first, whatever the type, as a relay
// does with what it records.
func NewRewriter(h *Hasher, conf map[string][]string, strip bool) *Rewriter {
	return &Rewriter{
		hasher: h, conf: conf,
		base: &Policy{role: detect(conf), recorded: event.AllTypes(), strips: strip},
	}
}

// Describe is Hasher.Describe for the source of a session that is there. What
// another key has hashed stays, and that key's name with it.
func (r *Rewriter) Describe(src event.Source) event.Source {
	out := r.hasher.Describe(src)
	if src.Scrub != "" {
		out.Scrub = src.Scrub
	}
	return out
}

// Learn is shown the records in order, before the first is rewritten.
func (r *Rewriter) Learn(session uint64, wire []byte) {
	p := r.of(&r.learning, session)
	if p.keyed.bridged || bytes.Contains(wire, []byte("CONF_CHANGED")) || aboutBridges(wire) {
		p.rewrite(wire)
	}
}

// Again makes the next record to be rewritten the first one.
func (r *Rewriter) Again() { r.writing = life{} }

// Rewrite returns what becomes of the next record; wire itself if it stays as
// it is.
func (r *Rewriter) Rewrite(session uint64, wire []byte) []byte {
	out := r.of(&r.writing, session).rewrite(wire)
	if event.TypeOf(wire) == event.JOURNAL {
		out = r.nameKey(out)
	}
	return out
}

func (r *Rewriter) of(l *life, session uint64) *Policy {
	if l.policy == nil || l.session != session {
		*l = life{session, r.base.Hashed(r.hasher, r.conf)}
	}
	return l.policy
}

// rewrite strips, if p does, and hashes.
func (p *Policy) rewrite(wire []byte) []byte {
	raw := event.NewRaw(wire)
	return p.keyed.hash(raw.Name, p.strip(raw))
}

// nameKey adds to the event that begins a recording the key's name, where the
// recorder puts it.
func (r *Rewriter) nameKey(wire []byte) []byte {
	for _, head := range []struct{ begin, next string }{{"650 JOURNAL START ", " PID="}, {"650 JOURNAL SOURCE_RESTORED ", " DOWN_MS="}} {
		if !bytes.HasPrefix(wire, []byte(head.begin)) || bytes.Contains(wire, []byte(" SCRUB=")) {
			continue
		}
		if i := bytes.Index(wire, []byte(head.next)); i >= 0 {
			return append(append(append(bytes.Clone(wire[:i]), " SCRUB="...), r.hasher.id...), wire[i:]...)
		}
	}
	return wire
}
