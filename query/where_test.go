package query

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
	"torjournal/tor/event"
)

// A part counts the rows that match, however many others lie between them.
func TestWhereInParts(t *testing.T) {
	j := journaltest.Open(t, journal.Options{})
	defer j.CloseNow()
	j.Begin("tor", 1)
	const circuits = 3*wherePart + 17
	var evs []event.Event
	for i := range circuits {
		reason := "DESTROYED"
		if i%1000 == 0 {
			reason = "TIMEOUT"
		}
		evs = append(evs, journaltest.Wire("650 CIRC %d LAUNCHED PURPOSE=GENERAL", i+1), journaltest.Wire("650 CIRC %d FAILED PURPOSE=GENERAL REASON=%s", i+1, reason))
	}
	j.Add(evs...)
	q, _ := FindQuestion("CIRCUITS")
	for where, want := range map[string]int{
		`reason == "TIMEOUT"`:                          circuits/1000 + 1,
		`reason == "TIMEOUT" and int(id) > 5000`:       circuits/1000 - 4,
		`build_ms > 0`:                                 0,
		fmt.Sprintf(`int(id) > %d`, 2*wherePart):       wherePart + 17,
		fmt.Sprintf(`int(id) in [1, %d]`, circuits):    2,
		`session == 1 and status == "FAILED"`:          circuits,
		`launched > "2030-01-01" or not (life_ms < 0)`: circuits,
	} {
		if testing.Short() && want > 1000 {
			continue
		}
		o := NewOptions(time.Now(), time.UTC)
		if err := q.Set(o, "where", where); err != nil {
			t.Fatal(err)
		}
		ask := func(part Part, emit func(Row) error) error {
			_, err := q.Rows(t.Context(), j, journal.Range{}, o, part, emit)
			return err
		}
		var whole strings.Builder
		rows, enc := 0, NewEncoder(&whole)
		if err := ask(Part{}, func(r Row) error { rows++; return enc.Encode(r) }); err != nil {
			t.Fatal(err)
		}
		if rows != want {
			t.Errorf("%s: %d rows, want %d", where, rows, want)
		}
		for _, n := range []int{3, 5000} {
			if n == 3 && want > 1000 {
				continue // thousands of walks
			}
			if got, _ := pages(t, n, ask); got != whole.String() {
				t.Errorf("%s in parts of %d:\n%.300s\nwant\n%.300s", where, n, got, whole.String())
			}
		}
	}
}

// What cannot be decided is no row, and is told.
func TestWhereUndecided(t *testing.T) {
	j := journaltest.Open(t, journal.Options{})
	defer j.CloseNow()
	j.Begin("tor", 1)
	j.Add(journaltest.Wire("650 CIRC 1 FAILED REASON=TIMEOUT"), journaltest.Wire("650 CIRC A FAILED REASON=TIMEOUT"))
	q, _ := FindQuestion("circuits")
	o := NewOptions(time.Now(), time.UTC)
	if err := q.Set(o, "where", `int(id) > 0`); err != nil {
		t.Fatal(err)
	}
	rows := 0
	n, err := q.Rows(t.Context(), j, journal.Range{}, o, Part{}, func(Row) error { rows++; return nil })
	if err != nil || rows != 1 || n.Undecided != 1 {
		t.Errorf("%d rows, %d undecided, %v", rows, n.Undecided, err)
	}
}

// Every question takes an expression over its rows, but for those that have none
// of one form.
func TestEveryQuestionTakesWhere(t *testing.T) {
	for _, q := range Questions() {
		has := false
		for _, w := range q.Words {
			has = has || w.Name == "where"
		}
		without := q.Name == "bandwidth" || q.Name == "diff"
		if has == without {
			t.Errorf("%s takes an expression: %v", q.Name, has)
		}
		if fields := q.RowFields(); len(fields) == 0 && !without && q.Name != "records" {
			t.Errorf("%s: no names", q.Name)
		}
	}
}
