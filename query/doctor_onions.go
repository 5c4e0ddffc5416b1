package query

import (
	"cmp"
	"fmt"
	"slices"

	"torjournal/tor/event"
)

// Rules about onion services.

// onionOf returns the HS_DESC sightings of an action by address.
func (c *chart) onionOf(action string) map[string][]*sighting {
	by := map[string][]*sighting{}
	for _, s := range c.seen.of(event.HS_DESC, action) {
		if s.who != "" { // else they are of several
			by[s.who] = append(by[s.who], s)
		}
	}
	return by
}

// severalDirs: a descriptor goes to six directories at least, or is asked for at
// as many; each says no for itself.
const severalDirs = 6

// uploadReasons are those of HS_DESC FAILED that are about an upload; UNEXPECTED
// is said of both.
var uploadReasons = []string{"UPLOAD_REJECTED", "UNEXPECTED"}

// onionUploadFailing: descriptors of a service here do not come to where clients
// look for them.
func onionUploadFailing(c *chart) (found []*Finding) {
	uploads, done, failed := c.onionOf("UPLOAD"), c.onionOf("UPLOADED"), c.onionOf("FAILED")
	for address, parts := range uploads {
		up := together(parts)
		bad := together(slices.DeleteFunc(slices.Clone(failed[address]), func(s *sighting) bool { return !slices.Contains(uploadReasons, s.by) }))
		good := together(done[address])
		n, ok := 0, 0
		if bad != nil {
			n = bad.count
		}
		if good != nil {
			ok = good.count
		}
		low, _ := wilson(n, n+ok)
		severity, what, evidence := FindingWarning, "", bad
		switch {
		case ok == 0 && n == 0 && up.count >= severalDirs && c.since(up.last) >= longPhase:
			severity, evidence = FindingError, up
			what = fmt.Sprintf("The descriptor of the onion service %s was sent to %d directories, and none has taken it: clients do not find the service.", shortOnion(address), up.count)
		case ok == 0 && n >= severalDirs/2:
			severity = FindingError
			what = fmt.Sprintf("No directory takes the descriptor of the onion service %s: clients do not find it.", shortOnion(address))
		case n >= severalDirs && low > lateFail:
			what = fmt.Sprintf("%d of %d uploads of the descriptor of the onion service %s failed: some clients do not find it.", n, n+ok, shortOnion(address))
		default:
			continue
		}
		f := c.finding(severity, what, evidence, c.ask("replay -e HS_DESC"), lookAtClock, c.ask("query failures --by purpose"))
		f.Of = n + ok
		found = append(found, f)
	}
	return byWords(found)
}

// onionNotFound: nobody has the descriptor of a service that an application asks
// for.
func onionNotFound(c *chart) (found []*Finding) {
	got := c.onionOf("RECEIVED")
	for address, parts := range c.onionOf("FAILED") {
		bad := together(slices.DeleteFunc(slices.Clone(parts), func(s *sighting) bool { return slices.Contains(uploadReasons, s.by) }))
		if bad == nil || bad.count < severalDirs || together(got[address]) != nil {
			continue
		}
		found = append(found, c.finding(FindingNotice, fmt.Sprintf("The descriptor of the onion service %s was not found at any of the directories that were asked: it is down, or the address is wrong.", shortOnion(address)), bad,
			c.ask("replay -e HS_DESC"), "see whether the service runs and its clock is right; compare the address"))
	}
	found = byWords(found)
	if len(found) > shownPlaces {
		n := len(found) - shownPlaces + 1
		rest := found[shownPlaces-1]
		for _, f := range found[shownPlaces:] {
			rest.Count += f.Count
			if f.Last.After(rest.Last.Time) {
				rest.Last = f.Last
			}
			if f.First.Before(rest.First.Time) {
				rest.First = f.First
			}
		}
		rest.What = fmt.Sprintf("The descriptors of %d other onion services were not found either.", n)
		found = found[:shownPlaces]
	}
	return found
}

// byWords brings findings about several services in their order: those with most
// evidence first.
func byWords(found []*Finding) []*Finding {
	slices.SortFunc(found, func(a, b *Finding) int { return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.What, b.What)) })
	return found
}

// shortOnion names a service in a sentence.
func shortOnion(address string) string {
	if len(address) > 16 {
		return address[:16] + "….onion"
	}
	return address + ".onion"
}

// floodMinute: each client that is introduced costs the service a circuit. An
// introduction point lets 25 a second through by tor's own defence; ten a second
// over all of them for a minute is more than a service of people sees.
const floodMinute = 600

// onionFlooded: a service here is asked for circuits faster than it can serve.
func onionFlooded(c *chart) []*Finding {
	b := &c.building
	if b.most < floodMinute {
		return nil
	}
	f := c.finding(FindingWarning, fmt.Sprintf("An onion service here was asked for %d circuits in one minute: that is an attack, or very many clients.", b.most), nil,
		c.ask("query circuits --purpose HS_SERVICE_REND"), "see HiddenServicePoWDefensesEnabled and HiddenServiceEnableIntroDoSDefense in tor's manual")
	f.Count, f.First, f.Last, f.Records = b.most, Stamp{b.mostAt.time}, Stamp{b.mostAt.time}, []uint64{b.mostAt.seq}
	return one(f)
}
