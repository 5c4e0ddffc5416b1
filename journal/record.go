package journal

import (
	"fmt"
	"time"

	"torjournal/tor/event"
)

// Record is one event as the journal holds it.
type Record struct {
	Seq     uint64     // from 1, contiguous, never reused; 0: not in the journal, because it is live only or the disk fails
	Session uint64     // number of the session it belongs to, from 1; 0 before the first
	Time    time.Time  // arrival, UTC, to the microsecond
	Type    event.Type // the event's name
	Wire    []byte     // whole wire form; shared, nobody may change it
}

// Session is one life of a source: a Tor process from its start to its end,
// across re-attachments and across restarts of torjournal.
type Session struct {
	ID     uint64       // from 1, ascending, never reused
	Source event.Source // what was recorded
	First  uint64       // sequence number the session begins with
	Begun  time.Time    // when the journal first saw it
}

// Bounds says what a journal holds.
type Bounds struct {
	First, Last         uint64    // sequence numbers; both 0 in an empty journal
	FirstTime, LastTime time.Time // arrival of the first and the last record
}

// Range selects records. Its zero value selects all of them. Since and Until
// look at each record's own time; the order is always that of the sequence.
type Range struct {
	From, To     uint64    // first and last sequence number; 0: no bound
	Since, Until time.Time // Since ≤ time < Until; zero: no bound
	Types        event.Set // empty: every type
	Session      uint64    // only this session; 0: any

	// Circuit and Stream are IDs of a circuit and a stream, "" if nothing is
	// asked of one: blocks in which no record names it are skipped. What is read
	// nevertheless may have other records too; that is for the reader to see.
	Circuit, Stream string
}

// Match reports whether r is inside g, whatever index was used to find it.
func (g Range) Match(r *Record) bool {
	switch {
	case r.Seq < g.From,
		g.To != 0 && r.Seq > g.To,
		!g.Since.IsZero() && r.Time.Before(g.Since),
		!g.Until.IsZero() && !r.Time.Before(g.Until),
		g.Session != 0 && r.Session != g.Session:
		return false
	}
	return g.Types.Empty() || g.Types.Has(r.Type)
}

// Gap says which sequence numbers are gone: the ring evicted them before they
// were read, or they were lost to damage and a salvage said so. It is an error so that iterators can yield it between records;
// reading may go on after it.
type Gap struct {
	From, To uint64 // inclusive
}

func (g *Gap) Error() string {
	return fmt.Sprintf("journal: records %d to %d are gone, evicted by the ring or lost to damage", g.From, g.To)
}
