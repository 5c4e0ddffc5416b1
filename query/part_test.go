package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

var errEnough = errors.New("enough")

// pages asks for an answer in parts of n rows until there are no more, and
// returns all rows as JSON lines, and the greatest number of rows that a part
// gave.
func pages(t testing.TB, n int, ask func(Part, func(Row) error) error) (all string, most int) {
	t.Helper()
	var b strings.Builder
	enc := NewEncoder(&b)
	for part := (Part{Rows: n}); ; {
		rows, given, more := 0, 0, false
		var last Place
		err := ask(part, func(r Row) error {
			if given++; rows == n {
				more = true
				return errEnough
			}
			if part.After != nil && !r.Place().After(*part.After) || rows > 0 && !r.Place().After(last) {
				t.Fatalf("a row at %v, after %v; the part begins after %v", r.Place(), last, part.After)
			}
			rows, last = rows+1, r.Place()
			return enc.Encode(r)
		})
		if err != nil && err != errEnough {
			t.Fatal(err)
		}
		most = max(most, given)
		if !more {
			return b.String(), most
		}
		back, err := ParsePlace(last.String())
		if err != nil || back != last {
			t.Fatalf("%v is read as %v, %v", last, back, err)
		}
		part.After = &back
	}
}

func asRows[R Row](emit func(Row) error) func(R) error { return func(r R) error { return emit(r) } }

// However an answer is cut into parts, together they are the answer.
func TestPartsTogetherAreTheAnswer(t *testing.T) {
	files := corpora(t)
	if len(files) == 0 {
		t.Fatal("no corpus: testdata/corpus is missing")
	}
	for _, file := range files {
		m := corpus(t, file)
		begin, length := m.recs[0].Time, m.recs[len(m.recs)-1].Time.Sub(m.recs[0].Time)
		for _, r := range []journal.Range{
			{}, {Since: begin.Add(length / 2)}, {Since: begin.Add(length / 3), Until: begin.Add(length / 2)}, {Until: begin.Add(length / 3)}, {To: uint64(len(m.recs) / 2)},
		} {
			comparePages(t, filepath.Base(file), m, r)
		}
	}
}

// A part does not read the sessions before it, and what is in them makes no
// difference.
func TestPartsOfSessions(t *testing.T) {
	one := corpus(t, "../testdata/corpus/client.jsonl")
	m := &memory{}
	for session := range uint64(3) {
		for _, rec := range one.recs {
			m.add(session+1, rec.Time.Add(time.Duration(session)*time.Hour), string(rec.Wire))
		}
	}
	comparePages(t, "three sessions", m, journal.Range{})
	comparePages(t, "two of them", m, journal.Range{Since: m.sessions[1].Begun.Add(time.Minute)})
	comparePages(t, "the second", m, journal.Range{Session: 2})
	m.read = 0
	after := Place{At: int64(m.sessions[2].First)}
	if _, err := circuits(t.Context(), m, journal.Range{}, CircuitPick{}, Part{After: &after}, func(*Circuit) error { return nil }); err != nil || m.read > len(one.recs) {
		t.Errorf("%d of %d records were read for the last session, %v", m.read, len(m.recs), err)
	}
}

func comparePages(t *testing.T, name string, m *memory, r journal.Range) {
	t.Helper()
	sizes := []int{3, 50}
	if len(m.recs) > 2000 {
		sizes = []int{100} // each part goes through all of them
	}
	for _, pick := range []CircuitPick{{}, {Status: "failed"}, {Purpose: "GENERAL"}, {Reason: "FINISHED"}} {
		ask := func(part Part, emit func(Row) error) error {
			_, err := circuits(t.Context(), m, r, pick, part, asRows[*Circuit](emit))
			return err
		}
		want, _ := pages(t, 1<<30, ask)
		for _, n := range sizes {
			if got, _ := pages(t, n, ask); got != want {
				t.Errorf("%s: circuits %+v of %+v in parts of %d:\n%s", name, pick, r, n, firstDifference(got, want))
			}
		}
	}
	for _, pick := range []StreamPick{{}, {Status: "closed"}, {Purpose: "USER"}} {
		ask := func(part Part, emit func(Row) error) error {
			_, err := streams(t.Context(), m, r, pick, part, asRows[*Stream](emit))
			return err
		}
		want, _ := pages(t, 1<<30, ask)
		for _, n := range []int{2, 50} {
			if got, _ := pages(t, n, ask); got != want {
				t.Errorf("%s: streams %+v of %+v in parts of %d:\n%s", name, pick, r, n, firstDifference(got, want))
			}
		}
	}
	conns := func(part Part, emit func(Row) error) error {
		_, err := orConns(t.Context(), m, r, ORConnPick{}, part, asRows[*ORConn](emit))
		return err
	}
	if got, want := first(pages(t, sizes[0], conns)), first(pages(t, 1<<30, conns)); got != want {
		t.Errorf("%s: OR connections of %+v in parts:\n%s", name, r, firstDifference(got, want))
	}
	services := func(part Part, emit func(Row) error) error {
		_, err := onions(t.Context(), m, r, OnionPick{}, part, asRows[*Onion](emit))
		return err
	}
	if got, want := first(pages(t, 4, services)), first(pages(t, 1<<30, services)); got != want {
		t.Errorf("%s: onion services of %+v in parts:\n%s", name, r, firstDifference(got, want))
	}
	outs := func(part Part, emit func(Row) error) error {
		_, err := outages(t.Context(), m, r, part, asRows[*Outage](emit))
		return err
	}
	if got, want := first(pages(t, 1, outs)), first(pages(t, 1<<30, outs)); got != want {
		t.Errorf("%s: outages of %+v in parts:\n%s", name, r, firstDifference(got, want))
	}
	bandwidth := func(part Part, emit func(Row) error) error {
		_, err := bandwidths(t.Context(), m, r, 10*time.Second, part, asRows[*Bandwidth](emit))
		return err
	}
	want, _ := pages(t, 1<<30, bandwidth)
	if got, _ := pages(t, 20, bandwidth); got != want {
		t.Errorf("%s: bandwidth of %+v in parts:\n%s", name, r, firstDifference(got, want))
	}
	everything := func(part Part, emit func(Row) error) error {
		_, err := records(t.Context(), m, r, nil, part, asRows[*Record](emit))
		return err
	}
	want, _ = pages(t, 1<<30, everything)
	if got, _ := pages(t, 1000, everything); got != want {
		t.Errorf("%s: records of %+v in parts:\n%s", name, r, firstDifference(got, want))
	}
}

