package control

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/query"
	"torjournal/tor/event"
)

// TestHistoryMemory: no question holds more than MEMORY.md reckons with, of a
// journal in which nothing that begins ever ends, so that each holds as much as
// it may.
func TestHistoryMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	r, j := newJournalRig(t, journal.Options{})
	const lives = 20_000
	for i := range lives {
		fp := fmt.Sprintf("%040X", i*7919)
		path := fmt.Sprintf("$%s~a,$%s~b,$%040X~c", fp, strings.Repeat(fp[30:], 4), i)
		append1(t, j, fmt.Sprintf("650 CIRC %d LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-01-01T00:00:00.000000", i))
		append1(t, j, fmt.Sprintf("650 CIRC %d EXTENDED %s BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL", i, path))
		append1(t, j, fmt.Sprintf("650 STREAM %d NEW 0 host%d.example.com:443 SOURCE_ADDR=127.0.0.1:%d PURPOSE=USER", i, i, i))
		append1(t, j, fmt.Sprintf("650 ORCONN $%s~a LAUNCHED ID=%d", fp, i))
		append1(t, j, fmt.Sprintf("650 GUARD ENTRY $%s~a NEW", fp))
		if err := j.Append(t.Context(), event.NewJournal(event.WhatCommand, "PHASE", "SENT", "CONN", "1", "N", fmt.Sprint(i), "PEER", "unix", "VERB", "SIGNAL", "ARGS", "NEWNYM")); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := r.login()
	ask := func(q string) string {
		p.send("HISTORY " + q + "\r\n")
		return p.upToReply()
	}
	ask("RECORDS SINCE=1h") // what is kept anyway is there
	most := int64(0)
	for _, q := range query.Questions() {
		words := strings.ToUpper(q.Name) + " SINCE=1h"
		switch q.Name {
		case "circuit", "stream":
			words = strings.ToUpper(q.Name) + " ID=7 SINCE=1h"
		case "commands":
			words += " COUNTS=1"
		}
		runtime.GC()
		before, peak := liveHeap(), atomic.Int64{}
		over, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			for !closed(over) {
				peak.Store(max(peak.Load(), liveHeap()))
				time.Sleep(5 * time.Millisecond) // let it go on
			}
		}()
		reply := ask(words)
		close(over)
		<-watched
		held := peak.Load() - before - int64(len(reply)) // the test's own copy
		last := reply[strings.LastIndex(strings.TrimSuffix(reply, "\r\n"), "\n")+1:]
		t.Logf("%-22s %5.1f MiB held, a reply of %7d bytes: %.60q", words, float64(held)/(1<<20), len(reply), last)
		most = max(most, held)
	}
	// What MEMORY.md has for the journal's own: a block on its way from the file,
	// and two decoded ones.
	const blocks = 25 << 20
	if most > historyHeap+blocks {
		t.Errorf("%.1f MiB are held, reckoned is with %d MiB and %d MiB of blocks", float64(most)/(1<<20), historyHeap>>20, blocks>>20)
	}
}

func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
