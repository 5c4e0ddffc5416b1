package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// signs are what the record shows beside the circuits, since one was built
// last.
type signs struct {
	skew        sign // tor's clock differs
	unreachable sign // tor hears nothing, or reaches no directory
	heard       bool // since then it hears something
	guard       sign // a guard went down, or a connection to one
	relays      []string
	noRoute     map[string]bool // relays to which there was no way
	answered    bool            // some connection came about, or was refused by who should have been there
}

// sign is a record that shows something.
type sign struct {
	seq  uint64
	at   time.Time
	text string
}

// skewBefore is how long before the first failure tor may have said that its
// clock differs to have it for the cause.
const skewBefore = time.Minute

// hear takes an event that is not about circuits.
func (c *outageClient) hear(rec *journal.Record, parsed event.Event) {
	switch ev := parsed.(type) {
	case *event.ConfChanged:
		c.configured(rec, ev)
	case *event.Status:
		c.status(rec, ev)
	case *event.NetworkLiveness:
		if c.signs.heard = ev.Status != "DOWN"; !c.signs.heard {
			c.signs.unreachable = sign{rec.Seq, rec.Time, "NETWORK_LIVENESS DOWN"}
		}
	case *event.Guard:
		if ev.Status == "DOWN" {
			c.signs.lost(rec, ev.Name, "GUARD DOWN")
		}
	case *event.ORConn:
		c.signs.connection(rec, ev)
	}
}

// configured takes a change of configuration.
func (c *outageClient) configured(rec *journal.Record, ev *event.ConfChanged) {
	for _, o := range ev.Options {
		if !strings.EqualFold(o.Name, "DisableNetwork") {
			continue
		}
		if c.disabled = o.Set && o.Value != "0"; c.disabled {
			c.says(rec, CauseNetworkDown, "DisableNetwork="+strings.Clone(o.Value))
		} else {
			c.ease(rec)
		}
	}
}

// status takes what tor says of its state (control-spec 4.1.10).
func (c *outageClient) status(rec *journal.Record, ev *event.Status) {
	switch ev.Action {
	case "NOT_ENOUGH_DIR_INFO":
		c.noDir = true
		c.says(rec, CauseNoDirectory, ev.Action)
	case "ENOUGH_DIR_INFO":
		c.noDir = false
		c.ease(rec)
	case "CLOCK_SKEW":
		skew, _ := ev.Arguments.Get("SKEW")
		c.signs.skew = sign{rec.Seq, rec.Time, "CLOCK_SKEW SKEW=" + skew}
	case "CIRCUIT_NOT_ESTABLISHED":
		if reason, _ := ev.Arguments.Get("REASON"); reason == "DIR_ALL_UNREACHABLE" {
			c.signs.unreachable, c.signs.heard = sign{rec.Seq, rec.Time, "CIRCUIT_NOT_ESTABLISHED REASON=" + reason}, false
		}
	}
}

// connection takes what became of a connection to a relay. Tor closes one that
// it needs no more with REASON=DONE.
func (s *signs) connection(rec *journal.Record, ev *event.ORConn) {
	switch {
	case ev.Status == "CONNECTED", ev.Status == "FAILED" && ev.Reason != "NOROUTE" && ev.Reason != "TIMEOUT":
		s.answered = true
	case ev.Status == "FAILED":
		if s.noRoute == nil {
			s.noRoute = map[string]bool{}
		}
		if len(s.noRoute) < maxListed {
			s.noRoute[strings.Clone(ev.Target)] = true
		}
	}
	if ev.Status == "FAILED" || ev.Status == "CLOSED" && ev.Reason != "DONE" {
		s.lost(rec, ev.Target, "ORCONN "+ev.Status+" REASON="+ev.Reason)
	}
}

// lost notes a relay to which a connection ended.
func (s *signs) lost(rec *journal.Record, name, text string) {
	if s.guard.seq == 0 {
		s.guard = sign{rec.Seq, rec.Time, strings.Clone(text)}
	}
	if len(s.relays) < maxListed && !slices.ContainsFunc(s.relays, func(r string) bool { return relay(r) == relay(name) }) {
		s.relays = append(s.relays, strings.Clone(name))
	}
}

// explain gives an outage its cause, the strongest that the signs show. What tor
// says by itself stays, but for a clock that differs: that makes tor take the
// directory for outdated.
func (s *signs) explain(o *Outage, r *failedRun) {
	set := func(cause string, by sign) {
		o.Cause, o.Detail = cause, by.text
		if by.seq != 0 {
			o.shows(by.seq)
		}
	}
	disabled := o.Cause == CauseNetworkDown && strings.HasPrefix(o.Detail, "DisableNetwork")
	switch {
	case disabled:
	case s.skew.seq != 0 && !s.skew.at.Before(o.Begin.Add(-skewBefore)):
		set(CauseClockSkew, s.skew)
	case o.Cause == CauseNoDirectory:
	case s.unreachable.seq != 0:
		set(CauseNetworkDown, s.unreachable)
	case len(s.noRoute) > 1 && !s.answered:
		set(CauseNetworkDown, sign{s.guard.seq, s.guard.at, fmt.Sprintf("no way to %d relays: %s", len(s.noRoute), s.guard.text)})
	case r.atGuard*2 > r.failed:
		o.Relays = slices.Clone(s.relays)
		by := s.guard
		if by.seq == 0 {
			by.text = "no first hop answered: " + most(r.why)
		}
		set(CauseGuardLost, by)
	case r.failed > 0:
		set(CauseBehindGuard, sign{text: most(r.why)})
	}
}

// most returns the word that was counted most.
func most(words map[string]int) (word string) {
	for w, n := range words {
		if n > words[word] || n == words[word] && w < word {
			word = w
		}
	}
	return word
}
