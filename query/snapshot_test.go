package query

import (
	"slices"
	"strings"
	"testing"

	"torjournal/journal"
)

func TestSnapshotLines(t *testing.T) {
	f := func(reply string, found bool, want ...string) {
		t.Helper()
		lines, ok := snapshotLines(strings.ReplaceAll(reply, "\n", "\r\n"), "circuit-status")
		if got := slices.Collect(lines); ok != found || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q, %v", reply, got, ok, want, found)
		}
	}
	f("", false)
	f("250 OK\n", false)
	f("250-version=0.4.9.11\n250 OK\n", false)
	f("250-circuit-status=\n250 OK\n", true)
	f("250+circuit-status=\n.\n250 OK\n", true)
	f("250-circuit-status=7 BUILT $A\n250 OK\n", true, "7 BUILT $A")
	f("250 circuit-status=7 BUILT $A\n", true, "7 BUILT $A")
	f("250+circuit-status=\n7 BUILT $A\n9 LAUNCHED\n.\n250+x=\n1\n.\n250 OK\n", true, "7 BUILT $A", "9 LAUNCHED")
	f("250+circuit-status=\n..7\n...\n.\n", true, ".7", "..")
	f("250+circuit-status=\n7 BUILT $A\n9", true, "7 BUILT $A", "9") // cut short
	f("250+circuit-status=", true)
	f("250+other=\n250-circuit-status=7 BUILT\n.\n250-circuit-status=8 BUILT\n", true, "8 BUILT") // a block is not searched
	f("250-stream-status=\n250-circuit-status2=9\n250-x=circuit-status=\n", false)
	f("551 no\n", false)
}

func FuzzSnapshotLines(f *testing.F) {
	for _, s := range []string{
		"", "250 OK\r\n", "250-circuit-status=7 BUILT $A\r\n250 OK\r\n",
		"250+circuit-status=\r\n7 BUILT $A\r\n..\r\n.\r\n250 OK\r\n", "250+circuit-status=\n.", "250+circuit-status=\r\n\r\n\r\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		lines, found := snapshotLines(reply, "circuit-status")
		size := 0
		for line := range lines {
			if size += len(line); !found || strings.Contains(line, "\n") || size > len(reply) {
				t.Fatalf("%q has line %q", reply, line)
			}
		}
		// No snapshot, however broken, upsets the circuits.
		m := story(t, "08:00:00 CIRC 1 LAUNCHED")
		m.add(1, clock(t, "08:00:01"), "650+JOURNAL SNAPSHOT\r\n"+reply+"\r\n.\r\n650 OK\r\n")
		circuitRows(t, m, journal.Range{})
	})
}
