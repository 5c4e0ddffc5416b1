package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
)

// asks are arguments that some questions need, by their names.
var asks = map[string][]string{
	"circuit": {"1"},
	"stream":  {"1"},
	"at":      {"2026-01-01 08:02"},
	"diff":    {"2026-01-01 08:00..2026-01-01 08:02", "2026-01-01 08:02..2026-01-01 09:00"},
}

// Every question about a journal, or a range, in which there is nothing says so
// and exits cleanly; where a block is damaged it says what to do. Questions that
// are new are asked too.
func TestQuestionsWhereNothingIs(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	clock := func() time.Time { return at }
	empty, full, hurt := filepath.Join(dir, "empty.db"), filepath.Join(dir, "full.db"), filepath.Join(dir, "hurt.db")
	journaltest.OpenAt(t, empty, journal.Options{Now: clock}).CloseNow()
	j := journaltest.OpenAt(t, full, journal.Options{Now: clock})
	j.Begin("tor", 1)
	for i := range 200 {
		at = at.Add(time.Second)
		j.Add(
			journaltest.Wire("650 CIRC %d LAUNCHED PURPOSE=GENERAL", i+1), journaltest.Wire("650 BW %d 5", i),
			journaltest.Wire("650 CIRC %d FAILED PURPOSE=GENERAL REASON=TIMEOUT", i+1),
			journaltest.Wire("650 STREAM %d NEW 0 example.org:80 PURPOSE=USER", i+1), journaltest.Wire("650 STREAM %d FAILED 0 example.org:80 REASON=TIMEOUT", i+1),
			journaltest.Wire("650 ORCONN relay%d:9001 LAUNCHED ID=%d", i+1, i+1), journaltest.Wire("650 WARN Something is wrong."),
		)
	}
	j.CloseNow()
	harm(t, full, hurt)

	for _, q := range (program{}).queryCommand().Subcommands {
		ask := func(t *testing.T, file string, more ...string) (code int, stdout, stderr string) {
			t.Helper()
			var out, errs bytes.Buffer
			p := program{stdout: &out, stderr: &errs, now: func() time.Time { return at.Add(time.Hour) }, loc: time.UTC}
			line := append(append([]string{"torjournal", "query", q.Name, "--journal", file}, more...), asks[q.Name]...)
			code = p.main(t.Context(), line)
			return code, out.String(), errs.String()
		}
		t.Run(q.Name, func(t *testing.T) {
			type place struct {
				name, file string
				more       []string
			}
			places := []place{{"an empty journal", empty, nil}}
			ranged := q.Name != "at" && q.Name != "diff" // they have a moment, or two ranges, in the place of one
			if ranged {
				places = append(places, place{"an empty journal, all of it", empty, []string{"--since", "2000-01-01"}},
					place{"a range after the last record", full, []string{"--since", "2026-01-02"}},
					place{"a range before the first record", full, []string{"--since", "2025-01-01", "--until", "2025-01-02"}},
					place{"a range that ends before the first record", full, []string{"--until", "2025-01-01"}})
			}
			answered := 0
			if q.Name == "at" {
				answered = 1 // what stood then is not known, and that is no answer
			}
			for _, c := range places {
				code, stdout, stderr := ask(t, c.file, c.more...)
				said := stdout + stderr
				if code != answered || !strings.Contains(said, "no ") && !strings.Contains(said, "nothing") && !strings.Contains(said, "empty") {
					t.Errorf("%s: exit code %d\n%s%s", c.name, code, stdout, stderr)
				}
				if strings.Count(said, "\n") > 24 {
					t.Errorf("%s: more than a screen\n%s", c.name, said)
				}
				code, stdout, stderr = ask(t, c.file, append(c.more, "--json")...)
				if code != answered || strings.Contains(stdout, "null") {
					t.Errorf("%s, --json: exit code %d\n%s%s", c.name, code, stdout, stderr)
				}
			}
			var more []string
			if ranged {
				more = []string{"--since", "2026-01-01"}
			}
			if code, stdout, stderr := ask(t, hurt, more...); code != 1 || !strings.Contains(stderr, "hurt.db is damaged") || !strings.Contains(stderr, "torjournal salvage OLD NEW") {
				t.Errorf("a damaged block: exit code %d\n%s%s", code, stdout, stderr)
			}
			if code, _, stderr := ask(t, filepath.Join(dir, "none.db"), more...); code != 1 || !strings.Contains(stderr, "none.db") {
				t.Errorf("no journal: exit code %d\n%s", code, stderr)
			}
		})
	}
}

// harm flips a bit in each block of a copy of the journal.
func harm(t *testing.T, path, bad string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := 0; ; n++ {
		next := bytes.Index(b[i:], []byte("tjbk\x01"))
		if next < 0 {
			break
		}
		i += next
		stored := int(b[i+9])<<16 | int(b[i+10])<<8 | int(b[i+11])
		b[i+72+stored/2] ^= 1
		i += 4
	}
	if n == 0 {
		t.Fatal("there is no block")
	}
	if err := os.WriteFile(bad, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
