package query

import (
	"context"
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Bootstrap is one row: how far tor was with its start.
type Bootstrap struct {
	Time     Stamp  `json:"time"`               // arrival
	Session  uint64 `json:"session"`            // number of the session
	Severity string `json:"severity"`           // NOTICE, or WARN of something that is in the way
	Progress int64  `json:"progress"`           // percent
	Tag      string `json:"tag,omitempty"`      // the phase, for programs: conn_done, loading_descriptors, done …
	Summary  string `json:"summary,omitempty"`  // the phase, for people
	Warning  string `json:"warning,omitempty"`  // what is in the way
	Reason   string `json:"reason,omitempty"`   // why, as the reasons of OR connections: TIMEOUT, NOROUTE …
	Host     string `json:"host,omitempty"`     // fingerprint of the relay that it is about
	Snapshot bool   `json:"snapshot,omitempty"` // it stood so when the recorder attached
	StepMS   *int64 `json:"step_ms,omitempty"`  // since the row before it in the session, in whole ms
	AfterMS  *int64 `json:"after_ms,omitempty"` // since the first one of this start, in whole ms

	place Place
}

// Place is Row's.
func (b *Bootstrap) Place() Place { return b.place }

// Bootstraps calls emit for every BOOTSTRAP event of STATUS_CLIENT in r, and for
// what snapshots say of it, in order. Of r it uses Since, Until, Session and To. An
// error of emit ends it and is returned as it is.
func Bootstraps(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Bootstrap) error) ([]journal.Gap, error) {
	return bootstraps(ctx, stored{rd}, r, part, emit)
}

func bootstraps(ctx context.Context, src source, r journal.Range, part Part, emit func(*Bootstrap) error) ([]journal.Gap, error) {
	w := walker{src: src}
	_, to, ok, err := w.bounds(ctx, r.To)
	if !ok || err != nil {
		return nil, err
	}
	// A start may have begun before the range: all are read, they are few.
	walk := journal.Range{To: to, Until: r.Until, Session: r.Session, Types: event.NewSet(event.STATUS_CLIENT, event.JOURNAL)}
	var session uint64
	var first, last time.Time
	for rec, err := range w.records(ctx, walk) {
		if err != nil {
			return w.gaps, err
		}
		row := bootstrapOf(&rec)
		if row == nil {
			continue
		}
		if rec.Session != session || last.IsZero() {
			session, first, last = rec.Session, time.Time{}, time.Time{}
		}
		if row.StepMS = milliseconds(last, rec.Time); !row.Snapshot && first.IsZero() {
			first = rec.Time
		}
		row.AfterMS, last = milliseconds(first, rec.Time), rec.Time
		if row.Progress == 100 {
			first, last = time.Time{}, time.Time{} // another one may follow, behind DisableNetwork
		}
		if rec.Time.Before(r.Since) || !part.begun(row.place) {
			continue
		}
		if err := emit(row); err != nil {
			return w.gaps, err
		}
	}
	return w.gaps, nil
}

// bootstrapOf returns what a record says of it, nil if nothing.
func bootstrapOf(rec *journal.Record) *Bootstrap {
	parsed, err := event.Parse(rec.Wire)
	if err != nil {
		return nil
	}
	row := &Bootstrap{Time: Stamp{rec.Time}, Session: rec.Session, place: Place{At: int64(rec.Seq)}}
	if j, ok := parsed.(*event.Journal); ok {
		lines, _ := snapshotLines(j.Snapshot(), "status/bootstrap-phase")
		for line := range lines {
			parsed, err = event.Parse([]byte("650 STATUS_CLIENT " + line + "\r\n"))
			row.Snapshot = err == nil
		}
		if !row.Snapshot {
			return nil
		}
	}
	ev, ok := parsed.(*event.Status)
	if !ok || ev.Action != "BOOTSTRAP" {
		return nil
	}
	get := func(key string) string { v, _ := ev.Arguments.Get(key); return strings.Clone(v) }
	progress, err := strconv.ParseInt(get("PROGRESS"), 10, 64)
	if err != nil {
		return nil
	}
	row.Severity, row.Progress = strings.Clone(ev.Severity), progress
	row.Tag, row.Summary, row.Warning, row.Reason, row.Host = get("TAG"), get("SUMMARY"), get("WARNING"), get("REASON"), get("HOSTID")
	return row
}
