package journal

import (
	"math"
	"time"
)

// Times of a header that are not known: of what arrived before all that is
// there, and after it.
const (
	noBegin = math.MinInt64
	noEnd   = math.MaxInt64
)

// span returns between which times the records of h arrived; zero is not known.
func (h *header) span() (since, until time.Time) {
	if h.minTime == 0 && h.maxTime == 0 {
		return since, until
	}
	if h.minTime != noBegin {
		since = time.UnixMicro(h.minTime).UTC()
	}
	if h.maxTime != noEnd {
		until = time.UnixMicro(h.maxTime).UTC()
	}
	return since, until
}

// between returns what neighbours tell of the records first to last: the times
// between which they arrived, and their session if it is the same. Either may
// be nil or unknown.
func between(before, after *header, first, last uint64) *header {
	h := header{first: first, last: last}
	know := func(n *header) bool { return n != nil && (n.minTime != 0 || n.maxTime != 0) }
	switch {
	case know(before) && know(after):
		h.minTime, h.maxTime = min(before.maxTime, after.minTime), max(before.maxTime, after.minTime)
		if before.session == after.session {
			h.session = before.session
		}
	case know(before):
		h.minTime, h.maxTime = before.maxTime, noEnd
	case know(after):
		h.minTime, h.maxTime = noBegin, after.minTime
	}
	return &h
}

// gapEntries returns the lost entries for the records first to last, which lie
// between two neighbours: those that known, which is in order, tells of, with
// all that it tells, and for the records between them what neighbours tell.
func gapEntries(known []header, before, after *header, first, last uint64) (entries []header) {
	unknown := func(after *header, last uint64) {
		h := between(before, after, first, last)
		h.mask = math.MaxUint64
		entries = append(entries, lostEntry(*h, first, last))
	}
	for i := range known {
		h := &known[i]
		if h.first < first || h.last > last {
			continue
		}
		if h.first > first {
			unknown(h, h.first-1)
		}
		entries = append(entries, lostEntry(*h, h.first, h.last))
		before, first = h, h.last+1
	}
	if first <= last {
		unknown(after, last)
	}
	return entries
}

// missingOf returns what is told of lost entries that follow each other.
func missingOf(entries []header) Missing {
	all := entries[0]
	for _, h := range entries[1:] {
		all.last, all.minTime, all.maxTime = h.last, min(all.minTime, h.minTime), max(all.maxTime, h.maxTime)
	}
	m := Missing{From: all.first, To: all.last}
	m.Since, m.Until = all.span()
	return m
}
