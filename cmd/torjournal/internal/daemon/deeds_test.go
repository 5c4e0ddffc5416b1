package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"torjournal/journal"
	"torjournal/journal/journaltest"
	"torjournal/tor/event"
	"torjournal/tor/scrub"
)

// Until it is known what the tor is, what controllers do is kept as of a relay;
// then as its role asks, hashed where its events are.
func TestDeedsAreKeptAsTheRoleAsks(t *testing.T) {
	j := journaltest.Open(t, journal.Options{})
	h, err := scrub.NewHasher(bytes.Repeat([]byte{1}, scrub.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	resolve := event.NewJournal(event.WhatCommand, "PHASE", "SENT", "CONN", "1", "N", "1", "PEER", "unix", "VERB", "RESOLVE", "ARGS", "www.example.com")
	for _, c := range []struct {
		record string
		hasher *scrub.Hasher
		conf   map[string][]string
		want   string
	}{
		{"auto", nil, nil, "ARGS=[scrubbed]"},
		{"auto", nil, map[string][]string{"ORPort": {"0"}}, "ARGS=www.example.com"},
		{"auto", nil, map[string][]string{"ORPort": {"9001"}}, "ARGS=[scrubbed]"},
		{"auto", h, nil, "ARGS=[scrubbed]"},
		{"auto", h, map[string][]string{"ORPort": {"0"}}, "ARGS=h-"},
		{"client", nil, nil, "ARGS=www.example.com"},
		{"client", h, nil, "ARGS=h-"},
	} {
		d := &Daemon{cfg: Config{Record: c.record}, hasher: c.hasher, journal: j.Journal, upkeep: newUpkeep(j.Journal, false, slog.New(slog.DiscardHandler))}
		if d.deeds, err = newDeeds(j.Journal, c.record, c.hasher); err != nil {
			t.Fatal(err)
		}
		if c.conf != nil {
			if _, err := d.policy(c.conf); err != nil {
				t.Fatal(err)
			}
		}
		d.deeds.Offer(resolve)
		if err := d.deeds.Record(t.Context(), event.NewJournal(event.WhatMark, "CONN", "1", "PEER", "unix", "TEXT", "x")); err != nil {
			t.Fatal(err)
		}
		recs := journaltest.Read(t, j, journal.Range{})
		got := string(recs[len(recs)-2].Wire)
		if !strings.Contains(got, c.want) || !strings.HasPrefix(string(recs[len(recs)-1].Wire), "650 JOURNAL MARK ") {
			t.Errorf("%s, configured %v: recorded %s", c.record, c.conf, got)
		}
	}
}
