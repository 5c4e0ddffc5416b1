package query

import (
	"context"

	"torjournal/journal"
	"torjournal/tor/event"
)

// outageRecorder knows whether anything was recorded: what the recorder's own
// events say (recordWord).
type outageRecorder struct {
	recording bool
	gone      *Outage // nothing has been recorded since its beginning
}

// findBefore looks for the last word of a beginning or an end before a record: how
// it stands where the walk begins.
func (w *outageWalk) findBefore(ctx context.Context, from uint64) error {
	first, _, ok, err := w.bounds(ctx, w.r.To)
	if !ok || err != nil {
		return err
	}
	for to, size := from-1, uint64(firstWindow); to >= first && to > 0; size *= 2 {
		low := first
		if to-low >= size {
			low = to - size + 1
		}
		var found *journal.Record
		for rec, err := range w.records(ctx, journal.Range{From: low, To: to, Types: event.NewSet(event.JOURNAL)}) {
			if err != nil {
				return err
			}
			parsed, _ := event.Parse(rec.Wire)
			ev, ok := parsed.(*event.Journal)
			if !ok {
				continue
			}
			switch recordWordOf(&rec, ev).turn {
			case recordBegins, recordEnds:
				found = &rec
			}
		}
		if found != nil {
			parsed, _ := event.Parse(found.Wire)
			return w.journal(ctx, found, parsed.(*event.Journal))
		}
		to = low - 1
	}
	return nil
}

// journal takes one of the recorder's own events.
func (w *outageWalk) journal(ctx context.Context, rec *journal.Record, ev *event.Journal) error {
	says := recordWordOf(rec, ev)
	cause := CauseDaemonDown
	if says.cause == HoleTorGone {
		cause = CauseTorDown
	}
	switch says.turn {
	case recordBegins:
		if cause == CauseDaemonDown {
			return w.found(ctx, rec, "")
		}
		if w.recorder.gone == nil && w.recorder.recording { // the loss is not in the record
			at := *rec
			if !says.since.IsZero() {
				at.Time = says.since
			}
			w.lose(&at, cause, ev.What+" DOWN_MS="+keyword(ev, "DOWN_MS"))
		}
		return w.found(ctx, rec, keyword(ev, "CONTINUED"))
	case recordEnds:
		detail := ev.What
		if says.why != "" {
			detail += " REASON=" + says.why
		}
		w.lose(rec, cause, detail)
	case recordStands:
		w.client.snapshot(rec, ev)
		w.onions.snapshot(rec, ev)
	case recordLacks:
		w.client.forget()
	}
	return nil
}

// lose is called where the record of tor ends.
func (w *outageWalk) lose(rec *journal.Record, cause, detail string) {
	if w.recorder.gone != nil {
		return
	}
	onions := w.onions.standing()
	w.client.part(rec)
	w.onions.part(rec)
	w.recorder.recording = false
	o := w.book.begin(OutageOfClient, nthClient, rec.Session, rec.Seq, rec.Time)
	o.Cause, o.Detail, o.Onions, o.Failed = cause, detail, onions, 0
	w.recorder.gone = o
}

// found is called where the record of tor begins or goes on. continued is "1"
// if tor is the same process.
func (w *outageWalk) found(ctx context.Context, rec *journal.Record, continued string) error {
	if w.recorder.gone == nil && w.recorder.recording {
		// The recorder ended without a word, after the last record that there is.
		before, ok, err := w.firstOf(ctx, journal.Range{From: rec.Seq - 1, To: rec.Seq - 1})
		if err != nil {
			return err
		}
		if ok {
			w.lose(&before, CauseDaemonDown, "no STOP")
		}
	}
	if o := w.recorder.gone; o != nil {
		o.End = Stamp{rec.Time}
		o.shows(rec.Seq)
		switch {
		case continued == "1":
			o.Cause = CauseNotRecorded
		case continued == "" && o.Cause == CauseTorDown:
			o.Detail += ", then START: the recorder ended too"
		}
	}
	w.recorder = outageRecorder{recording: true}
	w.client.part(rec)
	w.onions.part(rec)
	return nil
}
