package query

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// onionBytes is what one onion service holds in memory, roughly, beside what
// grows.
const onionBytes = 2048

// onionBook keeps account of onion services.
type onionBook struct {
	r     journal.Range
	known *knownTimes

	sums    map[onionKey]*onionSum
	streams map[string]*onionStream // of the present session, those that are not decided, by ID
	bytes   int                     // that it holds, roughly
}

type onionKey struct{ role, address string }

// onionSum is what is known of one so far.
type onionSum struct {
	Onion
	named    Place // of the first record that names it
	inRange  bool  // a record of the range tells of it
	dirs     map[string]*OnionHSDir
	stays    map[uint64]*onionStay // by session, of a service
	intros   map[OnionFailure]int  // how they failed
	meetings map[OnionFailure]int
}

// onionStream is a connection that is not decided.
type onionStream struct {
	of    *onionSum
	asked bool // within the range
}

func newOnionBook(r journal.Range) *onionBook {
	types := endTypes.Union(event.NewSet(event.HS_DESC))
	return &onionBook{r: r, known: newKnownTimes(types), sums: map[onionKey]*onionSum{}, streams: map[string]*onionStream{}}
}

// sum returns the account of one that something names at a place.
func (b *onionBook) sum(role, address string, at Place) *onionSum {
	key := onionKey{role, address}
	s := b.sums[key]
	if s == nil {
		key.address = strings.Clone(address)
		s = &onionSum{
			Onion: Onion{Role: role, Address: key.address}, named: at,
			dirs: map[string]*OnionHSDir{}, stays: map[uint64]*onionStay{}, intros: map[OnionFailure]int{}, meetings: map[OnionFailure]int{},
		}
		b.sums[key] = s
		b.bytes += onionBytes
	}
	if s.named.After(at) {
		s.named = at
	}
	return s
}

// tell takes that something of it happened.
func (b *onionBook) tell(s *onionSum, at time.Time) {
	if at.IsZero() || !inside(b.r, at) {
		return
	}
	s.inRange = true
	if s.First.IsZero() || at.Before(s.First.Time) {
		s.First = Stamp{at}
	}
	if at.After(s.Last.Time) {
		s.Last = Stamp{at}
	}
}

// record takes what lies before the end of the range.
func (b *onionBook) record(rec *journal.Record, e event.Event) {
	switch ev := e.(type) {
	case *event.HSDesc:
		b.descriptor(rec, ev)
	case *event.Stream:
		b.stream(rec, ev)
	case *event.Journal:
		b.known.hear(rec, ev)
	}
}

// turn is called where another session begins.
func (b *onionBook) turn() {
	for _, s := range b.streams {
		if s.asked {
			s.of.Connections.Open++
		}
	}
	b.bytes -= len(b.streams) * entryBytes
	clear(b.streams)
	for _, s := range b.sums {
		for _, d := range s.dirs {
			d.before = 0
		}
	}
}

// descriptor takes an HS_DESC event (control-spec 4.1.25).
func (b *onionBook) descriptor(rec *journal.Record, ev *event.HSDesc) {
	role := b.roleOf(ev)
	if role == "" {
		return
	}
	s := b.sum(role, onionAddress(ev.Address), Place{At: int64(rec.Seq)})
	within := inside(b.r, rec.Time)
	b.tell(s, rec.Time)
	if role == OnionService {
		b.stay(s, rec.Session, rec.Time).descriptor(ev.Action, rec.Time)
	}
	d := b.hsDir(s, rec, ev.HSDir)
	if d != nil && within {
		d.Last = Stamp{rec.Time}
	}
	t := &s.Uploads
	if role == OnionClient {
		t = &s.Fetches
	}
	if *t == nil {
		*t = &OnionTransfers{}
	}
	switch ev.Action {
	case "UPLOAD", "REQUESTED":
		countIf(within, &(*t).Asked)
		switch {
		case d == nil:
		case within:
			d.Asked++
			d.Unanswered++
		default:
			d.before++
		}
	case "UPLOADED", "RECEIVED", "IGNORE":
		countIf(within, &(*t).OK)
		if d != nil {
			countIf(within, &d.OK)
			d.answered()
		}
	case "FAILED":
		reason := strings.Clone(ev.Reason)
		if within {
			(*t).Failed++
			addTo(&(*t).Reasons, reason)
		}
		if d != nil {
			countIf(within, &d.Failed)
			if d.answered(); within {
				d.LastReason = reason
			}
		}
	}
}

func countIf(so bool, n *int) {
	if so {
		*n++
	}
}

func addTo(counts *map[string]int, word string) {
	if *counts == nil {
		*counts = map[string]int{}
	}
	(*counts)[word]++
}

