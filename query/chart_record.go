package query

import (
	"strconv"
	"strings"
	"time"

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

// holeBook counts holes and keeps the last ones.
type holeBook struct {
	count int
	last  []*Hole
	open  *Hole // which no word of an end has followed
	told  bool  // open is counted
}

func (b *holeBook) add(h *Hole) {
	b.count++
	if b.last = append(b.last, h); len(b.last) > shownParts {
		b.last = b.last[1:]
	}
}

// hear takes a JOURNAL event; inside says whether it lies in the range.
func (b *holeBook) hear(rec *journal.Record, e *event.Journal, inside bool) {
	at := Stamp{rec.Time}
	if cause, detail := holeBegun(e); cause != "" {
		b.open, b.told = &Hole{From: at, Cause: cause, Detail: detail, Record: rec.Seq}, inside
		if inside {
			b.add(b.open)
		}
	}
	switch e.What {
	case event.WhatStart, event.WhatSourceRestored:
		switch {
		case b.open != nil:
			if b.open.To = at; inside && !b.told {
				b.add(b.open)
			}
		case !inside || rec.Seq <= 1:
		case e.What == event.WhatStart:
			b.add(&Hole{To: at, Cause: HoleEnded, Record: rec.Seq, before: rec.Seq - 1})
		default: // tor was lost in a session that is not of the range
			h := &Hole{To: at, Cause: HoleTorGone, Record: rec.Seq}
			if ms, err := strconv.ParseInt(keyword(e, "DOWN_MS"), 10, 64); err == nil {
				h.From = Stamp{rec.Time.Add(-time.Duration(ms) * time.Millisecond)}
			}
			b.add(h)
		}
		b.open = nil
	}
	if !inside {
		return
	}
	switch e.What {
	case event.WhatJournaled:
		h := &Hole{To: at, Cause: HoleWriting, Detail: strings.Clone(keyword(e, "ERROR")), Record: rec.Seq}
		h.From.Time, _ = event.ParseTime(strings.TrimSuffix(keyword(e, "SINCE"), "Z"))
		h.Events, _ = strconv.ParseUint(keyword(e, "COUNT"), 10, 64)
		b.add(h)
	case event.WhatDropped:
		h := &Hole{To: at, Cause: HoleDropped, Detail: strings.Clone(keyword(e, "TYPES")), Record: rec.Seq}
		h.Events, _ = strconv.ParseUint(keyword(e, "COUNT"), 10, 64)
		b.add(h)
	}
}

// holeBegun returns the cause of the hole that an event begins, and what the
// recorder said of it; "" if it begins none.
func holeBegun(e *event.Journal) (cause, detail string) {
	switch e.What {
	case event.WhatStop:
		return HoleStopped, ""
	case event.WhatSourceLost:
		return HoleTorGone, strings.Clone(keyword(e, "REASON"))
	}
	return "", ""
}

// follows takes the record before a hole of which nothing else said when and why
// it began: the session that says so may not be of the range.
func (h *Hole) follows(rec *journal.Record) {
	h.From = Stamp{rec.Time}
	e, ok := parse(rec).(*event.Journal)
	if !ok {
		return
	}
	if cause, detail := holeBegun(e); cause != "" {
		h.Cause, h.Detail = cause, detail
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
	turn := &GuardTurn{Time: Stamp{rec.Time}, Relay: strings.Clone(e.Name), Status: strings.Clone(e.Status), Record: rec.Seq}
	if t.last = append(t.last, turn); len(t.last) > shownParts {
		t.last = t.last[1:]
	}
}
