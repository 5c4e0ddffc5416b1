package query

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// mention is a record that names it.
type mention struct {
	seq, session uint64
	time         time.Time
}

// find looks for the records that name it, and returns the other sessions that
// have one of that ID.
func (t *timeline) find(ctx context.Context) (also []uint64, err error) {
	r := t.r
	r.Types, r.Circuit = event.NewSet(event.CIRC, event.JOURNAL), t.id
	word := []byte("650 CIRC " + t.id + " ")
	key := "circuit-status"
	if t.stream {
		r.Types, r.Circuit, r.Stream = event.NewSet(event.STREAM, event.JOURNAL), "", t.id
		word = []byte("650 STREAM " + t.id + " ")
		key = "stream-status"
	}
	for rec, err := range t.records(ctx, r) {
		switch {
		case err != nil:
			return nil, err
		case bytes.HasPrefix(rec.Wire, word):
			t.named(&rec, rec.Wire)
		case rec.Type == event.JOURNAL && bytes.Contains(rec.Wire, []byte(t.id+" ")):
			ev, _ := event.Parse(rec.Wire)
			j, ok := ev.(*event.Journal)
			if !ok || j.What != event.WhatSnapshot {
				continue
			}
			lines, _ := snapshotLines(j.Snapshot(), key)
			for line := range lines {
				if strings.HasPrefix(line, t.id+" ") {
					t.named(&rec, append(word[:len(word)-len(t.id)-1:len(word)-len(t.id)-1], line+"\r\n"...))
				}
			}
		default:
			continue
		}
		if n := len(also); t.last.seq == rec.Seq && (n == 0 || also[n-1] != rec.Session) {
			also = append(also, rec.Session)
		}
	}
	return slices.DeleteFunc(also, func(s uint64) bool { return s == t.last.session }), nil
}

// named notes a record that names it, in the words of an event.
func (t *timeline) named(rec *journal.Record, wire []byte) {
	ev, err := event.Parse(wire)
	if err != nil {
		return
	}
	status, circuit := "", ""
	switch ev := ev.(type) {
	case *event.Circuit:
		status = ev.Status
		for hop := range ev.Path.All() {
			t.guard = hop.Fingerprint
			break
		}
	case *event.Stream:
		status, circuit = ev.Status, ev.CircID
	default:
		return
	}
	at := mention{rec.Seq, rec.Session, rec.Time}
	again := t.over && (status == statusLaunched || status == "NEW" || status == "NEWRESOLVE")
	if t.first.seq == 0 || t.last.session != rec.Session || again {
		t.first, t.guard = at, ""
		clear(t.circuits)
		if c, ok := ev.(*event.Circuit); ok {
			for hop := range c.Path.All() {
				t.guard = hop.Fingerprint
				break
			}
		}
	}
	if circuit != "" && circuit != "0" {
		t.circuits[strings.Clone(circuit)] = true
	}
	t.guard = strings.Clone(t.guard)
	t.last, t.over = at, status == statusClosed || status == statusFailed
}
