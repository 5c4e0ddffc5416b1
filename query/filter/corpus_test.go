package filter

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// corpus returns the records of all recordings in testdata, as session 1.
func corpus(t testing.TB) []journal.Record {
	t.Helper()
	files, err := filepath.Glob("../../testdata/corpus/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var out []journal.Record
	for _, file := range files {
		out = append(out, recording(t, file)...)
	}
	return out
}

func recording(t testing.TB, file string) (out []journal.Record) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l struct {
			T   time.Time
			Raw string
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		wire := []byte(l.Raw)
		out = append(out, journal.Record{Seq: uint64(len(out) + 1), Session: 1, Time: l.T, Type: event.TypeOf(wire), Wire: wire})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
