package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"torjournal/tor/event"
)

// Rules about what tor says itself.

// status returns the sighting within the range of a status event's action.
func (c *chart) status(class event.Type, action string) *sighting {
	if s := c.seen.get(kind{of: class, what: action}); s != nil && s.count > 0 {
		return s
	}
	return nil
}

// logged returns what the log said within the range that has all of the words.
func (c *chart) logged(words []string, levels ...event.Type) *sighting {
	var parts []*sighting
	for _, t := range levels {
		for _, s := range c.seen.of(t, "") {
			all := true
			for _, w := range words {
				all = all && strings.Contains(s.words, w)
			}
			if all {
				parts = append(parts, s)
			}
		}
	}
	return together(parts)
}

// relayUnreachable: this relay cannot be reached from outside, or the authorities
// do not take it. Each address and each authority has a word of its own: a relay
// needs one address, and more than half of the authorities.
func relayUnreachable(c *chart) (found []*Finding) {
	next := []string{c.ask("replay -e STATUS_SERVER,NOTICE,WARN"), "see the firewall and the router (ORPort), and Address in torrc"}
	switch s, _, good := c.lastWords("REACHABILITY_FAILED", "REACHABILITY_SUCCEEDED"); {
	case s != nil && good == 0:
		found = append(found, c.finding(FindingError, "This relay cannot be reached from outside: tor does not publish it.", s, next...))
	case s != nil:
		found = append(found, c.finding(FindingWarning, fmt.Sprintf("This relay cannot be reached from outside at %s; at its other address it can.", s.keyword("ORADDRESS")), s, next...))
	}
	if s, bad, good := c.lastWords("BAD_SERVER_DESCRIPTOR", "ACCEPTED_SERVER_DESCRIPTOR"); s != nil && bad >= good {
		found = append(found, c.finding(FindingError, "The directory authorities do not take this relay's descriptor.", s,
			c.ask("replay -e STATUS_SERVER,WARN"), lookAtClock))
	}
	return found
}

// lastWords returns of how many this relay was told one thing last and of how many
// the other, in the session that the range ends in, and what shows the first; nil:
// nothing does.
func (c *chart) lastWords(bad, good string) (shows *sighting, bads, goods int) {
	var parts []*sighting
	for k := range c.seen[event.STATUS_SERVER] {
		other := k
		switch k.what {
		case bad:
			other.what = good
			if s := c.stands(k, other); s != nil {
				parts = append(parts, s)
			}
		case good:
			if other.what = bad; c.stands(k, other) != nil {
				goods++
			}
		}
	}
	if shows = together(parts); shows == nil && len(parts) > 0 { // it was said before the range
		shows = slices.MaxFunc(parts, func(a, b *sighting) int { return cmp.Compare(a.now.seq, b.now.seq) })
	}
	return shows, len(parts), goods
}

// manyOutages: a name server that does not answer once has lost a packet.
const manyOutages = 3

// nameserversDown: this exit cannot resolve names.
func nameserversDown(c *chart) []*Finding {
	s := c.status(event.STATUS_SERVER, "NAMESERVER_ALL_DOWN")
	if s == nil || s.count < c.many(manyOutages) {
		return nil
	}
	return one(c.finding(FindingError, fmt.Sprintf("All name servers of this exit were down %d times: clients cannot resolve names through it.", s.count), s,
		"see /etc/resolv.conf and whether those servers answer (dig); ServerDNSResolvConfFile in torrc", c.ask("replay -e STATUS_SERVER")))
}

// memoryLow: tor ends circuits for want of memory. Once is enough: it does so at
// its limit only.
func memoryLow(c *chart) []*Finding {
	levels := []event.Type{event.NOTICE, event.WARN, event.ERR}
	s := together([]*sighting{c.logged([]string{"low on memory"}, levels...), c.logged([]string{"Out of memory"}, levels...)})
	if s == nil {
		return nil
	}
	return one(c.finding(FindingWarning, "Tor has too little memory and ends circuits to get some.", s,
		"see how much memory the machine has (free -m) and MaxMemInQueues in torrc", c.ask("query circuits --reason RESOURCELIMIT")))
}

