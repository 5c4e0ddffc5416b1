package filter

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

type stamp struct{ time.Time }

// more is a part of a row that not every row has.
type more struct {
	Median int64 `json:"median"`
}

// row has a field of each form that rows have.
type row struct {
	ID       string         `json:"id"`
	Reason   string         `json:"reason,omitempty"`
	Launched stamp          `json:"launched,omitzero"`
	BuildMS  *int64         `json:"build_ms,omitempty"`
	Bytes    *uint64        `json:"read_bytes,omitempty"`
	Count    int            `json:"count"`
	Place    int            `json:"place,omitempty"`
	Rate     float64        `json:"rate"`
	Incoming bool           `json:"incoming,omitempty"`
	Path     []string       `json:"path,omitempty"`
	Circuits []string       `json:"circuits,omitempty"`
	Verbs    map[string]int `json:"verbs,omitempty"`
	*more
}

var rowType = reflect.TypeFor[*row]()

func rowWhere(t testing.TB, e string) *RowWhere {
	t.Helper()
	w, err := CompileRows(e, rowType, noon, time.UTC)
	if err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	return w
}

func TestRowWhere(t *testing.T) {
	ms, bytes := int64(2500), uint64(1<<40)
	full := &row{
		ID: "14", Reason: "TIMEOUT", Launched: stamp{noon.Add(-time.Hour)}, BuildMS: &ms, Bytes: &bytes, Count: 3, Place: 2, Rate: 0.25, Incoming: true,
		Path: []string{"$AAAA~alice", "$BBBB~bob"}, Circuits: []string{"7", "142"}, more: &more{Median: 8},
	}
	bare := &row{ID: "9"}
	f := func(e string, wantFull, wantBare bool) {
		t.Helper()
		w := rowWhere(t, e)
		for range 2 { // what an evaluation leaves must not change the next one
			for _, c := range []struct {
				row  *row
				want bool
			}{{full, wantFull}, {bare, wantBare}} {
				if got, err := w.Match(c.row); err != nil || got != c.want {
					t.Errorf("%s of row %s = %v, %v", e, c.row.ID, got, err)
				}
			}
		}
	}
	f(`true`, true, true)
	f(`id == "14"`, true, false)
	f(`reason == "TIMEOUT"`, true, false)
	f(`reason != "TIMEOUT"`, false, true) // a text that is absent is empty
	f(`build_ms > 2000`, true, false)
	f(`build_ms <= 2000`, false, false) // unknown is neither
	f(`not (build_ms > 2000)`, false, false)
	f(`not (build_ms > 2000) || id == "9"`, false, true)
	f(`not (build_ms > 3000 or read_bytes < 5)`, true, false)
	f(`build_ms > 2000 ? true : id == "9"`, true, false)
	f(`read_bytes == 1099511627776`, true, false)
	f(`count == 0`, false, true) // always there
	f(`place == 0`, false, false)
	f(`place >= 1`, true, false)
	f(`rate > 0.2`, true, false)
	f(`median == 8`, true, false)
	f(`median == 0`, false, false)
	f(`incoming`, true, false)
	f(`not incoming`, false, true)
	f(`launched < "30m"`, true, false)
	f(`launched >= "2026-11-23 10:30"`, true, false)
	f(`any(path, .Nickname == "bob")`, true, false)
	f(`none(path, .Nickname == "bob")`, false, true)
	f(`path[0].Fingerprint == "AAAA"`, true, false)
	f(`len(path) == 2`, true, false)
	f(`any(circuits, # == "142")`, true, false)
	f(`any(circuits, # == "42")`, false, false)
	f(`any(circuits, # startsWith "14" and len(#) > 2)`, true, false)
	f(`len(circuits) == 0`, false, true)
}

