package query

import (
	"maps"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// How many circuits must have failed in a row to be an outage: so many that
// chance alone would bring it about with this probability, at the rate at which
// the session's circuits fail. Behind the guard that is taken to be 20 % at least:
// so many tor gives up by design (path-spec 2.4), and so many may fail if one relay
// of ten is gone. That makes three or four at the guard, and six behind it.
const (
	fewestFailed = 3
	byChance     = 1e-4
	behindRate   = 0.2
)

// statusGuardWait is a circuit's that is built, and not used unless all better
// guards fail (guard-spec 4.6).
const statusGuardWait = "GUARD_WAIT"

// onlyDirectory is the flag of circuits of one hop, which serve to fetch
// directory documents: what becomes of them says nothing about others.
const onlyDirectory = "ONEHOP_TUNNEL"

// ownWill are the reasons of circuits that failed because tor or a controller
// wanted it so, or because no relay was asked at all (control-spec 4.1.1).
var ownWill = map[string]bool{
	"REQUESTED": true, "FINISHED": true, "NOPATH": true, "INTERNAL": true, "HIBERNATING": true, "NOSUCHSERVICE": true,
	"MEASUREMENT_EXPIRED": true, "IP_NOW_REDUNDANT": true,
}

// freePurposes are those of circuits whose relays tor chooses as it likes. Others
// have to go over given ones: vanguards, an introduction or rendezvous point, an
// HSDir. That they fail behind the guard again and again may be the fault of one.
// So may it be anywhere of a circuit whose path a controller gave: such a one has no
// build flags.
var freePurposes = map[string]bool{"GENERAL": true, "CONFLUX_UNLINKED": true}

// attempt is a circuit that is being built, or extended to serve something
// else.
type attempt struct {
	seq    uint64 // of the record that it begins with
	at     time.Time
	proves bool // if it is BUILT, circuits can be built: it was LAUNCHED, or EXTENDED since
	failed bool // it is only measured on
}

// outageClient finds outages of tor itself, within a session.
type outageClient struct {
	book *outageBook

	trying        map[string]*attempt // by ID
	many          int                 // so many of them are looked through for those whose end is missing
	built, failed int                 // circuits, without those of the run
	success       uint64              // number of the record that told of a circuit built last
	run           failedRun
	signs         signs

	disabled, noDir bool    // what tor says and what holds
	row             *Outage // that lasts
	eased           *Outage // what tor said holds no more, and no circuit has been built since
}

// failedRun are the circuits that failed one after the other.
type failedRun struct {
	seq      uint64 // of the record that the first attempt began with
	at       time.Time
	failed   int
	atGuard  int            // of them, those that reached no first hop, or lost the connection to it
	chance   float64        // how probable so many are
	purposes map[string]int // of them
	why      map[string]int // reasons, with the remote reason
	last     uint64         // number of the last record of one
}

// part forgets what is known of circuits, where the record of them ends. An
// outage that lasts is told up to there: what follows is unknown.
func (c *outageClient) part(rec *journal.Record) {
	if c.row != nil {
		c.judge()
		c.row.end(rec.Seq, rec.Time)
	}
	*c = outageClient{book: c.book, trying: c.trying}
	clear(c.trying)
}

// forget is called where events are missing.
func (c *outageClient) forget() {
	if c.row == nil {
		c.run = failedRun{}
	}
}

// mayHaveBegun reports whether what is known may be the beginning of an outage
// before that time.
func (c *outageClient) mayHaveBegun(until, now time.Time) bool {
	if c.run.failed > 0 && c.run.at.Before(until) || c.eased != nil && c.eased.Begin.Before(until) {
		return true
	}
	for _, a := range c.trying {
		if !a.failed && a.at.Before(until) && now.Before(a.at.Add(measureFor)) {
			return true
		}
	}
	return false
}

// snapshot takes the circuits that are being built at one moment.
func (c *outageClient) snapshot(rec *journal.Record, ev *event.Journal) {
	lines, _ := snapshotLines(ev.Snapshot(), "circuit-status")
	for line := range lines {
		if circ, ok := snapshotEntry[*event.Circuit](event.CIRC, line); ok && circ.Status != statusBuilt {
			c.begin(rec, circ.ID, circ.BuildFlags, true)
		}
	}
}

// begin notes an attempt, unless it is known.
func (c *outageClient) begin(rec *journal.Record, id, flags string, proves bool) {
	if strings.Contains(flags, onlyDirectory) || c.trying[id] != nil {
		return
	}
	if len(c.trying) >= max(1024, c.many) { // some end is missing in the record
		maps.DeleteFunc(c.trying, func(_ string, a *attempt) bool { return rec.Time.After(a.at.Add(measureFor)) })
		c.many = 2 * len(c.trying) // not at each of those that stay
	}
	c.trying[strings.Clone(id)] = &attempt{seq: rec.Seq, at: rec.Time, proves: proves}
}

func (c *outageClient) circuit(rec *journal.Record, ev *event.Circuit) {
	a := c.trying[ev.ID]
	switch ev.Status {
	case statusLaunched:
		delete(c.trying, ev.ID)
		c.begin(rec, ev.ID, ev.BuildFlags, true)
	case statusExtended:
		if a != nil {
			a.proves = true
		}
	case statusBuilt, statusGuardWait: // tor may say BUILT much later of one that waits for a better guard
		delete(c.trying, ev.ID)
		if a != nil && a.proves {
			c.succeed(rec, a)
		}
	case statusFailed:
		if a != nil && !a.failed && !ownWill[ev.Reason] {
			c.fail(rec, ev, a)
		}
		if a != nil && ev.Reason == timedOut {
			a.failed = true
		} else {
			delete(c.trying, ev.ID)
		}
	case statusClosed:
		delete(c.trying, ev.ID)
	}
}

// minor takes a CIRC_MINOR event: a circuit that stood may be extended. Tor says
// BUILT of it at once if it is good as it is; that proves nothing.
func (c *outageClient) minor(rec *journal.Record, ev *event.CircuitMinor) {
	if ev.Event == "CANNIBALIZED" {
		c.begin(rec, ev.ID, ev.BuildFlags, false)
	}
}

// succeed is called for a circuit that was built.
func (c *outageClient) succeed(rec *journal.Record, a *attempt) {
	if c.row != nil && c.row.standing && a.seq < uint64(c.row.place.At) {
		return // it was on its way when tor said that no others can be
	}
	if c.row != nil {
		c.judge()
		c.row.end(rec.Seq, rec.Time)
	} else {
		c.failed += c.run.failed
	}
	c.built++
	c.row, c.eased, c.disabled, c.noDir = nil, nil, false, false
	c.run, c.signs = failedRun{}, signs{}
	c.success = rec.Seq
}

// fail is called for an attempt that failed.
func (c *outageClient) fail(rec *journal.Record, ev *event.Circuit, a *attempt) {
	if a.seq < c.success {
		c.failed++ // others that began later were built
		return
	}
	atGuard := ev.Path == "" || ev.Reason == "CHANNEL_CLOSED" && ev.RemoteReason == ""
	if c.row == nil && (ev.BuildFlags == "" || !atGuard && !freePurposes[ev.Purpose]) {
		return // it may be the one relay that it had to go over
	}
	r := &c.run
	if r.failed == 0 {
		*r = failedRun{seq: a.seq, at: a.at, chance: 1, purposes: map[string]int{}, why: map[string]int{}}
	}
	if a.seq < r.seq {
		r.seq, r.at = a.seq, a.at
	}
	r.failed++
	r.last = rec.Seq
	if c.signs.heard {
		c.signs.unreachable = sign{} // it is not that which they fail by
	}
	rate := float64(c.failed+1) / float64(c.failed+c.built+10)
	if atGuard {
		r.atGuard++
	} else {
		rate = max(rate, behindRate)
	}
	r.chance *= rate
	tally(r.purposes, ev.Purpose)
	tally(r.why, "REASON="+whyEnded(ev))
	if c.row == nil && c.sure(rec) {
		if c.row = c.eased; c.row != nil {
			c.row.End, c.row.void, c.row.standing = Stamp{}, false, false
		} else {
			c.row = c.book.begin(OutageOfClient, nthClient, rec.Session, r.seq, r.at)
		}
		c.row.Failed += r.failed
		c.eased = nil
		return
	}
	if c.row != nil {
		c.row.Failed++
	}
}

// whyEnded is the end of a circuit in tor's words, behind REASON=.
func whyEnded(ev *event.Circuit) string {
	if ev.RemoteReason == "" {
		return ev.Reason
	}
	return ev.Reason + " REMOTE_REASON=" + ev.RemoteReason
}

// tally counts a word; only a few are, for they come from outside.
func tally(words map[string]int, word string) {
	if _, known := words[word]; known || len(words) < 4*maxListed {
		words[strings.Clone(word)]++
	}
}

// sure reports whether so many failures in a row are more than chance.
func (c *outageClient) sure(rec *journal.Record) bool {
	return c.run.failed >= fewestFailed && c.run.chance <= byChance && rec.Time.Sub(c.run.at) >= shortestOutage
}

// says is called when tor says that it can build no circuits.
func (c *outageClient) says(rec *journal.Record, cause, detail string) {
	if c.row == nil {
		c.row = c.book.begin(OutageOfClient, nthClient, rec.Session, rec.Seq, rec.Time)
		c.row.Cause, c.row.Detail, c.row.standing = cause, detail, true
		c.run, c.eased = failedRun{}, nil
	}
	c.row.shows(rec.Seq)
}

// ease is called when what tor said holds no more.
func (c *outageClient) ease(rec *journal.Record) {
	if c.row == nil || !c.row.standing || c.disabled || c.noDir {
		return
	}
	c.judge()
	c.row.end(rec.Seq, rec.Time)
	c.row, c.eased = nil, c.row
	c.run = failedRun{}
}

// judge tells what is known of the outage that lasts.
func (c *outageClient) judge() {
	o, r := c.row, &c.run
	if r.failed > 0 {
		o.Purposes = slices.Sorted(maps.Keys(r.purposes))
		o.Purposes = o.Purposes[:min(len(o.Purposes), maxListed)]
		o.shows(r.last)
	}
	c.signs.explain(o, r)
}
