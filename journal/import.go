package journal

import (
	"context"
	"time"

	"torjournal/tor/event"
)

// Arrival is an event that another log has recorded, and when it arrived.
type Arrival struct {
	Time time.Time
	Wire []byte // whole wire form; nobody may change it any more
}

// BeginImport begins a session for what Import is going to write, and returns
// when it is committed. It never goes on with the session before.
func (j *Journal) BeginImport(ctx context.Context, src event.Source, begun time.Time) (id uint64, err error) {
	src.PID = 0 // a process that is gone is no process that runs
	o := &op{source: &src, begun: begun, done: make(chan struct{})}
	if err := j.do(ctx, o); err != nil {
		return 0, err
	}
	return o.session, nil
}

// Import writes events of the past, in the order given, each at its own time:
// beside Append the second way into the journal. It returns when they are
// committed and published. Nothing is dropped: it waits for the disk, one
// portion after the other, and while it alone writes, the queue is never full.
// A disk that fails ends it with ErrUnjournaled.
// How the times go says nothing of this machine's clock, so no JOURNAL CLOCK
// comes of them. An age limit holds for them as for all records.
//
// After an error a first part of the events may have been written.
func (j *Journal) Import(ctx context.Context, evs []Arrival) error {
	items := make([]item, 0, min(len(evs), turnEvents))
	size := 0
	for i, ev := range evs {
		typ := event.TypeOf(ev.Wire)
		items = append(items, item{wire: ev.Wire, typ: typ, bit: bitOf(typ), us: ev.Time.UnixMicro(), past: true})
		size += items[len(items)-1].cost()
		if i+1 < len(evs) && len(items) < turnEvents && size+len(evs[i+1].Wire)+itemCost <= j.q.limit/2 {
			continue
		}
		if err := j.q.put(ctx, items); err != nil {
			return err
		}
		if err := j.Flush(ctx); err != nil {
			return err
		}
		items, size = items[:0], 0
	}
	return nil
}
