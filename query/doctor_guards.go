package query

import (
	"fmt"
	"strings"
	"time"

	"torjournal/tor/event"
)

// Rules about guards.

// liveGuards returns the entry guards of the session that the range ends in
// which tor has tried, and how many of them are down.
func (c *chart) liveGuards() (tried []*Guard, down int) {
	for _, g := range c.guard.rows {
		if g.Session != c.walk.session || g.Layer != 1 {
			continue
		}
		switch strings.ToUpper(g.Status) {
		case "UP", "GOOD":
			tried = append(tried, g)
		case "DOWN":
			tried = append(tried, g)
			down++
		}
	}
	return tried, down
}

// guardSightings returns the GUARD events of a status about relays.
func (c *chart) guardSightings(status string, relays ...*Guard) *sighting {
	var parts []*sighting
	for _, g := range relays {
		for _, s := range c.seen.of(event.GUARD, status) {
			if relay(s.who) == relay(g.Relay) {
				parts = append(parts, s)
			}
		}
	}
	return together(parts)
}

const (
	twoGuards = 2                // guards: with one alone it may be that one
	longDown  = 10 * time.Minute // tor tries a primary guard that is down again after ten minutes
	manyFalls = 3                // downs: once is a relay that is restarted, twice may be chance
)

const lookAtGuards = "see whether the firewall lets this machine connect to those relays' ports (metrics.torproject.org has their addresses)"

// guardsDown: none of the guards that tor has tried can be reached.
func guardsDown(c *chart) []*Finding {
	tried, down := c.liveGuards()
	if down < twoGuards || down < len(tried) {
		return nil
	}
	s := c.guardSightings("DOWN", tried...)
	if s == nil {
		return nil // they were before the range, and nothing was said since
	}
	return one(c.finding(FindingError, fmt.Sprintf("All %d guards that tor has tried are down.", down), s,
		lookAtNetwork, lookAtGuards, c.ask("query guards")))
}

// guardUnreachable: one is down for long, while others are up.
func guardUnreachable(c *chart) (found []*Finding) {
	tried, down := c.liveGuards()
	if down == len(tried) {
		return nil
	}
	for _, g := range tried {
		gone, s := c.to.time.Sub(g.DownSince.Time), c.guardSightings("DOWN", g)
		if g.DownSince.IsZero() || gone < longDown || s == nil {
			continue // tor says it again each time that it tries
		}
		found = append(found, c.finding(FindingNotice, fmt.Sprintf("The guard %s has been down for %s; tor uses others.", shortRelay(g.Relay), spoken(gone)), s,
			c.ask("query guards"), c.ask("query orconns --relay "+relayWord(g.Relay)), lookAtGuards))
	}
	return found
}

// guardFlapping: a guard goes down again and again.
func guardFlapping(c *chart) (found []*Finding) {
	for _, g := range c.guard.rows {
		if g.Session != c.walk.session || g.Layer != 1 {
			continue
		}
		downs, ups := c.guardSightings("DOWN", g), c.guardSightings("UP", g)
		if downs == nil || ups == nil || downs.count < c.many(manyFalls) || ups.count < c.many(manyFalls)-1 {
			continue
		}
		found = append(found, c.finding(FindingWarning, fmt.Sprintf("The guard %s went down %d times and came back.", shortRelay(g.Relay), downs.count), downs,
			c.ask("query guards"), c.ask("query orconns --relay "+relayWord(g.Relay)), lookAtNetwork))
	}
	return found
}

// guardFailing: circuits over one guard fail, those over others do not.
func guardFailing(c *chart) (found []*Finding) {
	f := c.circuits[ByGuard]
	for _, row := range f.rows() {
		if row.Relay == nobodyKnown || row.Failed < fewFailures || row.RateLow <= mostFail {
			continue
		}
		others := f.total - row.Circuits
		_, high := wilson(f.failed-row.Failed, others)
		if others < fewFailures || high >= row.RateLow {
			continue
		}
		found = append(found, c.failure(FindingWarning, fmt.Sprintf("%d of %d circuits over the guard %s failed, and far fewer of those over others.", row.Failed, row.Circuits, shortRelay(row.Relay)), row,
			c.ask("query failures --by guard"), c.ask("query guards"), c.ask("query circuits --status failed --relay "+relayWord(row.Relay))))
	}
	return found
}

// shortRelay names a relay in a sentence: its nickname, or the beginning of its
// fingerprint.
func shortRelay(relay string) string {
	r := event.ParseRouter(relay)
	if r.Nickname != "" {
		return r.Nickname
	}
	return "$" + r.Fingerprint[:min(8, len(r.Fingerprint))]
}

// relayWord is what a command takes for a relay, without what a shell reads.
func relayWord(relay string) string {
	if r := event.ParseRouter(relay); r.Fingerprint != "" {
		return r.Fingerprint
	}
	return relay
}
