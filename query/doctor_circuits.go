package query

import (
	"fmt"
	"time"

	"torjournal/tor/event"
)

// Rules about circuits.

const (
	// fewFailures: fewer are no evidence, whatever their share.
	fewFailures = 10

	// someFail is the share of circuits that may fail for one reason. On the
	// public network some in a hundred do; a tenth, with 95 % certainty, is more
	// than relays that come and go explain.
	someFail = 0.10

	// lateFail is the share that may fail for TIMEOUT: tor sets its timeout so that
	// a fifth of the circuits exceed it (path-spec, section 2.4).
	lateFail = 0.30
)

// failure returns a finding with a group of circuits as evidence.
func (c *chart) failure(severity, what string, row *Failure, next ...string) *Finding {
	f := c.finding(severity, what, nil, next...)
	f.Count, f.Of, f.Last = row.Failed, row.Circuits, row.LastTime
	s := c.seen.get(kind{of: event.CIRC, what: statusFailed, by: row.Reason, who: row.RemoteReason})
	if row.By == ByReason && s != nil && s.count > 0 {
		f.Records, f.Words, f.First = s.records(), s.lines(), Stamp{s.first.time}
	} else if row.last != 0 {
		f.Records = []uint64{row.last}
	}
	if row.LastID != "" {
		f.Next = append(f.Next, fmt.Sprintf("torjournal query circuit %s --session %d", row.LastID, row.LastSession))
	}
	return f
}

// longRun: a burst of circuits may fail in a second, as when a guard goes away.
const longRun = time.Minute

// noCircuitBuilt: all circuits fail, up to the end.
func noCircuitBuilt(c *chart) []*Finding {
	s := &c.building.run
	if s.count < fewFailures || s.last.time.Sub(s.first.time) < longRun || s.last.session != c.walk.session {
		return nil
	}
	return one(c.finding(FindingError, fmt.Sprintf("No circuit is built any more: the last %d failed, in %s.", s.count, spoken(s.last.time.Sub(s.first.time))), s,
		c.ask("query failures --by reason"), c.ask("query failures --by guard"), lookAtNetwork))
}

// firstHopFailing: circuits break before the first relay.
func firstHopFailing(c *chart) []*Finding {
	for _, row := range c.circuits[ByPosition].rows() {
		if row.Position != 1 || row.Failed < fewFailures || row.RateLow <= someFail {
			continue
		}
		return one(c.failure(FindingWarning, fmt.Sprintf("%d of %d circuits broke before their first relay: it is the guard, or the network between.", row.Failed, row.Circuits), row,
			c.ask("query guards"), c.ask("query orconns"), lookAtNetwork))
	}
	return nil
}

// circuitsFailing: too many circuits fail for one reason.
func circuitsFailing(c *chart) (found []*Finding) {
	for _, row := range c.circuits[ByReason].rows() {
		bound, what := someFail, "%d of %d circuits failed for %s."
		switch {
		case row.Reason == timedOut:
			bound, what = lateFail, "%d of %d circuits took too long to build (%s); a fifth is usual."
		case row.RemoteReason != "":
			what = "%d of %d circuits were torn down by a relay (%s)."
		}
		if row.Failed < fewFailures || row.RateLow <= bound {
			continue
		}
		found = append(found, c.failure(FindingWarning, fmt.Sprintf(what, row.Failed, row.Circuits, bothReasons(row.Reason, row.RemoteReason)), row,
			c.ask("query failures --by link"), c.ask("query failures --by position")))
	}
	return found
}

// shownPlaces is how many relays or links one rule names.
const shownPlaces = 3

// relayFailing: circuits fail at one relay, beside several others.
func relayFailing(c *chart) (found []*Finding) {
	for _, row := range c.circuits[ByRelay].rows() {
		if row.Sure != Likely || row.Failed < fewFailures || row.RateLow <= mostFail || len(found) == shownPlaces {
			continue
		}
		found = append(found, c.failure(FindingNotice, fmt.Sprintf("%d of %d circuits that came to the relay %s failed there, beside %d different neighbours.", row.Failed, row.Circuits, shortRelay(row.Relay), row.Neighbours), row,
			c.ask("query failures --by relay"), c.ask("query circuits --status failed --relay "+relayWord(row.Relay))))
	}
	return found
}