// answered takes that one of those begun is over.
func (d *OnionHSDir) answered() {
	switch {
	case d.before > 0:
		d.before--
	case d.Unanswered > 0:
		d.Unanswered--
	}
}

// roleOf returns whose event it is. Of a FAILED only some reasons tell that;
// else it is who waits for that directory.
func (b *onionBook) roleOf(ev *event.HSDesc) string {
	switch ev.Action {
	case "CREATED", "UPLOAD", "UPLOADED":
		return OnionService
	case "REQUESTED", "RECEIVED", "IGNORE":
		return OnionClient
	case "FAILED":
	default:
		return ""
	}
	switch {
	case ev.Reason == "UPLOAD_REJECTED":
		return OnionService
	case ev.Reason == "NOT_FOUND", ev.Reason == "BAD_DESC", strings.HasPrefix(ev.Reason, "QUERY_"):
		return OnionClient
	}
	waits := func(role string) bool {
		s := b.sums[onionKey{role, onionAddress(ev.Address)}]
		if s == nil {
			return false
		}
		d := s.dirs[relay(ev.HSDir)]
		return d != nil && d.before+d.Unanswered > 0
	}
	if waits(OnionService) && !waits(OnionClient) || ev.AuthType == "UNKNOWN" {
		return OnionService
	}
	return OnionClient
}

// hsDir returns the account of a directory, nil if none is named.
func (b *onionBook) hsDir(s *onionSum, rec *journal.Record, name string) *OnionHSDir {
	if name == "UNKNOWN" || name == "" {
		return nil
	}
	d := s.dirs[relay(name)]
	if d == nil {
		name = strings.Clone(name)
		d = &OnionHSDir{Relay: name}
		s.dirs[relay(name)] = d
		s.HSDirs = append(s.HSDirs, d)
		b.bytes += 2 * entryBytes
	}
	if len(name) > len(d.Relay) {
		d.Relay = strings.Clone(name)
	}
	return d
}

// stream takes a STREAM event. A stream counts to the range in which it begins.
func (b *onionBook) stream(rec *journal.Record, ev *event.Stream) {
	s := b.streams[ev.ID]
	if ev.Status == streamNew || ev.Status == streamNewResolve {
		s = nil
	}
	if s == nil {
		address := onionOf(ev.Target)
		if address == "" || ev.Status != streamNew && ev.Status != streamNewResolve && ev.Status != "REMAP" {
			return
		}
		s = &onionStream{of: b.sum(OnionClient, address, Place{At: int64(rec.Seq)}), asked: inside(b.r, rec.Time)}
		b.streams[strings.Clone(ev.ID)] = s
		b.bytes += entryBytes
		if s.of.Connections == nil {
			s.of.Connections = &OnionStreams{}
		}
		countIf(s.asked, &s.of.Connections.Asked)
	}
	b.tell(s.of, rec.Time)
	c := s.of.Connections
	switch ev.Status {
	case "SUCCEEDED":
		countIf(s.asked, &c.OK)
	case statusFailed:
		if s.asked {
			c.Failed++
			addTo(&c.Reasons, strings.Clone(bothReasons(ev.Reason, ev.RemoteReason)))
		}
	case statusClosed:
		countIf(s.asked, &c.GivenUp)
	default:
		return
	}
	delete(b.streams, ev.ID)
	b.bytes -= entryBytes
}

