package query

import (
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Why a part of the record is missing.
const (
	HoleStopped = "recorder stopped" // on purpose; what tor did is unknown
	HoleEnded   = "recorder ended"   // without a word: it was killed, or the machine was
	HoleTorGone = "tor gone"         // its control port was
	HoleWriting = "not written"      // events came, but the disk did not take them
	HoleDropped = "dropped"          // events came faster than they could be written
	HoleEvicted = "evicted"          // the ring gave the records up, or they were lost to damage
)

// Hole is a time of which the record tells nothing, or not all.
type Hole struct {
	From   Stamp  `json:"from,omitzero"`    // absent if it is not known
	To     Stamp  `json:"to,omitzero"`      // absent while it lasts
	Cause  string `json:"cause"`            // see HoleStopped
	Detail string `json:"detail,omitempty"` // what the recorder said of it
	Events uint64 `json:"events,omitempty"` // that are missing, where that is known
	Record uint64 `json:"record"`           // number of the one that tells of it

	before uint64 // number of the record before it, where that says when it began
}

// shownParts is how many of a kind a summary shows: the last ones, or the most
// frequent.
const shownParts = 3

// keepLast adds one to those that are shown, of which only the last ones stay.
func keepLast[T any](shown []T, one T) []T {
	shown = append(shown, one)
	return shown[max(0, len(shown)-shownParts):]
}

// holeBook counts holes and keeps the last ones.
type holeBook struct {
	count int
	last  []*Hole
	open  *Hole // which no word of an end has followed
	told  bool  // open is counted

	imported func(before uint64) bool // reports whether the session that ends before that record is an imported log; nil: none is
}

func (b *holeBook) add(h *Hole) {
	b.count++
	b.last = keepLast(b.last, h)
}

// hear takes a JOURNAL event; inside says whether it lies in the range.
func (b *holeBook) hear(rec *journal.Record, e *event.Journal, inside bool) {
	at, says := Stamp{rec.Time}, recordWordOf(rec, e)
	switch says.turn {
	case recordEnds:
		b.open, b.told = &Hole{From: at, Cause: says.cause, Detail: strings.Clone(says.why), Record: rec.Seq}, inside
		if inside {
			b.add(b.open)
		}
	case recordBegins:
		switch {
		case b.open != nil:
			if b.open.To = at; inside && !b.told {
				b.add(b.open)
			}
		case !inside || rec.Seq <= 1:
		case b.imported != nil && b.imported(rec.Seq): // no recorder ended there
		default: // what it ends may have begun in a session that is not of the range
			h := &Hole{From: Stamp{says.since}, To: at, Cause: says.cause, Record: rec.Seq}
			if says.since.IsZero() {
				h.before = rec.Seq - 1
			}
			b.add(h)
		}
		b.open = nil
	case recordLacks:
		if inside {
			b.add(&Hole{
				From: Stamp{says.since}, To: at, Cause: says.cause, Detail: strings.Clone(says.why), Events: says.events, Record: rec.Seq,
			})
		}
	}
}

// follows takes the record before a hole of which nothing else said when and why
// it began: the session that says so may not be of the range.
func (h *Hole) follows(rec *journal.Record) {
	h.From = Stamp{rec.Time}
	e, ok := parse(rec).(*event.Journal)
	if !ok {
		return
	}
	if says := recordWordOf(rec, e); says.turn == recordEnds {
		h.Cause, h.Detail = says.cause, strings.Clone(says.why)
	}
}

// GuardTurn is a change of a guard.
type GuardTurn struct {
	Time   Stamp  `json:"time"`   // arrival
	Relay  string `json:"relay"`  // as tor wrote it
	Status string `json:"status"` // NEW, UP, DOWN, BAD or DROPPED
	Record uint64 `json:"record"` // its number
}

// guardTurns counts what became of entry guards and keeps the last changes.
type guardTurns struct {
	counts map[string]int // by status
	last   []*GuardTurn
}

func (t *guardTurns) hear(rec *journal.Record, e *event.Guard) {
	switch e.Status {
	case "NEW", "UP", "DOWN", "BAD", "DROPPED":
	default:
		return // of the second layer, which changes all the time
	}
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[strings.Clone(e.Status)]++
	t.last = keepLast(t.last, &GuardTurn{Time: Stamp{rec.Time}, Relay: strings.Clone(e.Name), Status: strings.Clone(e.Status), Record: rec.Seq})
}
