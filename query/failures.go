package query

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
)

// Failures are counted by what the failed circuits have in common.
//
// tor names the hops that a circuit has, not the one that it could not be
// extended to. So of a circuit that FAILED with n hops it is known that it broke
// at hop n, or between that and the next one. Who that was is only known if tor
// went on building it, to learn how long it takes (path-spec 2.4): then the next
// hop is in its path later. The end of a link that is not known is "?", the
// beginning of the first one "client": that is tor itself and its network.

// What failures are counted by.
const (
	ByLink     = "link"     // from the last hop that was reached to the next one
	ByRelay    = "relay"    // each of the two
	ByGuard    = "guard"    // first hop
	ByPosition = "position" // number of the hop that was not reached, the first is 1
	ByReason   = "reason"   // as tor wrote it, with the remote reason
	ByPurpose  = "purpose"  // when it failed
	ByHour     = "hour"     // in which it began
)

// FailureGroups lists what failures can be counted by.
func FailureGroups() []string {
	return []string{ByLink, ByRelay, ByGuard, ByPosition, ByReason, ByPurpose, ByHour}
}

// Ends of links that are no relays.
const (
	nobodyKnown  = "?"
	clientItself = "client"
)

// How sure it is that a relay is at fault and not one that stands next to it.
const (
	Likely  = "likely"   // two neighbours at least, and its rate lies above that of all with all of its interval
	Unsure  = "unsure"   // two neighbours at least, but chance may do that
	OneLink = "one link" // a single neighbour: it may as well be that one, or the way between
)

// Failure is one row: a group of circuits, and how many of them failed.
type Failure struct {
	By           string   `json:"by"`                      // see ByLink
	Link         []string `json:"link,omitempty"`          // from and to
	Relay        string   `json:"relay,omitempty"`         // a relay, or a guard; "?" of circuits without a hop
	Position     int      `json:"position,omitempty"`      // of the hop that was not reached
	Reason       string   `json:"reason,omitempty"`        // as tor wrote it
	RemoteReason string   `json:"remote_reason,omitempty"` // that came with it
	Purpose      string   `json:"purpose,omitempty"`       // as tor wrote it
	Hour         Stamp    `json:"hour,omitzero"`           // its beginning
	Circuits     int      `json:"circuits"`                // of the group: those that came so far, whatever became of them
	Failed       int      `json:"failed"`                  // of them
	Rate         float64  `json:"rate"`                    // failed by circuits, four decimals
	RateLow      float64  `json:"rate_low"`                // the rate lies between these two with 95 % certainty, by Wilson
	RateHigh     float64  `json:"rate_high"`               // likewise
	Neighbours   int      `json:"neighbours,omitempty"`    // of a relay: different ones next to it on the circuits that failed there
	Sure         string   `json:"sure,omitempty"`          // of a relay: see Likely
	LastTime     Stamp    `json:"last_time,omitzero"`      // when a circuit of the group failed last
	LastSession  uint64   `json:"last_session,omitempty"`  // which one that was
	LastID       string   `json:"last_id,omitempty"`       // likewise
	LastReason   string   `json:"last_reason,omitempty"`   // why it failed, with the remote reason behind a slash

	last  uint64 // number of the first record that names that one
	place Place
}

// Place is Row's.
func (f *Failure) Place() Place { return f.place }

func (f *Failure) stand(at Place) { f.place = at }

// Failures calls emit for every group of circuits in which one failed, those
// with most failures first; positions, purposes and hours without a failure are
// told too, positions and hours in their order. The first hop's links come behind
// the others, and relays of which it is not sure whether it is them behind those
// of which it is. Which circuits lie in r is as with Circuits. An error of emit
// ends it and is returned as it is.
//
// It keeps in memory one sum for each group, and the circuits that stand.
func Failures(ctx context.Context, rd journal.Reader, r journal.Range, by string, part Part, emit func(*Failure) error) ([]journal.Gap, error) {
	return failures(ctx, stored{rd}, r, by, part, emit)
}

