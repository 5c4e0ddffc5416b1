package query

import (
	"cmp"
	"fmt"
	"slices"
)

// Rules about the streams of applications.

// reasonsOfStreams says what a reason of failure means.
var reasonsOfStreams = map[string]string{
	"TIMEOUT":         "no circuit or no answer came in time",
	"CONNECTREFUSED":  "the destination refused the connection",
	"NOROUTE":         "the destination cannot be reached from the exit",
	"EXITPOLICY":      "no exit goes there",
	"MISC":            "it gave no reason",
	"HIBERNATING":     "tor or the exit is asleep",
	"CANT_ATTACH":     "no circuit could take them",
	"RESOURCELIMIT":   "the exit has no room",
	"CONNRESET":       "the destination broke the connection off",
	"TORPROTOCOL":     "tor did not accept what was asked",
	"PRIVATE_ADDR":    "the destination is a private address",
	"NET_UNREACHABLE": "the network is down",
}

// destinations are reasons that lie beyond tor.
var destinations = []string{"CONNECTREFUSED", "NOROUTE", "EXITPOLICY", "CONNRESET", "TORPROTOCOL", "PRIVATE_ADDR", "MISC"}

// streamsFailing: too many streams fail for one reason. What cannot be resolved
// has rules of its own.
func streamsFailing(c *chart) (found []*Finding) {
	for key, ends := range c.streams.failed {
		low, _ := wilson(ends.count, max(c.streams.all, ends.count))
		reason, said := key[0], "tor says "
		if key[1] != "" {
			reason, said = key[1], "the exit says "
		}
		if ends.count < fewFailures || low <= someFail || reason == resolveFailed {
			continue
		}
		severity := FindingWarning
		if slices.Contains(destinations, reason) {
			severity = FindingNotice
		}
		said += reason
		if meaning := reasonsOfStreams[reason]; meaning != "" {
			said += ", " + meaning
		}
		f := c.finding(severity, fmt.Sprintf("%d of %d streams of applications failed: %s.", ends.count, c.streams.all, said), &ends.sighting,
			c.ask("query streams --status failed --reason "+reason), c.ask("query circuits --status failed"))
		f.Of = c.streams.all
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b *Finding) int { return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.What, b.What)) })
	return found
}

// fewNames: one name, or two, may just be wrong.
const fewNames = 3

// namesUnresolved: exits find no address for names, several of them for several.
func namesUnresolved(c *chart) []*Finding {
	ends := c.streams.failed[[2]string{"END", resolveFailed}]
	if ends == nil || ends.count < fewFailures || len(ends.hosts) < fewNames {
		return nil
	}
	low, _ := wilson(ends.count, max(c.streams.all, ends.count))
	exits := 0
	for _, x := range c.streams.exits {
		if x.count > 0 {
			exits++
		}
	}
	if low <= someFail || exits < 2 {
		return nil
	}
	f := c.finding(FindingWarning, fmt.Sprintf("%d of %d streams failed since their name has no address: %s, asked at %d exits.", ends.count, c.streams.all, countedNames(ends.hosts), exits), &ends.sighting,
		c.ask("query streams --reason RESOLVEFAILED"), "see whether the names are right: many exits say the same of them")
	f.Of = c.streams.all
	return one(f)
}

// exitDNSFailing: one exit cannot resolve names that others can.
func exitDNSFailing(c *chart) (found []*Finding) {
	bad, good := 0, 0
	for _, x := range c.streams.exits {
		bad, good = bad+x.count, good+x.good
	}
	for relay, x := range c.streams.exits {
		n := x.count + x.good
		low, _ := wilson(x.count, n)
		_, high := wilson(bad-x.count, bad+good-n)
		if x.count < fewFailures || len(x.hosts) < fewNames || low <= mostFail || high >= low || bad+good-n < fewFailures {
			continue
		}
		f := c.finding(FindingWarning, fmt.Sprintf("The exit %s could not resolve %s, where others could: its DNS is broken.", shortRelay(relay), countedNames(x.hosts)), &x.sighting,
			c.ask("query streams --reason RESOLVEFAILED"), "leave it out for now: ExcludeExitNodes "+relayWord(relay)+" in torrc")
		f.Of = n
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b *Finding) int { return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.What, b.What)) })
	return found[:min(len(found), shownPlaces)]
}

// countedNames says how many names there are, up to where they are counted.
func countedNames(n names) string {
	if len(n) >= maxDifferent {
		return fmt.Sprintf("%d names or more", len(n))
	}
	return fmt.Sprintf("%d names", len(n))
}
