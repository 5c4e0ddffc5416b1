package query

import (
	"context"
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Guard is one row: what is told of one guard in one session.
type Guard struct {
	Session   uint64 `json:"session"`             // number of the session
	Relay     string `json:"relay"`               // as tor wrote it: $fingerprint~nickname
	Layer     int    `json:"layer"`               // 1: an entry guard; 2: a vanguard of the second layer
	First     Stamp  `json:"first"`               // arrival of the first record that names it
	Last      Stamp  `json:"last"`                // arrival of the last GUARD event, or of the snapshot
	Status    string `json:"status"`              // last status word, as tor wrote it: NEW, UP, DOWN, BAD, GOOD, DROPPED …; up, down … in a snapshot
	Ups       int    `json:"ups"`                 // UP events
	Downs     int    `json:"downs"`               // DOWN events
	DownMS    int64  `json:"down_ms"`             // between each DOWN and the UP after it, in whole ms
	DownSince Stamp  `json:"down_since,omitzero"` // of a DOWN that none followed
	Circuits  int    `json:"circuits"`            // whose first hop it is
	Failed    int    `json:"failed"`              // of them

	place Place
}

// Place is Row's.
func (g *Guard) Place() Place { return g.place }

// Guards calls emit for every guard that GUARD events or snapshots name in the
// sessions that r touches, before its end, and that was not dropped before it
// began; in the order in which they are first named. Which circuits are counted
// is as with Circuits: those of r. An error of emit ends it and is returned as
// it is.
func Guards(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Guard) error) ([]journal.Gap, error) {
	return guards(ctx, stored{rd}, r, part, emit)
}

func guards(ctx context.Context, src source, r journal.Range, part Part, emit func(*Guard) error) ([]journal.Gap, error) {
	g := newGuardBook()
	w := newCircuitCount(src, r, part, g.circuit, event.GUARD)
	w.overhear(func(rec *journal.Record, e event.Event) {
		if w.before(rec.Time) {
			g.record(rec, e)
		}
	})
	if err := w.count(ctx); err != nil {
		return w.gaps, err
	}
	for _, row := range g.rows {
		if row.Status == "DROPPED" && row.Last.Before(r.Since) || !part.begun(row.place) {
			continue
		}
		if row.Layer == 1 {
			n := g.used[guardKey{row.Session, relay(row.Relay), 0}]
			row.Circuits, row.Failed = n[0], n[1]
		}
		if err := emit(row); err != nil {
			return w.gaps, err
		}
	}
	return w.gaps, nil
}

// guardBook keeps account of guards.
type guardBook struct {
	rows    []*Guard // in order
	byRelay map[guardKey]*Guard
	used    map[guardKey][2]int // circuits over a relay, and those that failed; without a layer
	seq     uint64              // of the record that named a guard last
	nth     int
}

func newGuardBook() guardBook {
	return guardBook{byRelay: map[guardKey]*Guard{}, used: map[guardKey][2]int{}}
}

type guardKey struct {
	session uint64
	relay   string
	layer   int
}

// circuit counts one for its first hop.
func (g *guardBook) circuit(l *life) {
	if len(l.path) == 0 {
		return
	}
	key := guardKey{l.session, relay(l.path[0]), 0}
	n := g.used[key]
	n[0]++
	if l.failed {
		n[1]++
	}
	g.used[key] = n
}

func (g *guardBook) record(rec *journal.Record, e event.Event) {
	switch ev := e.(type) {
	case *event.Guard:
		g.event(rec, ev)
	case *event.Journal:
		if ev.What != event.WhatSnapshot {
			return
		}
		lines, _ := snapshotLines(ev.Snapshot(), "entry-guards")
		for line := range lines {
			name, status, _ := strings.Cut(line, " ")
			status, _, _ = strings.Cut(status, " ")
			if status != "" {
				g.guard(rec, name, 1).Status = strings.Clone(status)
			}
		}
	}
}

func (g *guardBook) event(rec *journal.Record, ev *event.Guard) {
	status, second := strings.CutSuffix(ev.Status, "_L2")
	layer := 1
	if second {
		layer = 2
	}
	row := g.guard(rec, ev.Name, layer)
	row.Status = strings.Clone(ev.Status)
	switch status {
	case "UP":
		row.Ups++
		if ms := milliseconds(row.DownSince.Time, rec.Time); ms != nil {
			row.DownMS += *ms
		}
		row.DownSince = Stamp{}
	case "DOWN":
		row.Downs++
		if row.DownSince.IsZero() {
			row.DownSince = Stamp{rec.Time}
		}
	}
}

// guard returns the row of a guard that rec names.
func (g *guardBook) guard(rec *journal.Record, name string, layer int) *Guard {
	key := guardKey{rec.Session, relay(name), layer}
	row := g.byRelay[key]
	if row == nil {
		if g.seq != rec.Seq {
			g.seq, g.nth = rec.Seq, 0
		}
		key.relay = strings.Clone(key.relay)
		row = &Guard{Session: rec.Session, Layer: layer, First: Stamp{rec.Time}, place: Place{At: int64(rec.Seq), Nth: g.nth}}
		g.nth++
		g.byRelay[key], g.rows = row, append(g.rows, row)
	}
	if len(name) > len(row.Relay) {
		row.Relay = strings.Clone(name) // with its nickname, once that is known
	}
	row.Last = Stamp{rec.Time}
	return row
}
