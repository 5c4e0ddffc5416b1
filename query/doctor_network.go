package query

import (
	"fmt"
	"strings"
	"time"

	"torjournal/tor/event"
)

// Rules about the way from this machine to the network.

const lookAtNetwork = "see this machine's network: its route (ip route), its firewall (nft list ruleset), whether other programs get out"

// networkDown: tor takes the network for down.
func networkDown(c *chart) []*Finding {
	s := c.stands(kind{of: event.NETWORK_LIVENESS, what: "DOWN"}, kind{of: event.NETWORK_LIVENESS, what: "UP"})
	if s == nil {
		return nil
	}
	return one(c.finding(FindingError, "Tor takes the network for down: it has heard from no relay for a while.", s, lookAtNetwork, c.ask("query orconns --status failed")))
}

const (
	fewConnections = 5   // that failed; below, one relay that is away explains it
	fewRelays      = 3   // that could not be reached: one is its own fault, two may be chance
	mostFail       = 0.5 // of those that were tried, with 95 % certainty
)

// connectionsFailing: connections to several relays cannot be made.
func connectionsFailing(c *chart) []*Finding {
	failed := c.seen.of(event.ORCONN, statusFailed)
	connected := together(c.seen.of(event.ORCONN, orconnConnected))
	relays, reasons := map[string]bool{}, map[string]int{}
	for _, s := range failed {
		relays[s.who] = true
		reasons[s.by] += s.count
	}
	s := together(failed)
	if s == nil || s.count < fewConnections || len(relays) < fewRelays {
		return nil
	}
	all := s.count
	if connected != nil {
		all += connected.count
	}
	if low, _ := wilson(s.count, all); low <= mostFail {
		return nil
	}
	f := c.finding(FindingError, fmt.Sprintf("Connections to %d relays could not be made: %s.", len(relays), mostOf(reasons)), s,
		lookAtNetwork, c.ask("query orconns --status failed"))
	f.Of = all
	return one(f)
}

// mostOf returns the words of a count, the most frequent one first.
func mostOf(counts map[string]int) string {
	var words []string
	for len(words) < 3 && len(counts) > 0 {
		w := most(counts)
		words = append(words, fmt.Sprintf("%s (%d)", w, counts[w]))
		delete(counts, w)
	}
	return strings.Join(words, ", ")
}

// transportFailing: the way out that is configured, a proxy or a pluggable
// transport, does not work. Tor warns of it once each time; once is enough.
func transportFailing(c *chart) []*Finding {
	var parts []*sighting
	for _, t := range []event.Type{event.WARN, event.ERR} {
		for _, s := range c.seen.of(t, "") {
			text := s.words
			proxy := strings.Contains(text, "anaged proxy") || strings.Contains(text, "luggable transport") || strings.Contains(text, "luggable Transport")
			bad := strings.Contains(text, "terminated") || strings.Contains(text, "fail") || strings.Contains(text, "died") || strings.Contains(text, "Could not") || strings.Contains(text, "Couldn't")
			if proxy && bad || strings.Contains(text, "proxy server at") && strings.Contains(text, "just failed") {
				parts = append(parts, s)
			}
		}
	}
	s := together(parts)
	if s == nil {
		return nil
	}
	return one(c.finding(FindingWarning, "The proxy or pluggable transport that tor goes out through has failed.", s,
		c.ask("replay -e WARN,NOTICE,TRANSPORT_LAUNCHED,PT_LOG,PT_STATUS"), "see whether that program is there and runs: ClientTransportPlugin, Socks5Proxy, HTTPSProxy in torrc"))
}

const (
	longSilence = 3 * time.Minute // relays pad idle connections every few seconds, and streams wait a minute at most
	fewWrites   = 5               // seconds in which tor wrote something: once may be the last word of a connection
	fewOpened   = 3               // or streams that were sent to an exit
)

// noAnswer: tor writes, or applications ask, and not a byte comes back.
func noAnswer(c *chart) []*Finding {
	s := &c.silence
	if time.Duration(s.count)*time.Second < longSilence || s.sending < fewWrites && s.opened < fewOpened {
		return nil
	}
	return one(c.finding(FindingError, fmt.Sprintf("Tor has read no byte for %s, although it wrote in %d seconds of them and sent %d streams out: what it sends does not arrive.",
		spoken(time.Duration(s.count)*time.Second), s.sending, s.opened), &s.sighting, lookAtNetwork, c.ask("query bandwidth"), c.ask("query orconns")))
}
