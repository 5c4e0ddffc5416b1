package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"torjournal/tor/event"
)

// Rules about the recorder, the source and the record itself.

func journalKind(what string) kind { return kind{of: event.JOURNAL, what: what} }

// recorderStopped: somebody ended the recorder, and it was not started again.
func recorderStopped(c *chart) []*Finding {
	s := c.stands(journalKind(event.WhatStop), journalKind(event.WhatStart), journalKind(event.WhatSourceRestored))
	if s == nil {
		return nil
	}
	return one(c.finding(FindingNotice, "The recorder was stopped, and has recorded nothing since: what tor does now is not known.", s,
		"torjournal status", "start the recorder again: systemctl start torjournal, or torjournal run"))
}

const (
	longLoss   = 5 * time.Minute // a tor that is restarted, with its bootstrap, is back sooner
	manyLosses = 3               // once is a restart, twice may be chance
)

// sourceLost: tor's control port is gone, was gone for long, or goes often.
func sourceLost(c *chart) (found []*Finding) {
	lost, back := journalKind(event.WhatSourceLost), journalKind(event.WhatSourceRestored)
	next := []string{
		"torjournal status", c.ask("replay -e JOURNAL,NOTICE,WARN,ERR"),
		"see whether tor runs and what its own log says last; whether the kernel ended it (journalctl -k, \"Out of memory\")",
	}
	if s := c.stands(lost, back, journalKind(event.WhatStart), journalKind(event.WhatStop)); s != nil {
		what := "The recorder has lost tor: its control port is gone."
		if c.to.seq != s.now.seq && c.since(s.now) > 0 {
			what = fmt.Sprintf("The recorder has lost tor: its control port has been gone for %s.", spoken(c.since(s.now)))
		}
		return one(c.finding(FindingError, what, s, next...))
	}
	s := c.seen.get(lost)
	if s == nil || s.count == 0 {
		return nil
	}
	if s.count >= c.many(manyLosses) {
		found = append(found, c.finding(FindingWarning, fmt.Sprintf("The recorder lost tor %d times, and found it again each time.", s.count), s, next...))
	} else if r := c.seen.get(back); r != nil && r.count > 0 {
		ms, _ := strconv.ParseInt(r.keyword("DOWN_MS"), 10, 64)
		if down := time.Duration(ms) * time.Millisecond; down >= longLoss {
			found = append(found, c.finding(FindingWarning, fmt.Sprintf("Tor was gone for %s: nothing is known of that time.", spoken(down)), together([]*sighting{s, r}), next...))
		}
	}
	return found
}

// manyRestarts: an upgrade starts tor once or twice.
const manyRestarts = 3

// torRestarts: tor processes that follow each other.
func torRestarts(c *chart) []*Finding {
	n := len(c.begun)
	if n < c.many(manyRestarts) {
		return nil
	}
	f := c.finding(FindingWarning, fmt.Sprintf("Tor was started %d times.", n), nil,
		c.ask("query sessions"), c.ask("replay -e ERR,WARN,NOTICE"), "see why it ends: tor's own log, journalctl -u tor, memory (journalctl -k)")
	f.Count, f.First, f.Last = n, Stamp{c.begun[0].Begun}, Stamp{c.begun[n-1].Begun}
	for i, s := range c.begun {
		if i < shownRecords-1 || i == n-1 {
			f.Records = append(f.Records, s.First)
		}
	}
	return one(f)
}

// eventsMissing: the recorder said so, or the ring gave records up before they
// were read. One event that is missing is one too many.
func eventsMissing(c *chart) (found []*Finding) {
	if s := c.seen.get(journalKind(event.WhatJournaled)); s != nil && s.count > 0 {
		what := "Events could not be written, and are missing in the record"
		if cause := s.keyword("ERROR"); cause != "" {
			what += ": " + cause
		}
		found = append(found, c.finding(FindingError, what+".", s,
			c.ask("replay -e JOURNAL"), "see whether the disk of the journal has room (df), and whether it is sound (dmesg)"))
	}
	if s := c.seen.get(journalKind(event.WhatDropped)); s != nil && s.count > 0 {
		found = append(found, c.finding(FindingWarning, "The recorder could not keep up with tor and dropped events.", s,
			c.ask("replay -e JOURNAL"), "see what takes this machine's time (top) or holds its disk up (iostat), and who asks tor for DEBUG or INFO"))
	}
	return found
}

// smallRing: who looks into the morning after wants the night.
const smallRing = 12 * time.Hour

// ringTooSmall: what was asked for is not in the ring any more, although it is
// not old.
func ringTooSmall(c *chart) []*Finding {
	b := c.stored
	held := b.LastTime.Sub(b.FirstTime) // less than nothing where older logs were imported later: that says nothing of the ring
	if !c.evicted || held < 0 || held >= smallRing || c.to.seq == 0 {
		return nil
	}
	gone := "what was before"
	for _, s := range c.sessions {
		if s.ID == c.r.Session {
			gone = fmt.Sprintf("the beginning of session %d, records %d to %d", s.ID, s.First, b.First-1)
		}
	}
	f := c.finding(FindingNotice, fmt.Sprintf("The journal holds the last %s only: the ring has given up %s.", spoken(held), gone), nil,
		"torjournal status", "give the recorder a larger --max-size, or let it record fewer types (--record)")
	f.Records, f.First = []uint64{b.First}, Stamp{b.FirstTime}
	return one(f)
}

// diskFull: tor, or the recorder, cannot write.
func diskFull(c *chart) []*Finding {
	var parts []*sighting
	full := func(text string) bool {
		return strings.Contains(text, "No space left on device") || strings.Contains(text, "no space left on device") ||
			strings.Contains(text, "Disk quota exceeded") || strings.Contains(text, "Read-only file system")
	}
	for _, t := range []event.Type{event.WARN, event.ERR} {
		for _, s := range c.seen.of(t, "") {
			if full(s.what) || full(s.words) {
				parts = append(parts, s)
			}
		}
	}
	s := together(parts)
	if s == nil {
		return nil
	}
	return one(c.finding(FindingError, "Tor cannot write its files: the disk is full, or may not be written.", s,
		"see df and mount for the disk of tor's DataDirectory", c.ask("replay -e WARN,ERR")))
}

// one is a rule's only finding.
func one(f *Finding) []*Finding { return []*Finding{f} }

// spoken is a length of time in words: "45 s", "12 min", "3 h", "2 days".
func spoken(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}
