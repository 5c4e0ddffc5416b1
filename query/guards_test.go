package query

import (
	"strings"
	"testing"

	"torjournal/journal"
)

func TestGuards(t *testing.T) {
	a, b := "$"+strings.Repeat("A", 40), "$"+strings.Repeat("B", 40)
	m := story(t, strings.NewReplacer("{a}", a, "{b}", b).Replace(`
		08:00:00 GUARD ENTRY {a} NEW
		08:00:00 GUARD ENTRY {b}~beta NEW
		08:00:01 GUARD ENTRY {a}~alpha UP
		08:00:02 CIRC 1 LAUNCHED
		08:00:03 CIRC 1 BUILT {a}~alpha,$C
		08:00:10 GUARD ENTRY {a}~alpha DOWN
		08:00:11 GUARD ENTRY {a}~alpha DOWN
		08:00:12 CIRC 2 LAUNCHED
		08:00:13 CIRC 2 FAILED {a}~alpha REASON=TIMEOUT
		08:00:14 CIRC 3 LAUNCHED
		08:00:15 CIRC 3 FAILED REASON=TIMEOUT
		08:00:20.5 GUARD ENTRY {a}~alpha UP
		08:00:30 GUARD ENTRY {b}~beta DROPPED
		08:00:40 GUARD ENTRY {a}~alpha GOOD_L2
		08:01:00 GUARD ENTRY {a}~alpha DOWN
	`))
	ask := func(r journal.Range) string {
		return rows(t, func(emit func(*Guard) error) ([]journal.Gap, error) { return guards(t.Context(), m, r, Part{}, emit) })
	}
	alpha := `{"session":1,"relay":"` + a + `~alpha","layer":1,"first":"08:00:00.000000Z","last":"08:01:00.000000Z","status":"DOWN","ups":2,"downs":3,"down_ms":10500,"down_since":"08:01:00.000000Z","circuits":2,"failed":1}`
	beta := `{"session":1,"relay":"` + b + `~beta","layer":1,"first":"08:00:00.000000Z","last":"08:00:30.000000Z","status":"DROPPED","ups":0,"downs":0,"down_ms":0,"circuits":0,"failed":0}`
	second := `{"session":1,"relay":"` + a + `~alpha","layer":2,"first":"08:00:40.000000Z","last":"08:00:40.000000Z","status":"GOOD_L2","ups":0,"downs":0,"down_ms":0,"circuits":0,"failed":0}`
	wantRows(t, "all", ask(journal.Range{}), alpha, beta, second)
	late := strings.Replace(alpha, `"circuits":2,"failed":1`, `"circuits":1,"failed":0`, 1) // the built one goes on
	wantRows(t, "without the one that was dropped before", ask(journal.Range{Since: clock(t, "08:00:35")}), late, second)
	wantRows(t, "before the first event", ask(journal.Range{Until: clock(t, "07:00:00")}))
	wantRows(t, "as it was then", ask(journal.Range{Until: clock(t, "08:00:00.5")}),
		`{"session":1,"relay":"`+a+`","layer":1,"first":"08:00:00.000000Z","last":"08:00:00.000000Z","status":"NEW","ups":0,"downs":0,"down_ms":0,"circuits":0,"failed":0}`,
		`{"session":1,"relay":"`+b+`~beta","layer":1,"first":"08:00:00.000000Z","last":"08:00:00.000000Z","status":"NEW","ups":0,"downs":0,"down_ms":0,"circuits":0,"failed":0}`)
}

// An old record may name guards by nickname alone.
func TestGuardsWithoutFingerprints(t *testing.T) {
	m := story(t, `
		08:00:00 GUARD ENTRY alpha NEW
		08:00:00 GUARD ENTRY beta NEW
	`)
	got := rows(t, func(emit func(*Guard) error) ([]journal.Gap, error) {
		return guards(t.Context(), m, journal.Range{}, Part{}, emit)
	})
	for _, name := range []string{"alpha", "beta"} {
		if !strings.Contains(got, `"relay":"`+name+`"`) {
			t.Errorf("%s is missing in %s", name, got)
		}
	}
}