func failures(ctx context.Context, src source, r journal.Range, by string, part Part, emit func(*Failure) error) ([]journal.Gap, error) {
	if !slices.Contains(FailureGroups(), by) {
		return nil, fmt.Errorf("query: failures by %q: there are %s", by, strings.Join(FailureGroups(), ", "))
	}
	var f failureSums
	gaps, err := nearFirst(func(near bool) ([]journal.Gap, error) {
		f = newFailureSums(by)
		w := newCircuitCount(src, r, part, f.add)
		w.near = near
		w.beside = func() int { return (len(f.groups)*2 + len(f.relays.names)) * entryBytes }
		err := w.count(ctx)
		return w.gaps, err
	})
	if err != nil {
		return gaps, err
	}
	return gaps, inOrder(f.rows(), part, emit)
}

// failureSums counts circuits.
type failureSums struct {
	by            string
	groups        map[groupKey]*failureSum
	relays        *relayNumbers
	words         numbering // of all else
	total, failed int
}

func newFailureSums(by string) failureSums {
	return failureSums{by: by, groups: map[groupKey]*failureSum{}, relays: newRelayNumbers(), words: newNumbering()}
}

// groupKey is what the circuits of a group have in common. a and b are numbers of
// relays, or of words.
type groupKey struct {
	a, b wordNumber
	n    int64
}

type failureSum struct {
	circuits, failed int
	neighbours       map[wordNumber]bool
	last             lastFailure
}

// lastFailure is the circuit of a group that failed last.
type lastFailure struct {
	at                   time.Time // zero: none did
	session              uint64
	id                   string
	reason, remoteReason string
	place                Place
}

// add counts one circuit.
func (f *failureSums) add(l *life) {
	f.total++
	if l.failed {
		f.failed++
	}
	switch f.by {
	case ByLink:
		f.links(l)
	case ByRelay:
		f.overRelays(l)
	case ByGuard:
		guard := nobodyKnown
		if len(l.path) > 0 {
			guard = l.path[0]
		}
		f.count(groupKey{a: f.relays.of(guard)}, l, l.failed)
	case ByPosition:
		reached := len(l.path)
		if l.failed {
			reached = l.failedHops
		}
		for n := 1; n <= reached; n++ {
			f.count(groupKey{n: int64(n)}, l, false)
		}
		if l.failed {
			f.count(groupKey{n: int64(reached + 1)}, l, true)
		}
	case ByReason:
		if l.failed {
			f.count(groupKey{a: f.words.of(l.reason), b: f.words.of(l.remoteReason)}, l, true)
		}
	case ByPurpose:
		purpose := l.purpose
		if l.failed {
			purpose = l.failedPurpose
		}
		f.count(groupKey{a: f.words.of(purpose)}, l, l.failed)
	case ByHour:
		f.count(groupKey{n: l.begun().Truncate(time.Hour).Unix()}, l, l.failed)
	}
}

// count adds a circuit to a group.
func (f *failureSums) count(key groupKey, l *life, failed bool) *failureSum {
	s := f.groups[key]
	if s == nil {
		s = &failureSum{}
		f.groups[key] = s
	}
	s.circuits++
	if failed {
		s.failed++
		if !l.failedAt.Before(s.last.at) {
			s.last = lastFailure{l.failedAt, l.session, l.id, l.reason, l.remoteReason, l.place}
		}
	}
	return s
}

// broken returns between whom a failed circuit broke.
func (l *life) broken() (from, to string) {
	from, to = clientItself, nobodyKnown
	if n := l.failedHops; n > 0 && n <= len(l.path) {
		from = l.path[n-1]
	}
	if n := l.failedHops; n < len(l.path) {
		to = l.path[n]
	}
	return from, to
}

// tried yields the relays that a circuit went over or tried to, each with its
// first place in the path.
func (l *life) tried() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i, relay := range l.path {
			if l.failed && i > l.failedHops || slices.Contains(l.path[:i], relay) {
				continue
			}
			if !yield(i, relay) {
				return
			}
		}
	}
}

