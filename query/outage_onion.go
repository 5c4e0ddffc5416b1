package query

import (
	"maps"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// How many rendezvous must have failed in a row, and for how long, to be an
// outage: one visitor's is tried again a few times, and may name a rendezvous
// point that is not there.
const (
	fewestRendezvous  = 10
	shortestNoVisitor = 30 * time.Second
)

// maxServices bounds how many onion services of a session are followed, and of
// each the circuits and the uploads that are under way: who has more has other
// means.
const maxServices = 1024

// outageOnions finds outages of the onion services that tor hosts, within a
// session.
type outageOnions struct {
	book   *outageBook
	client *outageClient

	services map[string]*service // by address
	introOf  map[string]*service // by ID: introduction circuits that are established
}

// service is one onion service.
type service struct {
	addr string

	points map[string]string // introduction points by circuit, fingerprints
	ended  *journal.Record   // tor itself ended the last introduction circuit
	intro  *Outage

	told     bool            // uploads are in the record
	offered  []string        // introduction points of the descriptor that is being uploaded
	known    []string        // those of the one that an HSDir took last
	knownAt  time.Time       // when it did
	pending  map[string]int  // uploads by HSDir, of which nothing more is known
	refused  map[string]bool // HSDirs that took no descriptor, since one did
	refusals int
	since    *journal.Record // the first of them
	upload   *Outage

	rend     failedRun
	trying   map[string]journal.Record // rendezvous circuits
	rendless *Outage
}

func (n *outageOnions) size() int { return (len(n.services) + len(n.introOf)) * 2 * entryBytes }

// standing lists the services that have an introduction circuit.
func (n *outageOnions) standing() (addrs []string) {
	for _, addr := range slices.Sorted(maps.Keys(n.services)) {
		if len(n.services[addr].points) > 0 && len(addrs) < maxListed {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// part forgets the services, where the record of them ends.
func (n *outageOnions) part(rec *journal.Record) {
	for _, s := range n.services {
		for _, o := range []*Outage{s.intro, s.upload, s.rendless} {
			if o != nil {
				o.end(rec.Seq, rec.Time)
			}
		}
	}
	clear(n.services)
	clear(n.introOf)
}

func (n *outageOnions) mayHaveBegun(until time.Time) bool {
	for _, s := range n.services {
		if s.ended != nil && s.ended.Time.Before(until) || s.since != nil && s.since.Time.Before(until) || s.rend.failed > 0 && s.rend.at.Before(until) {
			return true
		}
	}
	return false
}

// service returns the one of that address, nil if it is not known which: on a
// relay addresses are not recorded.
func (n *outageOnions) service(addr string) *service {
	if addr == "" || strings.HasPrefix(addr, "[") {
		return nil
	}
	s := n.services[addr]
	if s == nil && len(n.services) < maxServices {
		addr = strings.Clone(addr)
		s = &service{addr: addr, points: map[string]string{}, pending: map[string]int{}, refused: map[string]bool{}, trying: map[string]journal.Record{}}
		n.services[addr] = s
	}
	return s
}

// outage begins one of a service.
func (n *outageOnions) outage(s *service, without string, nth int, session, seq uint64, at time.Time) *Outage {
	o := n.book.begin(OutageOfOnion, nth, session, seq, at)
	o.Onion, o.Without = s.addr, without
	return o
}

// snapshot takes the introduction circuits that stood at one moment.
func (n *outageOnions) snapshot(rec *journal.Record, ev *event.Journal) {
	lines, _ := snapshotLines(ev.Snapshot(), "circuit-status")
	for line := range lines {
		if circ, ok := snapshotEntry[*event.Circuit](event.CIRC, line); ok {
			n.state(rec, circ.ID, circ.Path, &circ.CircuitInfo)
		}
	}
}

func (n *outageOnions) circuit(rec *journal.Record, ev *event.Circuit) {
	if ev.Status == statusFailed || ev.Status == statusClosed {
		n.gone(rec, ev)
		return
	}
	n.state(rec, ev.ID, ev.Path, &ev.CircuitInfo)
}

func (n *outageOnions) minor(rec *journal.Record, ev *event.CircuitMinor) {
	if s := n.introOf[ev.ID]; s != nil && ev.Purpose != serviceIntro {
		n.lose(rec, s, ev.ID, "FINISHED") // tor has enough of them, and uses it for something else
	}
	n.state(rec, ev.ID, ev.Path, &ev.CircuitInfo)
}

// state takes what an event says of a circuit that goes on.
func (n *outageOnions) state(rec *journal.Record, id string, path event.Path, info *event.CircuitInfo) {
	if info.Purpose != serviceIntro && info.Purpose != serviceRend {
		return
	}
	s := n.service(info.RendQuery)
	switch {
	case s == nil:
	case info.Purpose == serviceRend && info.HSState == metStates[serviceRend]:
		delete(s.trying, id)
		s.rend = failedRun{}
		s.rendless = closed(s.rendless, rec)
	case info.Purpose == serviceRend:
		if _, known := s.trying[id]; !known && len(s.trying) < maxServices {
			s.trying[strings.Clone(id)] = journal.Record{Seq: rec.Seq, Time: rec.Time}
		}
	case info.HSState == metStates[serviceIntro]:
		n.establish(rec, s, id, path)
	case s.ended != nil: // it goes on: the end was none on purpose, or not of the service
		s.intro = n.outage(s, WithoutIntro, nthIntro, rec.Session, s.ended.Seq, s.ended.Time)
		s.ended = nil
	}
}

// establish notes an introduction circuit.
func (n *outageOnions) establish(rec *journal.Record, s *service, id string, path event.Path) {
	if _, known := s.points[id]; known || len(s.points) >= maxServices {
		return
	}
	id = strings.Clone(id)
	point := strings.Clone(lastHop(path))
	s.points[id], n.introOf[id], s.ended = point, s, nil
	if !s.told || s.found(rec.Time) {
		s.intro = closed(s.intro, rec)
	}
}

// found reports whether visitors can know of an introduction point: one that has
// a circuit is in the descriptor that an HSDir has.
func (s *service) found(now time.Time) bool {
	if s.knownAt.IsZero() || now.After(s.knownAt.Add(descriptorLife)) {
		return false
	}
	for _, point := range s.points {
		if slices.Contains(s.known, point) {
			return true
		}
	}
	return false
}

func lastHop(path event.Path) (fingerprint string) {
	for hop := range path.All() {
		fingerprint = hop.Fingerprint
	}
	return fingerprint
}

// gone takes the end of a circuit.
func (n *outageOnions) gone(rec *journal.Record, ev *event.Circuit) {
	if s := n.introOf[ev.ID]; s != nil {
		n.lose(rec, s, ev.ID, whyEnded(ev))
		return
	}
	if ev.Purpose != serviceRend && ev.Purpose != serviceIntro {
		return
	}
	s := n.service(ev.RendQuery)
	if s == nil {
		return
	}
	begun, tried := s.trying[ev.ID]
	delete(s.trying, ev.ID)
	if ev.Status != statusFailed || ownWill[ev.Reason] {
		return
	}
	if ev.Purpose == serviceIntro {
		if s.intro != nil {
			s.intro.Failed++
		}
		return
	}
	if tried {
		n.failRendezvous(rec, s, begun)
	}
}

// lose notes the end of an introduction circuit.
func (n *outageOnions) lose(rec *journal.Record, s *service, id, why string) {
	delete(n.introOf, id)
	delete(s.points, id)
	switch {
	case len(s.points) > 0 || s.intro != nil:
	case why == "FINISHED": // the service has ended, unless it goes on
		s.ended = &journal.Record{Seq: rec.Seq, Session: rec.Session, Time: rec.Time}
	default:
		s.intro = n.outage(s, WithoutIntro, nthIntro, rec.Session, rec.Seq, rec.Time)
		s.intro.Cause, s.intro.Detail = CauseIntroLost, "REASON="+strings.Clone(why)
	}
}

// closed ends an outage, if there is one.
func closed(o *Outage, rec *journal.Record) *Outage {
	if o != nil {
		o.end(rec.Seq, rec.Time)
	}
	return nil
}

// failRendezvous counts one. While circuits cannot be built, or nobody can ask for
// one, that is told anyway.
func (n *outageOnions) failRendezvous(rec *journal.Record, s *service, begun journal.Record) {
	if n.client.row != nil || s.intro != nil {
		return
	}
	r := &s.rend
	if r.failed == 0 {
		*r = failedRun{seq: begun.Seq, at: begun.Time}
	}
	r.failed++
	if s.rendless == nil && r.failed >= fewestRendezvous && rec.Time.Sub(r.at) >= shortestNoVisitor {
		s.rendless = n.outage(s, WithoutRendezvous, nthRendezvous, rec.Session, r.seq, r.at)
	}
	if s.rendless != nil {
		s.rendless.Failed = r.failed
		s.rendless.shows(rec.Seq)
	}
}

// descriptor takes an HS_DESC event. FAILED is told of uploads and of fetches.
func (n *outageOnions) descriptor(rec *journal.Record, ev *event.HSDesc) {
	switch ev.Action {
	case "UPLOAD":
		if s := n.service(ev.Address); s != nil && len(s.pending) < maxServices {
			s.told = true
			s.pending[strings.Clone(ev.HSDir)]++
			s.offered = slices.Collect(maps.Values(s.points))
		}
	case "UPLOADED":
		if s := n.services[ev.Address]; s != nil {
			s.settle(ev.HSDir)
			clear(s.refused)
			s.since, s.refusals = nil, 0
			s.upload = closed(s.upload, rec)
			if s.known, s.knownAt = s.offered, rec.Time; s.found(rec.Time) {
				s.intro = closed(s.intro, rec)
			}
		}
	case "FAILED":
		if s := n.services[ev.Address]; s != nil && s.settle(ev.HSDir) {
			n.refuse(rec, s, ev)
		}
	}
}

// settle notes that an upload to an HSDir is over, and reports whether there was
// one.
func (s *service) settle(hsdir string) bool {
	n := s.pending[hsdir]
	if n > 1 {
		s.pending[hsdir] = n - 1
	} else {
		delete(s.pending, hsdir)
	}
	return n > 0
}

// refuse notes that an HSDir did not take a descriptor. Once none has, and more
// than one was asked, it is an outage, unless they have one that still serves.
func (n *outageOnions) refuse(rec *journal.Record, s *service, ev *event.HSDesc) {
	s.refused[strings.Clone(ev.HSDir)] = true
	s.refusals++
	if s.since == nil {
		s.since = &journal.Record{Seq: rec.Seq, Session: rec.Session, Time: rec.Time}
	}
	if s.upload == nil && s.intro == nil && len(s.refused) > 1 && len(s.pending) == 0 && !s.found(rec.Time) {
		begun := s.since
		if !s.knownAt.IsZero() {
			begun = rec
		}
		s.upload = n.outage(s, WithoutDescriptor, nthDescriptor, begun.Session, begun.Seq, begun.Time)
	}
	if s.upload != nil {
		s.upload.Failed = s.refusals
		s.upload.Detail = "HS_DESC FAILED REASON=" + strings.Clone(ev.Reason)
		s.upload.shows(rec.Seq)
	}
}