// tooManyConnections: tor has no file descriptors left. Once is enough.
func tooManyConnections(c *chart) []*Finding {
	s := c.status(event.STATUS_GENERAL, "TOO_MANY_CONNECTIONS")
	if s == nil {
		return nil
	}
	return one(c.finding(FindingError, "Tor has as many connections as it may, and refuses others.", s,
		"raise the limit of open files: LimitNOFILE= of the service, ulimit -n", c.ask("query orconns")))
}

// dangerousVersion: the authorities advise against this version. The last word
// counts.
func dangerousVersion(c *chart) []*Finding {
	s := c.status(event.STATUS_GENERAL, "DANGEROUS_VERSION")
	if s == nil {
		return nil
	}
	severity, what := FindingWarning, "The directory authorities advise against tor %s (%s)."
	switch s.keyword("REASON") {
	case "NEW":
		severity, what = FindingNotice, "Tor %s is newer than what the directory authorities know (%s)."
	case "OBSOLETE":
		what = "Tor %s is too old, say the directory authorities (%s)."
	}
	next := "install another version of tor"
	if good := s.keyword("RECOMMENDED"); good != "" {
		next = "install one of the versions that are recommended: " + strings.ReplaceAll(good, ",", ", ")
	}
	f := c.finding(severity, fmt.Sprintf(what, s.keyword("CURRENT"), s.keyword("REASON")), s, next)
	return one(f)
}

// someLeaks: an application that resolves names by itself does so each time.
const someLeaks = 3

// dangerousSocks: an application gives addresses where it should give names.
func dangerousSocks(c *chart) []*Finding {
	s := c.status(event.STATUS_CLIENT, "DANGEROUS_SOCKS")
	if s == nil || s.count < someLeaks {
		return nil
	}
	return one(c.finding(FindingWarning, fmt.Sprintf("An application asked tor for an address %d times, not for a name: it resolves names itself, and who serves them sees where it goes.", s.count), s,
		c.ask("query streams"), "let it use SOCKS5 with names (socks5h) or SOCKS4a"))
}

// manyNewnyms: a person asks for a new identity now and then.
const manyNewnyms = 5

// newnymLimited: a controller asks for new identities faster than tor gives them.
func newnymLimited(c *chart) []*Finding {
	s := c.logged([]string{"Rate limiting NEWNYM"}, event.NOTICE)
	if s == nil || s.count < c.many(manyNewnyms) {
		return nil
	}
	return one(c.finding(FindingNotice, fmt.Sprintf("A controller asked for a new identity too often: tor delayed that %d times (it gives one in ten seconds).", s.count), s,
		c.ask("query commands"), "isolate streams by SOCKS user and password instead: each pair has circuits of its own"))
}

// torBug: tor met with what it holds for impossible. Once is enough.
func torBug(c *chart) []*Finding {
	s := c.status(event.STATUS_GENERAL, "BUG")
	if s == nil {
		return nil
	}
	return one(c.finding(FindingNotice, "Tor met with a bug of its own.", s,
		c.ask("replay -e STATUS_GENERAL,WARN,ERR"), "see whether a newer tor has it mended, or report it: gitlab.torproject.org/tpo/core/tor"))
}

// logError: an ERR precedes the end of tor. Once is enough.
func logError(c *chart) []*Finding {
	s := together(c.seen.of(event.ERR, ""))
	if s == nil {
		return nil
	}
	return one(c.finding(FindingError, "Tor logged an error, after which it usually ends.", s, c.ask("replay -e ERR,WARN,NOTICE"), c.ask("query sessions")))
}

const (
	manyLines   = 20 // of one kind within the range: tor repeats what does not go away
	shownOfThem = 3  // kinds that are shown, the most frequent ones
)

// logRepeats: tor warns of the same again and again.
func logRepeats(c *chart) (found []*Finding) {
	for _, s := range c.seen.of(event.WARN, "") {
		if s.count < c.many(manyLines) || len(found) == shownOfThem {
			break // they come by their number
		}
		_, text, _ := strings.Cut(strings.TrimPrefix(s.words, "650 "), " ")
		if strings.Contains(text, "Bug: ") {
			continue // torBug tells of those
		}
		if len(text) > 100 {
			text = strings.ToValidUTF8(text[:100], "") + "…"
		}
		found = append(found, c.finding(FindingNotice, fmt.Sprintf("Tor warned %d times: %s", s.count, text), s, c.ask("replay -e WARN")))
	}
	return found
}
