package query

import (
	"path/filepath"
	"strings"
	"testing"

	"torjournal/journal"
)

func TestRelays(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00.1 CIRC 1 EXTENDED $A
		08:00:00.3 CIRC 1 EXTENDED $A,$B
		08:00:00.3 CIRC 1 BUILT $A,$B
		08:00:01 CIRC 1 CLOSED $A,$B REASON=FINISHED
		08:00:02 CIRC 2 LAUNCHED
		08:00:02.5 CIRC 2 EXTENDED $A
		08:00:03 CIRC 2 FAILED $A REASON=TIMEOUT
		08:00:04 CIRC 2 EXTENDED $A,$C
		08:00:04 CIRC 2 CLOSED $A,$C REASON=FINISHED
		08:00:05 CIRC 3 LAUNCHED
		08:00:06 CIRC 3 FAILED REASON=TIMEOUT
	`)
	ask := func(r journal.Range) string {
		return rows(t, func(emit func(*Relay) error) ([]journal.Gap, error) { return relays(t.Context(), m, r, Part{}, emit) })
	}
	wantRows(t, "all", ask(journal.Range{}),
		`{"relay":"$A","circuits":2,"first":2,"last":0,"built":1,"failed":1,"extended":2,"p50_ms":100,"p90_ms":500}`,
		`{"relay":"$B","circuits":1,"first":0,"last":1,"built":1,"failed":0,"extended":1,"p50_ms":200,"p90_ms":200}`,
		`{"relay":"$C","circuits":1,"first":0,"last":0,"built":0,"failed":1,"extended":1,"p50_ms":1500,"p90_ms":1500}`)
	wantRows(t, "none", ask(journal.Range{Until: clock(t, "07:00:00")}))
}

// tor names a relay by its fingerprint until it knows its nickname. It is one
// relay, and the answer calls it by what tor called it at its best.
func TestRelaysByAllOfTheirNames(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00.1 CIRC 1 EXTENDED $A
		08:00:00.2 CIRC 1 FAILED $A REASON=TIMEOUT
		08:00:01 CIRC 2 LAUNCHED
		08:00:01.1 CIRC 2 EXTENDED $A~alpha
		08:00:01.2 CIRC 2 EXTENDED $A~alpha,$B~beta
		08:00:01.2 CIRC 2 BUILT $A~alpha,$B~beta
		08:00:02 CIRC 3 LAUNCHED
		08:00:02.1 CIRC 3 EXTENDED $A~alpha
		08:00:02.2 CIRC 3 FAILED $A~alpha REASON=TIMEOUT
		08:10:00 CIRC 4 LAUNCHED
		08:10:00.1 CIRC 4 EXTENDED $A
		08:10:00.2 CIRC 4 FAILED $A REASON=TIMEOUT
	`)
	wantRows(t, "relays", rows(t, func(emit func(*Relay) error) ([]journal.Gap, error) {
		return relays(t.Context(), m, journal.Range{}, Part{}, emit)
	}),
		`{"relay":"$A~alpha","circuits":4,"first":4,"last":0,"built":1,"failed":3,"extended":4,"p50_ms":100,"p90_ms":100}`,
		`{"relay":"$B~beta","circuits":1,"first":0,"last":1,"built":1,"failed":0,"extended":1,"p50_ms":100,"p90_ms":100}`)
	for _, by := range []string{ByGuard, ByRelay, ByLink} {
		n := 0
		_, err := failures(t.Context(), m, journal.Range{}, by, Part{}, func(f *Failure) error {
			if n++; f.Circuits != 4 || f.Failed != 3 || f.Relay != "$A~alpha" && (len(f.Link) == 0 || f.Link[0] != "$A~alpha") {
				t.Errorf("by %s: %+v", by, f)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("by %s: %d rows; %v", by, n, err)
		}
	}
	if got := diffRows(t, m, "..2026-11-23 08:05", "2026-11-23 08:05.."); strings.Contains(got, DiffGuard) {
		t.Errorf("a guard of both ranges is new or gone in:\n%s", got)
	}
}

// Each relay's numbers agree with what python3-stem counts.
func TestRelaysAgreeWithStem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts python")
	}
	for _, file := range corpora(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := corpus(t, file)
			var want map[string][6]int64
			stemCount(t, "stem_relays.py", m, &want)
			got := map[string][6]int64{}
			_, err := relays(t.Context(), m, journal.Range{}, Part{}, func(r *Relay) error {
				n := [6]int64{int64(r.Circuits), int64(r.First), int64(r.Last), int64(r.Built), int64(r.Extended), 0}
				if r.P50MS != nil {
					n[5] = *r.P50MS
				}
				got[r.Relay] = n
				return nil
			})
			if err != nil || len(got) != len(want) {
				t.Errorf("%d relays, stem has %d; %v", len(got), len(want), err)
			}
			for relay, w := range want {
				if got[relay] != w {
					t.Errorf("%s: %v, stem has %v", relay, got[relay], w)
				}
			}
		})
	}
}
