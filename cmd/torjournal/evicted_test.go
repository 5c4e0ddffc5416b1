package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"torjournal/journal"
	"torjournal/tor/event"
)

// What the ring has evicted of the range that was asked for is said; where
// nothing of it is missing, nothing is said.
func TestEvictedBeginningIsTold(t *testing.T) {
	full, small := journalIn(t), journalIn(t)
	for path, records := range map[string]int{full: 3000, small: 10} {
		j, err := journal.Open(path, journal.Options{MaxSize: journal.MinMaxSize})
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, 500)
		for _, records := range []int{records, 10} {
			if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "tor"}); err != nil {
				t.Fatal(err)
			}
			for range records {
				_, _ = rand.Read(noise)
				if err := j.Append(t.Context(), event.NewRaw(fmt.Appendf(nil, "650 NOTICE %s\r\n", hex.EncodeToString(noise)))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for args, of := range map[string]string{
		"replay --since 1h":                  "",
		"query circuits --since 1h":          "",
		"query bandwidth":                    "",
		"query circuits --session 1":         "",
		"query diff session:1 session:2":     "of A, ",
		"query diff session:0 session:-1":    "of B, ",
		"query diff session:2 2h..1h --json": "of B, ",
		"query diff 2h..1h 1h..":             "of A and B, ",
	} {
		_, stderr := torjournal(t, 0, append(strings.Fields(args), "--journal", full)...)
		if n := strings.Count(stderr, "are gone: the ring evicted them"); n != 1 || !strings.HasPrefix(stderr, "-- "+of+"records before ") {
			t.Errorf("%s of a full ring says: %q", args, stderr)
		}
		_, stderr = torjournal(t, 0, append(strings.Fields(args), "--journal", small)...)
		if strings.Contains(stderr, "evicted") {
			t.Errorf("%s of a small journal says: %q", args, stderr)
		}
	}
	for _, args := range []string{"query circuits --session 2", "query diff ..2h session:2"} {
		if _, stderr := torjournal(t, 0, append(strings.Fields(args), "--journal", full)...); strings.Contains(stderr, "evicted") {
			t.Errorf("%s says: %q", args, stderr)
		}
	}
	if _, stderr := torjournal(t, 2, "query", "diff", "session:1", "session:9", "--journal", full); strings.Contains(stderr, "evicted") {
		t.Errorf("a question that is refused says: %q", stderr)
	}
}
