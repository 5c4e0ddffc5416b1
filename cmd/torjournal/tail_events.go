package main

import (
	"fmt"
	"strconv"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// shown shows the events of one control connection after the other. While
// there is one, its reading goroutine owns this.
type shown struct {
	program
	out    *recordPrinter
	events *pick

	seen  uint64           // number of the newest event, 0 if none is known
	skip  bool             // what is numbered comes again
	at    *journal.Record  // number and time of the next event, as JOURNAL AT said
	last  int              // so many of the first ones are looked for; 0: found
	early []journal.Record // the last of them so far
	err   error            // why nothing can be written any more
	stop  func()           // ends the connection
}

// say tells between records, on standard error, how things stand.
func (s *shown) say(format string, args ...any) {
	s.flush()
	fmt.Fprintf(s.stderr, "-- "+format+" --\n", args...)
}

func (s *shown) flush() { _ = s.out.w.Flush() }

// take gets what a read brought.
func (s *shown) take(wires [][]byte) {
	for _, wire := range wires {
		if s.err == nil {
			s.err = s.event(wire)
		}
	}
	if s.err == nil {
		s.err = s.out.w.Flush()
	}
	if s.err != nil {
		s.stop()
	}
}

func (s *shown) event(wire []byte) error {
	r := journal.Record{Time: s.now().UTC(), Type: event.TypeOf(wire), Wire: wire}
	if r.Type == event.JOURNAL {
		if done, err := s.mark(wire); done || err != nil {
			return err
		}
	}
	if s.at != nil {
		r.Seq, r.Time, s.at = s.at.Seq, s.at.Time, nil
	}
	if s.skip && r.Seq != 0 {
		return nil
	}
	s.seen = max(s.seen, r.Seq)
	switch {
	case !s.events.keep(&r):
		return nil
	case s.last == 0:
		return s.out.print(r)
	case len(s.early) == s.last:
		s.early = append(s.early[:0], s.early[1:]...)
	}
	s.early = append(s.early, r)
	return nil
}

// lookFor has the last n events held until the present is reached.
func (s *shown) lookFor(n int) { s.last, s.early = n, nil }

// found shows what lookFor had held.
func (s *shown) found() {
	for _, r := range s.early {
		if s.err == nil {
			s.err = s.out.print(r)
		}
	}
	s.last, s.early, s.at = 0, nil, nil
}

// mark deals with what torjournal says to this connection alone.
func (s *shown) mark(wire []byte) (done bool, err error) {
	ev, err := event.Parse(wire)
	j, ok := ev.(*event.Journal)
	if err != nil || !ok {
		return false, nil
	}
	word := func(key string) string {
		v, _ := j.Keywords.Get(key)
		return v
	}
	switch {
	case j.What == event.WhatAt:
		s.at = &journal.Record{Seq: number(word("SEQ"))}
		s.at.Time, err = filter.Time(word("TIME"), s.now(), time.UTC)
		return true, err
	case j.What == event.WhatGap:
		s.flush()
		return true, s.printGap(journal.Gap{From: number(word("FROM")), To: number(word("TO"))})
	case j.What == event.WhatCaughtUp:
		s.found()
		return true, s.err
	case j.What == event.WhatDropped && s.at == nil: // else it is a record
		s.say("%s events were dropped before they could be read: %s", printable(word("COUNT")), printable(word("TYPES")))
		return true, nil
	}
	return false, nil
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}
