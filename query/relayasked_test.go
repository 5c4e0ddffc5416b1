package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"torjournal/journal"
)

// idsThrough returns the IDs of the circuits over a relay, the lowest first.
func idsThrough(t *testing.T, src source, r journal.Range, word string) string {
	t.Helper()
	var ids []string
	if _, err := circuits(t.Context(), src, r, CircuitPick{Relay: word}, Part{}, func(c *Circuit) error {
		ids = append(ids, c.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func fingerprints() (a, b, c string) {
	return "$" + strings.Repeat("A", 40), "$" + strings.Repeat("B", 40), "$" + strings.Repeat("C", 40)
}

// A relay is found by its nickname where only its fingerprint stands, whatever
// says that it bears it, and whether that comes before or after.
func TestRelaysAreAskedForByNicknames(t *testing.T) {
	a, b, c := fingerprints()
	f := func(name, says, want string) {
		t.Helper()
		for _, place := range []string{"%s\n%s", "%[2]s\n%[1]s"} {
			m := states(t, fmt.Sprintf(place, says, `
				08:00:01 CIRC 1 LAUNCHED
				08:00:02 CIRC 1 BUILT `+a+`
				08:00:03 CIRC 1 CLOSED `+a+` REASON=FINISHED
				08:00:04 CIRC 2 BUILT `+b+`,`+c+`~gamma
			`))
			if got := idsThrough(t, m, journal.Range{}, "Alpha"); got != want {
				t.Errorf("%s: circuits %q, want %q", name, got, want)
			}
		}
	}
	f("nobody", "08:00:05 BW 1 2", "")
	f("a circuit", "08:00:05 CIRC 7 EXTENDED "+c+","+a+"~alpha", "1 7")
	f("a circuit, as once", "08:00:05 CIRC_MINOR 7 PURPOSE_CHANGED "+c+","+a+"=alpha PURPOSE=GENERAL", "1")
	f("a connection", "08:00:05 ORCONN "+a+"~alpha CONNECTED ID=3", "1")
	f("a guard", "08:00:05 GUARD ENTRY "+a+"~alpha UP", "1")
	f("a snapshot's guards", "08:00:05 STATE entry-guards="+c+" up|"+a+"~alpha up", "1")
	f("one of two", "08:00:05 ORCONN "+b+"~alpha CONNECTED ID=3\n08:00:06 ORCONN "+a+"~alphabet CONNECTED ID=4", "2")
	f("two of one name", "08:00:05 ORCONN "+b+"~alpha CONNECTED ID=3\n08:00:06 ORCONN "+a+"~alpha CONNECTED ID=4", "1 2")
	f("what a controller says", "08:00:05 JOURNAL COMMAND PHASE=SENT VERB=EXTENDCIRCUIT ARGS=\"0 "+a+"~alpha\"", "")

	m := states(t, "08:00:00 ORCONN "+a+" LAUNCHED ID=3\n08:00:01 ORCONN "+a+"~alpha LAUNCHED ID=4\n08:00:02 ORCONN "+b+" LAUNCHED ID=5\n")
	var ends []string
	if _, err := orConns(t.Context(), m, journal.Range{}, ORConnPick{Relay: "alpha"}, Part{}, func(o *ORConn) error {
		ends = append(ends, o.ID)
		return nil
	}); err != nil || strings.Join(ends, " ") != "3 4" {
		t.Errorf("connections %q, %v", ends, err)
	}
}

// Parts of an answer agree with the whole: what a relay is called is looked for in
// the range, not as far as the walk of a part goes. It is looked for only if some
// hop has no nickname.
func TestRelaysAreLookedForInTheRange(t *testing.T) {
	a, _, c := fingerprints()
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, "08:00:%02d CIRC %d BUILT %s,%s~gamma\n08:00:%02[1]d CIRC %[2]d CLOSED %[3]s,%[4]s~gamma REASON=FINISHED\n", i, i, a, c, i)
	}
	m := story(t, lines.String()+"08:30:00 GUARD ENTRY "+a+"~alpha NEW\n")
	ask := func(r journal.Range) (whole, parts string, n int) {
		question := func(part Part, emit func(Row) error) error {
			_, err := circuits(t.Context(), m, r, CircuitPick{Relay: "alpha"}, part, asRows[*Circuit](emit))
			return err
		}
		whole, _ = pages(t, 1<<30, question)
		parts, _ = pages(t, 3, question)
		return whole, parts, strings.Count(whole, "\n")
	}
	for _, c := range []struct {
		r    journal.Range
		want int
	}{
		{journal.Range{}, 40},
		{journal.Range{Since: clock(t, "08:00:30")}, 10},
		{journal.Range{Until: clock(t, "08:15:00")}, 0}, // nobody was called so then
	} {
		whole, parts, n := ask(c.r)
		if n != c.want || parts != whole {
			t.Errorf("%+v: %d circuits, want %d; in parts:\n%s", c.r, n, c.want, firstDifference(parts, whole))
		}
	}

	count := func(word string) int {
		m.read = 0
		idsThrough(t, m, journal.Range{}, word)
		return m.read
	}
	if n, want := count(a), count("$A"); n != want {
		t.Errorf("%d records are read, want %d: who is asked for by a fingerprint need not be looked for", n, want)
	}
	if n, want := count("alpha"), count("$A"); n <= want || n > 2*want+10 {
		t.Errorf("%d records are read, want twice %d: once more", n, want)
	}

	many := &memory{}
	for i := range 200 {
		many.add(1, clock(t, "08:00:00"), fmt.Sprintf("650 ORCONN $%040X~alpha CONNECTED ID=%d\r\n", i, i))
	}
	many.add(1, clock(t, "08:00:01"), "650 CIRC 1 BUILT "+a+"\r\n")
	_, err := circuits(t.Context(), many, journal.Range{}, CircuitPick{Relay: "alpha"}, Part{Memory: 100 * entryBytes}, func(*Circuit) error { return nil })
	if !errors.Is(err, ErrTooMuch) {
		t.Errorf("more that bear a name than the part may hold: %v", err)
	}
}
