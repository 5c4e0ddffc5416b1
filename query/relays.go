package query

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Relay is one row: what circuits met with at one relay.
type Relay struct {
	Relay    string `json:"relay"`            // as tor wrote it: $fingerprint~nickname
	Circuits int    `json:"circuits"`         // that have it in their path, or tried to
	First    int    `json:"first"`            // of them, those of which it is the first hop
	Last     int    `json:"last"`             // of those that were built, those of which it is the last one
	Built    int    `json:"built"`            // of them, those that were built
	Failed   int    `json:"failed"`           // of them, those that failed at it: it is one end of the link that broke, see Failures
	Extended int    `json:"extended"`         // times that a circuit was extended to it within the range
	P50MS    *int64 `json:"p50_ms,omitempty"` // how long that took, since the step before: half of the times are not longer
	P90MS    *int64 `json:"p90_ms,omitempty"` // likewise nine of ten

	place Place
}

// Place is Row's.
func (r *Relay) Place() Place { return r.place }

func (r *Relay) stand(at Place) { r.place = at }

// Relays calls emit for every relay in the paths of the circuits of r, as
// Circuits has them, those with most circuits first. An error of emit ends it and
// is returned as it is.
//
// It keeps in memory the time of each extension, and the circuits that stand.
func Relays(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Relay) error) ([]journal.Gap, error) {
	return relays(ctx, stored{rd}, r, part, emit)
}

func relays(ctx context.Context, src source, r journal.Range, part Part, emit func(*Relay) error) ([]journal.Gap, error) {
	var b relayBook
	gaps, err := nearFirst(func(near bool) ([]journal.Gap, error) {
		b = relayBook{sums: map[string]*relaySum{}, names: relayNames{}, steps: map[string]time.Time{}}
		w := newCircuitCount(src, r, part, b.circuit)
		w.near = near
		w.overhear(func(rec *journal.Record, e event.Event) { b.step(rec, e, w.inRange(rec.Time)) })
		w.turn = func() { clear(b.steps) }
		w.beside = func() int { return (len(b.sums)+len(b.names)+len(b.steps))*entryBytes + b.times*8 }
		err := w.count(ctx)
		return w.gaps, err
	})
	if err != nil {
		return gaps, err
	}
	return gaps, inOrder(b.rows(), part, emit)
}

// relayBook keeps account of relays.
type relayBook struct {
	sums  map[string]*relaySum // by what names knows them as
	names relayNames
	steps map[string]time.Time // of each circuit of the session that is being built, its last step
	times int                  // of all relays
}

type relaySum struct {
	Relay
	times []int64 // of extensions to it, in ms
}

func (b *relayBook) sum(relay string) *relaySum {
	key := b.names.key(relay)
	s := b.sums[key]
	if s == nil {
		s = &relaySum{}
		b.sums[key] = s
	}
	return s
}

// step takes the time of an extension.
func (b *relayBook) step(rec *journal.Record, e event.Event, inside bool) {
	switch ev := e.(type) {
	case *event.CircuitMinor:
		if ev.Event == "CANNIBALIZED" {
			b.steps[strings.Clone(ev.ID)] = rec.Time
		}
	case *event.Circuit:
		switch ev.Status {
		case statusLaunched:
			b.steps[strings.Clone(ev.ID)] = rec.Time
		case statusExtended:
			before, known := b.steps[ev.ID]
			b.steps[strings.Clone(ev.ID)] = rec.Time
			path := string(ev.Path)
			if ms := milliseconds(before, rec.Time); known && ms != nil && inside && path != "" {
				s := b.sum(path[strings.LastIndexByte(path, ',')+1:])
				s.times = append(s.times, *ms)
				b.times++
			}
		case statusClosed:
			delete(b.steps, ev.ID)
		}
	}
}

// circuit counts one for the relays that it went over or tried to.
func (b *relayBook) circuit(l *life) {
	from, to := l.broken()
	for i, relay := range l.tried() {
		s := b.sum(relay)
		s.Circuits++
		if i == 0 {
			s.First++
		}
		if l.everBuilt {
			s.Built++
			if l.path[len(l.path)-1] == relay { // one may be on a path twice
				s.Last++
			}
		}
		if l.failed && (relay == from || relay == to) {
			s.Failed++
		}
	}
}

func (b *relayBook) rows() (rows []*Relay) {
	for key, s := range b.sums {
		s.Relay.Relay = b.names.name(key)
		slices.Sort(s.times)
		if n := len(s.times); n > 0 {
			half, most := nearestRank(s.times, .50), nearestRank(s.times, .90)
			s.Extended, s.P50MS, s.P90MS = n, &half, &most
		}
		rows = append(rows, &s.Relay)
	}
	slices.SortFunc(rows, func(a, b *Relay) int {
		return cmp.Or(-cmp.Compare(a.Circuits, b.Circuits), cmp.Compare(a.Relay, b.Relay))
	})
	return rows
}