func first(rows string, _ int) string { return rows }

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\n--- got\n%s\n--- want\n%s", i+1, a, b)
		}
	}
	return ""
}

func TestPartsOfCommands(t *testing.T) {
	m := story(t, commandStory)
	ask := func(part Part, emit func(Row) error) error {
		_, err := commands(t.Context(), m, journal.Range{}, true, part, asRows[*Command](emit))
		return err
	}
	got, _ := pages(t, 2, ask)
	wantRows(t, "commands by two", got, setconfRow, newnymRow, countRow, haltRow, ownerRow, leftRow)
}

// crowd is a session with n circuits one after the other, one in a hundred of
// which fails, beside one that never ends.
func crowd(n int) *memory {
	m, at := &memory{}, time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	tell := func(format string, args ...any) {
		at = at.Add(10 * time.Millisecond)
		m.add(1, at, "650 "+fmt.Sprintf(format, args...)+"\r\n")
	}
	tell("CIRC 999999 LAUNCHED")
	for i := range n {
		tell("CIRC %d LAUNCHED PURPOSE=GENERAL", i+1)
		if i%100 == 99 {
			tell("CIRC %d FAILED PURPOSE=GENERAL REASON=TIMEOUT", i+1)
			tell("CIRC %d CLOSED PURPOSE=GENERAL REASON=TIMEOUT", i+1)
			continue
		}
		tell("CIRC %d BUILT $A~a,$B~b PURPOSE=GENERAL", i+1)
		tell("CIRC_BW ID=%d READ=1 WRITTEN=2", i+1)
		tell("CIRC %d CLOSED $A~a,$B~b PURPOSE=GENERAL REASON=FINISHED", i+1)
		tell("CIRC_BW ID=%d READ=1 WRITTEN=2", i+1)
	}
	return m
}

// A part holds no more than its own circuits, however many there are, and reads
// no further than it must.
func TestPartsAreBounded(t *testing.T) {
	m := crowd(20_000)
	ask := func(pick CircuitPick, part Part) (n int, err error) {
		m.read = 0
		_, err = circuits(t.Context(), m, journal.Range{}, pick, part, func(*Circuit) error { n++; return nil })
		return n, err
	}
	if _, err := ask(CircuitPick{}, Part{Memory: 4 << 20}); !errors.Is(err, ErrTooMuch) {
		t.Errorf("20,000 circuits in 4 MiB: %v", err)
	}
	if n, err := ask(CircuitPick{}, Part{Rows: 1000, Memory: 2 << 20}); n < 1001 || n > 1002 || err != nil {
		t.Errorf("%d circuits, %v", n, err)
	}
	if n, err := ask(CircuitPick{Status: "failed"}, Part{Memory: 2 << 20}); n != 200 || err != nil {
		t.Errorf("%d failed circuits, %v", n, err)
	}
	// Failures keep sums, no circuits.
	n := 0
	if _, err := failures(t.Context(), m, journal.Range{}, ByReason, Part{Memory: 1 << 20}, func(f *Failure) error { n += f.Failed; return nil }); n != 200 || err != nil {
		t.Errorf("%d failures, %v", n, err)
	}
	// Outages keep the circuits that are being built.
	if _, err := outages(t.Context(), m, journal.Range{}, Part{Memory: 1 << 20}, func(o *Outage) error { return fmt.Errorf("%+v", o) }); err != nil {
		t.Error("outages:", err)
	}
	after := Place{At: 1}
	if n, err := ask(CircuitPick{}, Part{After: &after, Rows: 1000, Memory: 2 << 20}); n != 1001 || err != nil || m.read > 20_000 {
		t.Errorf("%d circuits, %v, of %d records", n, err, m.read)
	}
}

// An end that is told twice, or bytes that come late, make no circuit of one
// that is no row.
func TestLateWords(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 CLOSED REASON=FINISHED
		08:00:02 CIRC 2 LAUNCHED
		08:00:10 CIRC_BW ID=1 READ=1 WRITTEN=2
		08:00:11 SNAPSHOT 1 BUILT $A | 2 LAUNCHED
		08:00:12 CIRC 1 CLOSED REASON=FINISHED
	`)
	got := circuitRows(t, m, journal.Range{Since: clock(t, "08:00:05")})
	wantRows(t, "since", got, `{"session":1,"id":"2","launched":"08:00:02.000000Z","status":"LAUNCHED","outcome":"building","read_bytes":0,"written_bytes":0}`)
}
