package query

import (
	"fmt"
	"strconv"
	"time"

	"torjournal/tor/event"
)

// Rules about tor's start.

// longPhase: tor gives a directory a minute before it asks the next one; a phase
// of the start that takes twice that is stuck.
const longPhase = 2 * time.Minute

// manyProblems: from so many problems in a row on tor itself tells what is in the
// way as a warning (BOOTSTRAP_PROBLEM_THRESHOLD).
const manyProblems = 10

// bootstrapStuck: the start has not come to its end, and does not go on.
func bootstrapStuck(c *chart) []*Finding {
	b := c.boot
	if b == nil || b.Progress == 100 || b.Progress == 0 && b.Warning == "" || b.Session != c.walk.session || c.to.seq == 0 {
		return nil // at 0 tor has not been told to begin
	}
	if c.works(moment{seq: uint64(b.place.At), session: b.Session}) {
		return nil
	}
	s := c.stands(kind{of: event.STATUS_CLIENT, what: "BOOTSTRAP"})
	stands := c.to.time.Sub(b.Time.Time)
	count := 0
	if s != nil {
		count, _ = strconv.Atoi(s.keyword("COUNT"))
	}
	if stands < longPhase && count < manyProblems {
		return nil
	}
	what := fmt.Sprintf("Tor's start stands at %d %% (%s)", b.Progress, b.Summary)
	if stands >= longPhase {
		what += fmt.Sprintf(" and has not gone on for %s", spoken(stands))
	}
	if b.Warning != "" {
		what += fmt.Sprintf(": %s (%s)", b.Warning, b.Reason)
		if count > 0 {
			what += fmt.Sprintf(", %d problems so far", count)
		}
		if b.Host != "" {
			what += ", the last one with " + shortRelay("$"+b.Host)
		}
	}
	next := []string{c.ask("query bootstrap"), c.ask("query orconns --status failed"), lookAtNetwork}
	if b.Progress >= 25 {
		next = append(next, lookAtClock)
	}
	f := c.finding(FindingError, what+".", s, next...)
	if s == nil || s.count == 0 {
		f.Records, f.First, f.Last = []uint64{uint64(b.place.At)}, b.Time, b.Time
	}
	return one(f)
}

// longWithout: after a consensus some relay descriptors are missing for seconds;
// fetching them takes less than a minute.
const longWithout = time.Minute

// noDirectoryInfo: tor knows too few relays to build circuits.
func noDirectoryInfo(c *chart) []*Finding {
	client := func(action string) kind { return kind{of: event.STATUS_CLIENT, what: action} }
	s := c.stands(client("NOT_ENOUGH_DIR_INFO"), client("ENOUGH_DIR_INFO"))
	if s == nil || c.since(s.now) < longWithout || c.works(s.now) {
		return nil
	}
	return one(c.finding(FindingError, fmt.Sprintf("Tor has had too little directory information to build circuits for %s.", spoken(c.since(s.now))), s,
		c.ask("replay -e STATUS_CLIENT,NOTICE,WARN"), lookAtClock, "see whether the disk of tor's DataDirectory has room"))
}
