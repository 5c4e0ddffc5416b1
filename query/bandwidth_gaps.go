package query

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// While nobody recorded, tor went on. It counts what it reads and writes from
// its start on, and a snapshot has both counts (traffic/read, traffic/written):
// what the counts of two snapshots differ by, without the BW events between
// them, went through while there were none.

// UnrecordedBytes is a time without BW events in the life of one tor, and what
// it carried then, to a second's bytes or two.
type UnrecordedBytes struct {
	From         Stamp  `json:"from"`          // last BW event before it, or when tor began
	To           Stamp  `json:"to"`            // beginning of the second of the first one after it
	Seconds      int64  `json:"seconds"`       // of it that were not recorded: the snapshots may have more than one such time between them
	ReadBytes    uint64 `json:"read_bytes"`    // in all these seconds
	WrittenBytes uint64 `json:"written_bytes"` // likewise
}

const (
	// gapSlack is by how much BW events may lie apart before a second is
	// missing between them: tor's timer is late now and then.
	gapSlack = 3 * time.Second
	// snapshotsApart is how far from a gap its snapshots are looked for: a life
	// has one every hour.
	snapshotsApart = 65 * time.Minute
	// maxGaps bounds how many times are looked at, and how many pairs of
	// snapshots, the newest: each costs the records of some hours.
	maxGaps = 64
)

// lacking returns the times that have fewer BW events than seconds, of which
// there are records. A hundredth of a step is let pass.
func (w *bandwidthWalk) lacking(recorded time.Time) (spans []span) {
	const us = int64(1e6)
	few := w.step - w.step/100 - 2
	for n := w.first; n <= w.last; n++ {
		if sum := w.steps[n]; sum != nil && sum.seconds >= max(few, 1) {
			continue
		}
		s := span{n * w.step * us, (n + 1) * w.step * us}
		if s.to <= recorded.UnixMicro() {
			continue
		}
		if last := len(spans) - 1; last >= 0 && spans[last].to == s.from {
			spans[last].to = s.to
		} else if spans = append(spans, s); len(spans) == 2*maxGaps {
			spans = append(spans[:0], spans[maxGaps:]...)
		}
	}
	return spans[max(0, len(spans)-maxGaps):]
}

// unrecorded finds the times of r that lack BW events and of which two
// snapshots tell what was carried.
func (w *bandwidthWalk) unrecorded(ctx context.Context, r journal.Range) (found []UnrecordedBytes, err error) {
	b, err := w.src.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if b.Last == 0 {
		return nil, nil
	}
	sessions, err := w.sessions(ctx)
	if err != nil {
		return nil, err
	}
	var pairs [][2]counted
	around, looked := snapshotsApart.Microseconds(), uint64(0)
	for _, s := range w.lacking(b.FirstTime) {
		all, err := w.counts(ctx, r, span{s.from - around, s.to + around}, b, sessions)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if p[1].seq > looked && p[0].at.UnixMicro() < s.to && p[1].at.UnixMicro() > s.from {
				pairs, looked = append(pairs, p), p[1].seq
			}
		}
	}
	for _, p := range pairs[max(0, len(pairs)-maxGaps):] {
		gap, ok, err := w.between(ctx, p)
		if err != nil {
			return nil, err
		}
		if ok && beforeEnd(r, gap.From.Time) && gap.To.After(r.Since) {
			found = append(found, gap)
		}
	}
	return found, nil
}

// counted is what a snapshot says that tor has carried since its start.
type counted struct {
	seq           uint64 // number of the snapshot
	at            time.Time
	read, written uint64
}

// counts returns the pairs of snapshots, one behind the other, that lie around
// some of s and between which tor and its clock went on.
func (w *bandwidthWalk) counts(ctx context.Context, r journal.Range, s span, b journal.Bounds, sessions []journal.Session) (pairs [][2]counted, err error) {
	look := s.limit(journal.Range{From: r.From, To: r.To, Session: r.Session, Types: event.NewSet(event.JOURNAL)})
	var last counted
	session, known := uint64(0), false
	for rec, err := range w.records(ctx, look) {
		if err != nil {
			return nil, err
		}
		parsed, err := event.Parse(rec.Wire)
		ev, ok := parsed.(*event.Journal)
		if err != nil || !ok {
			continue
		}
		if rec.Session != session {
			session = rec.Session
			last, known = beginning(session, sessions, b)
		}
		switch ev.What {
		case event.WhatClock:
			known = false // times lie apart that do not
		case event.WhatSnapshot:
			next, ok := countedBy(&rec, ev)
			if !ok {
				continue
			}
			if known && next.read >= last.read && next.written >= last.written {
				pairs = append(pairs, [2]counted{last, next})
			}
			last, known = next, true
		}
	}
	return pairs, nil
}

// beginning is when tor began and had carried nothing; known is false if that
// is not known, or what came then is not held any more.
func beginning(session uint64, sessions []journal.Session, b journal.Bounds) (c counted, known bool) {
	i := slices.IndexFunc(sessions, func(s journal.Session) bool { return s.ID == session })
	if i < 0 || sessions[i].Source.Started.IsZero() || sessions[i].First < b.First {
		return c, false
	}
	return counted{seq: sessions[i].First - 1, at: sessions[i].Source.Started}, true
}

func countedBy(rec *journal.Record, ev *event.Journal) (c counted, ok bool) {
	c = counted{seq: rec.Seq, at: rec.Time}
	for _, of := range []struct {
		key string
		to  *uint64
	}{{"traffic/read", &c.read}, {"traffic/written", &c.written}} {
		value, _, found := snapshotValue(ev.Snapshot(), of.key)
		n, err := strconv.ParseUint(value, 10, 64)
		if !found || err != nil {
			return c, false
		}
		*of.to = n
	}
	return c, true
}

// between reads the BW events between two snapshots; ok is false if none is
// missing.
func (w *bandwidthWalk) between(ctx context.Context, p [2]counted) (gap UnrecordedBytes, ok bool, err error) {
	r := journal.Range{From: p[0].seq + 1, To: p[1].seq, Types: event.NewSet(event.BW)}
	at := p[0].at
	read, written := uint64(0), uint64(0)
	missing := time.Duration(0)
	apart := func(to time.Time) {
		if to.Sub(at) > gapSlack {
			to = to.Add(-time.Second) // that one is told
			if missing += to.Sub(at); !ok {
				gap.From, ok = Stamp{at}, true
			}
			gap.To = Stamp{to}
		}
	}
	for rec, err := range w.records(ctx, r) {
		if err != nil {
			return gap, false, err
		}
		parsed, err := event.Parse(rec.Wire)
		bw, isBW := parsed.(*event.Bandwidth)
		if err != nil || !isBW {
			continue
		}
		apart(rec.Time)
		at = rec.Time
		read, written = read+bw.Read, written+bw.Written
	}
	apart(p[1].at.Add(time.Second))
	gap.Seconds = int64(missing.Round(time.Second) / time.Second)
	gap.ReadBytes, gap.WrittenBytes = p[1].read-p[0].read, p[1].written-p[0].written
	gap.ReadBytes -= min(read, gap.ReadBytes)
	gap.WrittenBytes -= min(written, gap.WrittenBytes)
	return gap, ok, nil
}