// An expression that is wrong says where, and names what rows have.
func TestRowWhereRefuses(t *testing.T) {
	f := func(e, want string) {
		t.Helper()
		_, err := CompileRows(e, rowType, noon, time.UTC)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", e, err, want)
		}
	}
	f(``, `it is empty`)
	f(`build > 5`, `at 1:1: the rows have not a field "build"`)
	f(`Reason == "TIMEOUT"`, `did you mean reason?`)
	f(`verb == 1`, `the rows have not a field "verb"`)
	f(`verbs == 1`, `the rows have not a field "verbs"`)
	f(`build_ms == "5"`, `a text stands in quotes`)
	f(`build_ms`, `compare it with something`)
	f(`path == "bob"`, `path is a list: write for example any(path, .Fingerprint == "…")`)
	f(`circuits == "7"`, `circuits is a list: write for example any(circuits, # == "…")`)
	f(`any(path, # == "bob")`, `for example .Fingerprint`)
	f(`any(circuits, .Nickname == "bob")`, `Nickname`)
	f(`# == "7"`, ``)
	f(`any(circuits, any(path, .Nickname == "x"))`, `a list within a list`)
	f(`launched > "soon"`, `soon`)
	f(strings.Repeat("!", 5000), `at most 4096`)
}

// Rows that lack this and that cost a bounded number of programs.
func TestRowWhereKeepsFewForms(t *testing.T) {
	fields := []reflect.StructField{}
	for i := range 6 {
		name := string(rune('a' + i))
		fields = append(fields, reflect.StructField{Name: strings.ToUpper(name), Type: reflect.TypeFor[*int64](), Tag: reflect.StructTag(`json:"` + name + `,omitempty"`)})
	}
	typ := reflect.StructOf(fields)
	w, err := CompileRows(`a == 1 || b == 1 || c == 1 || d == 1 || e == 1 || f == 1`, reflect.PointerTo(typ), noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	one := int64(1)
	for mask := range 64 {
		v := reflect.New(typ)
		for i := range 6 {
			if mask>>i&1 != 0 {
				v.Elem().Field(i).Set(reflect.ValueOf(&one))
			}
		}
		if got, err := w.Match(v.Interface()); err != nil || got != (mask != 0) {
			t.Errorf("mask %06b: %v, %v", mask, got, err)
		}
		if len(w.by) > maxResidues {
			t.Fatalf("%d forms are kept", len(w.by))
		}
	}
}

func TestRowFields(t *testing.T) {
	var got []string
	for _, f := range RowFields(rowType) {
		got = append(got, f.Name+" "+f.Kind)
	}
	want := []string{
		"id text", "reason text", "launched time", "build_ms number", "read_bytes number", "count number", "place number",
		"rate number with decimals", "incoming true or false", "path list of relays", "circuits list of texts", "median number",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

// Whatever an expression is, compiling and asking end without a panic, and a
// value that is absent never makes a row match by a comparison with it.
func FuzzCompileRows(f *testing.F) {
	for _, e := range []string{
		`build_ms > 2000 && reason == "TIMEOUT"`, `any(circuits, # == "7")`, `path[0].Nickname matches "^a"`, `launched > "1h"`,
		`not (build_ms > 5) ? rate > 1 : incoming`, `len(path) in 1..9`, `any(circuits, #`, `#`, `.x`,
	} {
		f.Add(e)
	}
	ms := int64(5)
	rows := []*row{{ID: "1"}, {ID: "2", BuildMS: &ms, Path: []string{"$A~b", "?"}, Circuits: []string{"7"}}}
	f.Fuzz(func(t *testing.T, e string) {
		w, err := CompileRows(e, rowType, noon, time.UTC)
		if err != nil {
			return
		}
		for _, r := range rows {
			_, _ = w.Match(r)
		}
		if w, err := CompileRows("("+e+") && build_ms > 0", rowType, noon, time.UTC); err == nil {
			if ok, _ := w.Match(rows[0]); ok {
				t.Errorf("%s matches a row without build_ms", e)
			}
		}
	})
}
