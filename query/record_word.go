package query

import (
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// recordWord is what one of the recorder's own events says of the record of tor.
// The zero value: nothing. What an answer makes of it is the answer's affair; what
// the words of JOURNAL events mean stands here alone.
//
//	START ─▶ recording ─▶ SOURCE_LOST ─▶ gone ─▶ SOURCE_RESTORED | START ─▶ recording
//	         recording ─▶ STOP ─▶ gone ─▶ START
//	         recording ─▶ (it was killed) ─▶ START
//	         recording ─▶ DROPPED | JOURNALED ─▶ recording, but events of some types are missing
//
// And behind any of these a SNAPSHOT says how tor stands.
type recordWord struct {
	turn   recordTurn
	text   string       // what happened, for people
	cause  string       // why something is missing: see HoleStopped
	why    string       // what the recorder said of that; it is a part of the event
	since  time.Time    // from when on it is missing, if that is said
	types  []event.Type // of recordLacks: those of which events are missing
	events uint64       // of recordLacks: how many, if that is said
}

// recordTurn is what becomes of the record.
type recordTurn int

const (
	recordSame   recordTurn = iota
	recordBegins            // tor is there, or there again: what it did before is missing back to where the record ended
	recordEnds              // from here on everything is missing
	recordLacks             // some of what came before is missing
	recordStands            // how tor stands is told: what it rests on is complete from here on
)

func recordWordOf(rec *journal.Record, e *event.Journal) (w recordWord) {
	switch e.What {
	case event.WhatStart: // of the end before it nothing was said, or it was by another word
		w = recordWord{turn: recordBegins, cause: HoleEnded}
	case event.WhatSourceRestored:
		w = recordWord{turn: recordBegins, cause: HoleTorGone}
		if ms, err := strconv.ParseInt(keyword(e, "DOWN_MS"), 10, 64); err == nil {
			w.since = rec.Time.Add(-time.Duration(ms) * time.Millisecond)
		}
	case event.WhatStop:
		w = recordWord{turn: recordEnds, cause: HoleStopped, text: "the recorder stopped"}
	case event.WhatSourceLost:
		w = recordWord{turn: recordEnds, cause: HoleTorGone, text: "tor was lost", why: keyword(e, "REASON")}
	case event.WhatDropped:
		w = recordWord{turn: recordLacks, cause: HoleDropped, text: "events were dropped under overload", why: keyword(e, "TYPES")}
	case event.WhatJournaled:
		w = recordWord{turn: recordLacks, cause: HoleWriting, text: "events could not be written", why: keyword(e, "ERROR")}
		w.since, _ = event.ParseTime(strings.TrimSuffix(keyword(e, "SINCE"), "Z"))
	case event.WhatSnapshot:
		w.turn = recordStands
	}
	if w.turn == recordLacks {
		for name := range strings.SplitSeq(keyword(e, "TYPES"), ",") {
			w.types = append(w.types, event.ParseType(name))
		}
		w.events, _ = strconv.ParseUint(keyword(e, "COUNT"), 10, 64)
	}
	return w
}

// said is a text, with what the recorder said of it.
func (w *recordWord) said(text string) string {
	if w.why == "" {
		return text
	}
	return text + ": " + w.why
}

func keyword(ev *event.Journal, key string) string {
	v, _ := ev.Keywords.Get(key)
	return v
}