// links counts a circuit for each link that it went over or tried to: those to
// relays, and that from each relay to whoever follows.
func (f *failureSums) links(l *life) {
	nobody, from := f.relays.of(nobodyKnown), f.relays.of(clientItself)
	for i, hop := range l.path {
		if l.failed && i >= l.failedHops {
			break
		}
		to := f.relays.of(hop)
		f.count(groupKey{a: from, b: to}, l, false)
		f.count(groupKey{a: from, b: nobody}, l, false)
		from = to
	}
	if !l.failed {
		return
	}
	a, b := l.broken()
	from, to := f.relays.of(a), f.relays.of(b)
	f.count(groupKey{a: from, b: nobody}, l, to == nobody)
	if to != nobody {
		f.count(groupKey{a: from, b: to}, l, true)
	}
}

// overRelays counts a circuit for each relay that it went over or tried to.
func (f *failureSums) overRelays(l *life) {
	from, to := l.broken()
	for i, relay := range l.tried() {
		at := l.failed && (relay == from || relay == to)
		s := f.count(groupKey{a: f.relays.of(relay)}, l, at)
		if !at {
			continue
		}
		if s.neighbours == nil {
			s.neighbours = map[wordNumber]bool{}
		}
		neighbour := clientItself
		switch {
		case relay == to:
			neighbour = from
		case to != nobodyKnown:
			neighbour = to
		case i > 0:
			neighbour = l.path[i-1]
		}
		s.neighbours[f.relays.of(neighbour)] = true
	}
}

// rows returns the groups in order.
func (f *failureSums) rows() (rows []*Failure) {
	for key, s := range f.groups {
		all := s.circuits
		if f.by == ByReason {
			all = f.total
		}
		if s.failed == 0 && f.by != ByPosition && f.by != ByPurpose && f.by != ByHour {
			continue
		}
		row := &Failure{By: f.by, Circuits: all, Failed: s.failed, Rate: decimals(float64(s.failed) / float64(all))}
		low, high := wilson(s.failed, all)
		row.RateLow, row.RateHigh = decimals(low), decimals(high)
		if l := &s.last; s.failed > 0 {
			row.LastTime, row.LastSession, row.LastID, row.LastReason = Stamp{l.at}, l.session, l.id, bothReasons(l.reason, l.remoteReason)
			row.last = uint64(l.place.At)
		}
		switch f.by {
		case ByLink:
			row.Link = []string{f.relays.name(key.a), f.relays.name(key.b)}
		case ByRelay:
			row.Relay, row.Neighbours = f.relays.name(key.a), len(s.neighbours)
			switch {
			case row.Neighbours < 2:
				row.Sure = OneLink
			case low > float64(f.failed)/float64(f.total):
				row.Sure = Likely
			default:
				row.Sure = Unsure
			}
		case ByGuard:
			row.Relay = f.relays.name(key.a)
		case ByPosition:
			row.Position = int(key.n)
		case ByReason:
			row.Reason, row.RemoteReason = f.words.words[key.a], f.words.words[key.b]
		case ByPurpose:
			row.Purpose = f.words.words[key.a]
		case ByHour:
			row.Hour = Stamp{time.Unix(key.n, 0).UTC()}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *Failure) int {
		return cmp.Or(
			cmp.Compare(a.Position, b.Position), a.Hour.Compare(b.Hour.Time),
			cmp.Compare(apart(a), apart(b)), -cmp.Compare(a.Failed, b.Failed), -cmp.Compare(a.RateLow, b.RateLow),
			slices.Compare(a.Link, b.Link), cmp.Compare(a.Relay, b.Relay), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.RemoteReason, b.RemoteReason), cmp.Compare(a.Purpose, b.Purpose),
		)
	})
	return rows
}

// apart says which rows stand behind the others.
func apart(f *Failure) int {
	switch {
	case len(f.Link) > 0 && f.Link[0] == clientItself, f.Sure == Unsure:
		return 1
	case f.Sure == OneLink:
		return 2
	}
	return 0
}

// wilson returns the bounds between which a rate lies with 95 % certainty, of
// which n trials gave so many (E. B. Wilson, 1927). Unlike the usual ones they
// hold for few trials, and for rates near 0 and 1.
func wilson(so, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p, m := float64(so)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	wide := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, (mid-wide)/(1+z*z/m)), min(1, (mid+wide)/(1+z*z/m))
}

func decimals(f float64) float64 { return math.Round(f*1e4) / 1e4 }
