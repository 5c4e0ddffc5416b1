package query

import (
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// streamChart is what became of the streams of applications: tor's own, to its
// directories, are left out. Streams whose beginning was not recorded are too.
type streamChart struct {
	open   map[string]*chartedStream // of the session
	all    int                       // that something was told of within the range
	failed map[[2]string]*streamEnds // by reason and remote reason
	exits  map[string]*exitNames
}

// chartedStream is one that is open.
type chartedStream struct {
	host    string
	counted bool
}

// streamEnds are the streams that failed for one reason.
type streamEnds struct {
	sighting
	hosts names
}

// exitNames is how an exit resolved names.
type exitNames struct {
	sighting       // times that it could not
	hosts    names // that it could not
	good     int   // streams that it connected
}

// names are different ones, up to maxDifferent.
type names map[string]bool

const maxDifferent = 100

func (w names) add(s string) {
	if len(w) < maxDifferent && !w[s] {
		w[strings.Clone(s)] = true
	}
}

// maxExits bounds the exits of which is kept how they resolved names; the
// public network has some 2,000.
const maxExits = 8192

func newStreamChart() streamChart {
	return streamChart{open: map[string]*chartedStream{}, failed: map[[2]string]*streamEnds{}, exits: map[string]*exitNames{}}
}

// turn is called where another session begins.
func (c *streamChart) turn() { clear(c.open) }

// bytes is about how much it holds.
func (c *streamChart) bytes() int {
	return len(c.open)*entryBytes + (len(c.failed)+len(c.exits))*sightingBytes
}

// hear takes a STREAM event; exit finds the last hop of a circuit.
func (c *streamChart) hear(rec *journal.Record, e *event.Stream, inside bool, exit func(circuit string) string) {
	if c.open[e.ID] == nil && (e.Purpose == "USER" || e.Purpose == "DNS_REQUEST") {
		host := e.Target
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host = host[:i]
		}
		c.open[strings.Clone(e.ID)] = &chartedStream{host: strings.Clone(host)}
	}
	s := c.open[e.ID]
	if s == nil {
		return
	}
	if e.Status == statusClosed {
		delete(c.open, e.ID)
	}
	if !inside {
		return
	}
	if !s.counted {
		s.counted = true
		c.all++
	}
	if e.Status == statusFailed {
		c.end(rec, e, s.host)
	}
	if relay := exit(e.CircID); relay != "" {
		c.exit(rec, e, s.host, relay)
	}
}

func (c *streamChart) end(rec *journal.Record, e *event.Stream, host string) {
	key := [2]string{e.Reason, e.RemoteReason}
	ends := c.failed[key]
	if ends == nil {
		if len(c.failed) >= maxKinds {
			return
		}
		ends = &streamEnds{hosts: names{}}
		c.failed[[2]string{strings.Clone(e.Reason), strings.Clone(e.RemoteReason)}] = ends
	}
	ends.see(rec, true)
	ends.hosts.add(host)
}

// exit counts what an exit did with a name.
func (c *streamChart) exit(rec *journal.Record, e *event.Stream, host, relay string) {
	bad := e.RemoteReason == resolveFailed && (e.Status == statusFailed || e.Status == "DETACHED")
	if !bad && e.Status != "SUCCEEDED" {
		return
	}
	x := c.exits[relay]
	if x == nil {
		if len(c.exits) >= maxExits {
			return
		}
		x = &exitNames{hosts: names{}}
		c.exits[relay] = x
	}
	if !bad {
		x.good++
		return
	}
	x.see(rec, true)
	x.hosts.add(host)
}

// resolveFailed is the reason of streams whose name has no address.
const resolveFailed = "RESOLVEFAILED"
