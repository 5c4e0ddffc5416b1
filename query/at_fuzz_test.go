package query

import (
	"slices"
	"strings"
	"testing"
)

// Whatever a tor says, what stands can be told, one line each, and what is
// accounted for is no more than was said.
func FuzzMoment(f *testing.F) {
	f.Add("circuit-status=1 BUILT $A|2 EXTENDED", "CIRC 1 BUILT $A,$B PURPOSE=GENERAL\nCIRC_MINOR 2 CANNIBALIZED $A PURPOSE=HS_CLIENT_REND\nCIRC 2 CLOSED")
	f.Add("stream-status=5 SUCCEEDED 1 a:80", "STREAM 6 NEW 0 b:80 SOCKS_USERNAME=\"a \\\" b\"\nSTREAM 6 SENTCONNECT 1 b:80 SOCKS_USERNAME=\"a \\\nSTREAM 5 DETACHED 1 a:80")
	f.Add("orconn-status=$A~a CONNECTED|192.0.2.1:1 NEW", "ORCONN $A CLOSED ID=4\nORCONN $B CONNECTED ID=5\nORCONN = CLOSED ID=")
	f.Add("entry-guards=$A~a up|$B down 2026-11-23 08:00:00", "GUARD ENTRY $A DOWN\nGUARD ENTRY $C NEW\nGUARD  x UP")
	f.Fuzz(func(t *testing.T, state, events string) {
		m := states(t, "08:00:00 BW 1 2")
		m.add(1, clock(t, "08:00:00"), stateWire(state))
		for line := range strings.SplitSeq(events, "\n") {
			m.add(1, clock(t, "08:00:01"), "650 "+line+"\r\n")
		}
		got, err := at(t.Context(), m, clock(t, "08:00:02"), evening, nil)
		if err != nil {
			return
		}
		said := len(state) + len(events)
		for _, k := range Kinds() {
			lines := slices.Collect(got.Lines(k))
			size := got.lineups[k].size()
			if size < len(lines)*entryCost || size > (entryCost+40+2*said)*len(lines) {
				t.Errorf("%s: %d entries are accounted as %d bytes", k, len(lines), size)
			}
			for _, line := range lines {
				if strings.Contains(line, "\n") {
					t.Errorf("%s has line %q", k, line)
				}
			}
			for row := range got.Rows(k) {
				if row.Kind == "" {
					t.Errorf("%s has row %+v", k, row)
				}
			}
		}
	})
}