// onionOf returns the address of the onion service that a target names, "" if it
// names none: "www.example.onion:80" has that of example.
func onionOf(target string) string {
	host, _, _ := strings.Cut(target, ":")
	name, ok := strings.CutSuffix(strings.ToLower(host), ".onion")
	if !ok {
		return ""
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

// circuit takes what a circuit did, when it is over or at the end.
func (b *onionBook) circuit(l *life) {
	for u := l.onion; u != nil; u = u.before {
		if !u.told || !u.left.IsZero() && u.left.Before(b.r.Since) || !beforeEnd(b.r, u.since) {
			continue // it has no first hop yet, or what it does in the range is something else
		}
		role := OnionClient
		if u.purpose == serviceIntro || u.purpose == serviceRend {
			role = OnionService
		}
		s := b.sum(role, u.address, l.place)
		b.tell(s, u.since)
		b.tell(s, u.end(l))
		if !u.already {
			b.tell(s, u.met)
		}
		s.inRange = true
		to, how := &s.Rendezvous, s.meetings
		if u.purpose == serviceIntro || u.purpose == clientIntro {
			to, how = &s.Introductions, s.intros
		}
		if *to == nil {
			*to = &OnionCircuits{}
		}
		(*to).add(l, u, how)
		if role != OnionService {
			continue
		}
		b.stay(s, l.session, u.since).circuit(l, u)
		if u.purpose == serviceIntro && !u.met.IsZero() {
			b.intro(s, l, u)
		}
	}
}

// add counts a circuit.
func (c *OnionCircuits) add(l *life, u *onionUse, how map[OnionFailure]int) {
	c.Attempted++
	switch {
	case !u.met.IsZero():
		c.OK++
	case !u.left.IsZero():
		c.Unused++
	case !u.end(l).IsZero():
		c.Failed++
		how[OnionFailure{State: u.state, Reason: l.reason, RemoteReason: l.remoteReason}]++
	default:
		c.Open++
	}
}

// stay returns what a session tells of a service, after a sign of it.
func (b *onionBook) stay(s *onionSum, session uint64, sign time.Time) *onionStay {
	st := s.stays[session]
	if st == nil {
		st = &onionStay{first: sign, last: sign}
		s.stays[session] = st
		b.bytes += entryBytes
	}
	if sign.Before(st.first) {
		st.first = sign
	}
	if sign.After(st.last) {
		st.last = sign
	}
	return st
}

// intro tells of an introduction point.
func (b *onionBook) intro(s *onionSum, l *life, u *onionUse) {
	p := OnionIntro{Relay: u.relay, Session: l.session, Circuit: l.id, Outcome: Open, Ended: Stamp{u.end(l)}, place: l.place}
	if !u.already {
		p.Established = Stamp{u.met}
	}
	switch {
	case !u.left.IsZero():
		p.Outcome = Closed
	case !p.Ended.IsZero():
		p.Outcome, p.Reason, p.RemoteReason = Closed, l.reason, l.remoteReason
	case l.lost():
		p.Outcome = Lost
	}
	p.LifeMS = milliseconds(p.Established.Time, p.Ended.Time)
	s.IntroPoints = append(s.IntroPoints, p)
	b.bytes += spanBytes
	if b.bytes += entryBytes; len(s.IntroPoints) > 2*MaxIntroPoints {
		s.newestIntros()
		b.bytes -= (MaxIntroPoints + 1) * entryBytes
	}
}

// newestIntros orders the introduction points and lets go of older ones.
func (s *onionSum) newestIntros() {
	slices.SortFunc(s.IntroPoints, func(a, b OnionIntro) int { return a.place.compare(b.place) })
	if n := len(s.IntroPoints); n > MaxIntroPoints {
		s.IntroPoints = slices.Delete(s.IntroPoints, 0, n-MaxIntroPoints)
	}
}

// rows returns those of which the range tells, in order.
func (b *onionBook) rows(known map[uint64]spans) (rows []*Onion) {
	b.turn()
	var sums []*onionSum
	for _, s := range b.sums {
		if s.inRange {
			sums = append(sums, s)
		}
	}
	slices.SortFunc(sums, func(x, y *onionSum) int {
		return cmp.Or(-cmp.Compare(x.Role, y.Role), x.named.compare(y.named), cmp.Compare(x.Address, y.Address))
	})
	for _, s := range sums {
		s.finish(known)
		rows = append(rows, &s.Onion)
	}
	return rows
}

// finish completes the row.
func (s *onionSum) finish(known map[uint64]spans) {
	s.newestIntros()
	for _, t := range []**OnionTransfers{&s.Uploads, &s.Fetches} {
		if *t == nil {
			continue
		}
		for _, d := range s.HSDirs {
			(*t).Unanswered += d.Unanswered
		}
		if (*t).Asked+(*t).OK+(*t).Failed == 0 {
			*t = nil
		}
	}
	s.HSDirs = slices.DeleteFunc(s.HSDirs, func(d *OnionHSDir) bool { return d.Last.IsZero() })
	for _, c := range []struct {
		of  *OnionCircuits
		how map[OnionFailure]int
	}{{s.Introductions, s.intros}, {s.Rendezvous, s.meetings}} {
		if c.of != nil {
			c.of.FailedBy = mostFirst(c.how)
		}
	}
	if s.Role == OnionService {
		s.measure(known)
	} else if c := s.Connections; c != nil && c.Asked == 0 {
		s.Connections = nil // they are of before
	} else if c != nil {
		s.Availability = percent(int64(c.OK), int64(c.OK+c.Failed+c.GivenUp))
	}
}

func mostFirst(how map[OnionFailure]int) (rows []OnionFailure) {
	for f, n := range how {
		f.Count = n
		rows = append(rows, f)
	}
	slices.SortFunc(rows, func(a, b OnionFailure) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.RemoteReason, b.RemoteReason))
	})
	return rows
}
