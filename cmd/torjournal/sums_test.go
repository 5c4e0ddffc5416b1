package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
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

// Where the kept sums are damaged recording goes on, verify and the log tell,
// and the bandwidth is told by the records.
func TestDamagedSums(t *testing.T) {
	needTime(t)
	path := journalIn(t)
	begin := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var passed atomic.Int64
	var log bytes.Buffer
	opt := journal.Options{
		MaxSize: 2 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Now: func() time.Time { return begin.Add(time.Duration(passed.Load())) },
	}
	records := 0
	fill := func() {
		t.Helper()
		j, err := journal.Open(path, opt)
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, 300)
		for range 600 {
			_, _ = rand.Read(noise)
			evs := []event.Event{event.NewRaw([]byte("650 BW 1000 10\r\n")), event.NewRaw(fmt.Appendf(nil, "650 NOTICE %s\r\n", hex.EncodeToString(noise)))}
			if err := j.Append(t.Context(), evs...); err != nil {
				t.Fatal(err)
			}
			passed.Add(int64(time.Second))
			records++
		}
		if err := errors.Join(j.Pack(t.Context()), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range occurrences(file, []byte("tjbw\x01m")) {
		file[at+20] ^= 1
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := torjournal(t, 1, "query", "bandwidth", "--journal", path, "--since", "@0"); !strings.Contains(err, "damaged in rollups") {
		t.Errorf("before anything is added to them: %q", err)
	}
	fill()
	if n := strings.Count(log.String(), "kept sums of the bandwidth were damaged"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, log.String())
	}
	if _, stderr := torjournal(t, 0, "verify", "--journal", path, "--utc"); !strings.Contains(stderr, "by the minute, 2026-11-01 12:00:00 to 2026-11-01 13:00:00, were damaged and have been set aside") {
		t.Errorf("verify says %q", stderr)
	}
	for _, step := range []string{"1m", "1h"} {
		stdout, stderr := torjournal(t, 0, "query", "bandwidth", "--journal", path, "--since", "@0", "--step", step, "--json")
		seconds := 0
		for line := range strings.Lines(stdout) {
			var row struct{ Seconds int }
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			seconds += row.Seconds
		}
		if seconds != records || stderr != "" {
			t.Errorf("--step %s: %d seconds of %d, and it says %q", step, seconds, records, stderr)
		}
	}
	for passed.Load() < int64(3*time.Hour) { // until the ring has given up the records of that hour
		fill()
	}
	if _, stderr := torjournal(t, 0, "query", "bandwidth", "--journal", path, "--utc", "--since", "@0"); !strings.Contains(stderr, "by the minute, 2026-11-01 12:00:00 to 2026-11-01 13:00:00, were damaged: rows there tell what is left") {
		t.Errorf("where the records are gone it says %q", stderr)
	}
}
