package query

import (
	"fmt"
	"strconv"
	"time"

	"torjournal/tor/event"
)

// Rules about the machine's clock.

const lookAtClock = "see this machine's clock: date -u, timedatectl, chronyc tracking; and its time zone"

// clockSkew: tor compares its clock with a relay's or a directory's, and tells
// when they differ by more than it bears (an hour, of a consensus less). Once is
// enough: relays that it does not trust with it are left out by tor itself.
func clockSkew(c *chart) []*Finding {
	s := c.seen.get(kind{of: event.STATUS_GENERAL, what: "CLOCK_SKEW"})
	if s == nil || s.count == 0 {
		return nil
	}
	what := "The clock of this machine is wrong, says tor."
	if n, err := strconv.ParseInt(s.keyword("SKEW"), 10, 64); err == nil && n != 0 {
		// Positive is that the source's clock is behind ours (control-spec, 4.1.10).
		side := "fast"
		if n < 0 {
			n, side = -n, "slow"
		}
		what = fmt.Sprintf("The clock of this machine is %s by %s, says tor: it cannot use directory documents that are not valid yet, or any more.", side, spoken(time.Duration(n)*time.Second))
	}
	return one(c.finding(FindingError, what, s, lookAtClock, c.ask("query bootstrap")))
}

// manyJumps: a laptop that was asleep jumps once when it wakes up, a clock that is
// set at the start once more.
const manyJumps = 3

// clockJumps: the wall clock was set again and again, as tor or the recorder saw.
func clockJumps(c *chart) []*Finding {
	tor, own := c.seen.get(kind{of: event.STATUS_GENERAL, what: "CLOCK_JUMPED"}), c.seen.get(journalKind(event.WhatClock))
	s := own // both see the same jumps; ours are the smaller ones too
	if own == nil || tor != nil && tor.count > own.count {
		s = tor
	}
	if s == nil || s.count < c.many(manyJumps) {
		return nil
	}
	return one(c.finding(FindingNotice, fmt.Sprintf("The clock of this machine jumped %d times: it is set by force, or the machine is suspended.", s.count), s,
		lookAtClock, c.ask("replay -e JOURNAL,STATUS_GENERAL")))
}