// linkFailing: circuits fail between two relays. The first hop has a rule of its
// own, and so has a relay beyond which nothing is reached.
func linkFailing(c *chart) (found []*Finding) {
	for _, row := range c.circuits[ByLink].rows() {
		if row.Link[0] == clientItself || row.Link[1] == nobodyKnown || row.Failed < fewFailures || row.RateLow <= mostFail || len(found) == shownPlaces {
			continue
		}
		found = append(found, c.failure(FindingNotice, fmt.Sprintf("%d of %d circuits from %s to %s failed between the two.", row.Failed, row.Circuits, shortRelay(row.Link[0]), shortRelay(row.Link[1])), row,
			c.ask("query failures --by link")))
	}
	return found
}

// Purposes of a conflux circuit's leg: it has the second once it is joined to
// another one.
const (
	confluxUnlinked = "CONFLUX_UNLINKED"
	confluxLinked   = "CONFLUX_LINKED"
)

// confluxFailing: the legs of circuits that are to be joined fail, others do not.
// Tor builds several legs ahead and throws some away, so a few are no fault.
func confluxFailing(c *chart) []*Finding {
	f := c.circuits[ByPurpose]
	var leg *Failure
	legs := 0
	for _, row := range f.rows() {
		switch row.Purpose {
		case confluxUnlinked:
			leg = row
			legs += row.Circuits
		case confluxLinked:
			legs += row.Circuits
		}
	}
	if leg == nil || leg.Failed < fewFailures {
		return nil
	}
	low, _ := wilson(leg.Failed, legs)
	_, high := wilson(f.failed-leg.Failed, f.total-legs)
	if low <= mostFail || high >= low {
		return nil
	}
	leg.Circuits = legs
	return one(c.failure(FindingWarning, fmt.Sprintf("%d of %d legs of conflux circuits failed, and far fewer of the other circuits.", leg.Failed, legs), leg,
		c.ask("query circuits --purpose "+confluxUnlinked+" --status failed"), "see whether ConfluxEnabled 0 in torrc makes a difference"))
}

// manyResets: tor forgets its build times where the network changes, as when a
// laptop goes to another one: once or twice an hour.
const manyResets = 3

// buildTimeoutReset: tor forgets its build times again and again.
func buildTimeoutReset(c *chart) []*Finding {
	s := c.seen.get(kind{of: event.BUILDTIMEOUT_SET, what: "RESET"})
	if s == nil || s.count < c.many(manyResets) {
		return nil
	}
	return one(c.finding(FindingWarning, fmt.Sprintf("Tor forgot its circuit build times %d times, since nearly all circuits timed out or a controller said so: the network changes, or breaks off.", s.count), s,
		c.ask("query builds"), c.ask("query failures --by hour"), lookAtNetwork, "see whether a controller sends DROPTIMEOUTS: "+c.ask("query commands")))
}

const (
	fewTimeouts = 50  // computed: tor begins with 60 s and comes down with the first hundred circuits
	wideSwing   = 4.0 // times between the shorter and the longer ones, of which a tenth each is left out
)

// buildTimeoutSwinging: the time after which tor gives circuits up goes up and
// down.
func buildTimeoutSwinging(c *chart) []*Finding {
	t := &c.timeouts
	low, high := t.rank(.10), t.rank(.90)
	if t.total < fewTimeouts || low == 0 || high/low < wideSwing {
		return nil
	}
	s := c.seen.get(kind{of: event.BUILDTIMEOUT_SET, what: "COMPUTED"})
	return one(c.finding(FindingNotice, fmt.Sprintf("The time after which tor gives up building a circuit swings between about %s and %s.", spokenMS(low), spokenMS(high)), s,
		c.ask("query builds"), "see what else uses this machine's line"))
}

// spokenMS is a number of milliseconds in words.
func spokenMS(ms float64) string {
	if ms < 1000 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
