package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// The bandwidth of records that the ring has evicted is told from the sums it
// has kept, and that it is so is said.
func TestBandwidthOfEvictedRecords(t *testing.T) {
	path := journalIn(t)
	begin := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var passed atomic.Int64
	now := func() time.Time { return begin.Add(time.Duration(passed.Load())) }
	j, err := journal.Open(path, journal.Options{MaxSize: journal.MinMaxSize, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 500)
	const records = 3000
	for i := range records {
		_, _ = rand.Read(noise)
		evs := []event.Event{event.NewRaw([]byte("650 BW 1000 10\r\n")), event.NewRaw(fmt.Appendf(nil, "650 NOTICE %s\r\n", hex.EncodeToString(noise)))}
		if err := j.Append(t.Context(), evs...); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 { // the clock moves between commits only
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			passed.Add(int64(5 * time.Minute))
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"1m", "5m", "1h", "1d"} {
		stdout, stderr := torjournal(t, 0, "query", "bandwidth", "--journal", path, "--utc", "--since", "2026-11-01 12:00", "--step", step, "--json")
		seconds, read := 0, 0
		for line := range strings.Lines(stdout) {
			var row struct {
				Seconds int `json:"seconds"`
				Read    int `json:"read_bytes"`
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			seconds, read = seconds+row.Seconds, read+row.Read
		}
		if seconds != records || read != 1000*records {
			t.Errorf("--step %s: %d seconds and %d bytes of %d", step, seconds, read, records)
		}
		if !strings.Contains(stderr, "are sums that were kept: those records are gone") {
			t.Errorf("--step %s says %q", step, stderr)
		}
	}
	stdout, stderr := torjournal(t, 0, "query", "bandwidth", "--journal", path, "--utc", "--since", "2026-11-01 12:00", "--step", "30s")
	if !strings.Contains(stderr, "there are sums of longer steps only: --step 1m shows them") || strings.Contains(stdout, "2026-11-01 12:00:00") {
		t.Errorf("--step 30s says %q and\n%.300s", stderr, stdout)
	}
}
