package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"torjournal/query"
	"torjournal/tor/testnet"
)

// doctorSeesDeadRelays kills the relays of a network whose client is recorded,
// which s controls, and waits until the doctor names it.
func doctorSeesDeadRelays(t *testing.T, net *testnet.Network, r *recorder, s *subscriber) {
	t.Helper()
	since := func() string { return fmt.Sprintf("@%.3f", float64(time.Now().UnixMilli())/1e3) }
	healthy, _ := torjournal(t, 0, "query", "doctor", "--journal", r.journal, "--session", "0", "--json")
	if strings.Contains(healthy, `"severity":"error"`) {
		t.Errorf("of a network that works the doctor says\n%s", healthy)
	}
	for _, relay := range net.Relays() {
		if err := relay.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	killed := since()
	var found []query.Finding
	r.await("the doctor finds relays that cannot be reached", func() bool {
		for _, relay := range net.Relays() { // tor by itself takes its time
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			_, err := s.Do(ctx, "EXTENDCIRCUIT 0 "+relay.Fingerprint)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
		found = nil
		out, _ := torjournal(t, 0, "query", "doctor", "--journal", r.journal, "--since", killed, "--json")
		for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
			var f query.Finding
			if err := dec.Decode(&f); err != nil {
				t.Fatal(err)
			}
			found = append(found, f)
		}
		for _, f := range found {
			if f.Rule == "connections-failing" {
				return true
			}
		}
		return false
	})
	for _, f := range found {
		t.Logf("%s: %s: %s", f.Severity, f.Rule, f.What)
		if f.Rule == "connections-failing" && (f.Severity != query.FindingError || !strings.Contains(f.What, "CONNECTREFUSED")) {
			t.Errorf("it says %q", f.What)
		}
	}
	screen, _ := torjournal(t, 0, "query", "summary", "--journal", r.journal, "--since", killed)
	if !strings.Contains(screen, "\nCIRCUITS  ") || !strings.Contains(screen, "\nGAPS      none") {
		t.Errorf("the summary says\n%s", screen)
	}
}
