package event

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPath(t *testing.T) {
	const a, b = "D074985ADE267C0F6CBAB4C48785B1655023A3E7", "6D29555F42EF09AAF7FC2435240F21755DBACE21"
	tests := []struct {
		path Path
		hops []Router
	}{
		{"", []Router{}},
		{"$" + a + "~auth0", []Router{{a, "auth0"}}},
		{"$" + a + "~auth0,$" + b + "=relay3,$" + b, []Router{{a, "auth0"}, {b, "relay3"}, {b, ""}}},
		{"moria1,$" + b, []Router{{"", "moria1"}, {b, ""}}},
		{",", []Router{{}, {}}},
	}
	for _, tt := range tests {
		if got := tt.path.Hops(); !slices.Equal(got, tt.hops) || tt.path.Len() != len(tt.hops) {
			t.Errorf("path %q has %d hops: %v", tt.path, tt.path.Len(), got)
		}
		if !strings.Contains(string(tt.path), "=") && NewPath(tt.hops...) != tt.path {
			t.Errorf("path %q is made again as %q", tt.path, NewPath(tt.hops...))
		}
	}
	for h := range tests[2].path.All() {
		if h.Nickname != "auth0" {
			t.Errorf("the first hop is %v", h)
		}
		break
	}
	var names []string
	for r := range (&NewDesc{Names: "$" + a + "~auth0 relay3"}).Routers() {
		names = append(names, r.Nickname)
	}
	if !slices.Equal(names, []string{"auth0", "relay3"}) {
		t.Errorf("NEWDESC names %v", names)
	}
}

func TestKeywords(t *testing.T) {
	k := Keywords(`PROGRESS=5 SUMMARY="Connecting \"to\" a=b relay" word EMPTY= OPEN="x y PROGRESS=6 "a word" =v`)
	want := [][2]string{
		{"PROGRESS", "5"}, {"SUMMARY", `Connecting "to" a=b relay`}, {"", "word"}, {"EMPTY", ""}, {"OPEN", `"x`}, {"", "y"},
		{"PROGRESS", "6"}, {"", "a word"}, {"", "v"},
	}
	var got [][2]string
	for key, value := range k.All() {
		got = append(got, [2]string{key, value})
	}
	if !slices.Equal(got, want) || k.Len() != len(want) {
		t.Errorf("keywords are\n     %q\nwant %q", got, want)
	}
	for _, pair := range want[:4] {
		value, ok := k.Get(pair[0])
		if ok != (pair[0] != "") || ok && value != pair[1] {
			t.Errorf("%s is %q, %v", pair[0], value, ok)
		}
	}
	if v, ok := k.Get("TAG"); ok || v != "" {
		t.Errorf("a keyword that is not there is %q", v)
	}
	status := Keywords(`PROGRESS=5 TAG=conn SUMMARY="Connecting to a relay"`)
	if n := testing.AllocsPerRun(100, func() { status.Get("SUMMARY") }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

func TestCounts(t *testing.T) {
	tests := map[string]map[string]uint64{
		"":                            {},
		"relay:3,create2:1":           {"relay": 3, "create2": 1},
		"us=16,de=8":                  {"us": 16, "de": 8},
		"v4=16,v6=,x,y=-1,z=1e3":      {"v4": 16},
		"big:18446744073709551615,,a": {"big": 1<<64 - 1},
	}
	for list, want := range tests {
		if got := maps.Collect(Counts(list)); !maps.Equal(got, want) {
			t.Errorf("%q counts %v, want %v", list, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 11, 23, 8, 45, 50, 502072000, time.UTC)
	if got, err := ParseTime("2026-11-23T08:45:50.502072"); err != nil || !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"2026-11-23T08:45:50", "2026-11-23 08:45:50"} {
		if got, err := ParseTime(s); err != nil || !got.Equal(want.Truncate(time.Second)) {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "NEVER", "2026-11-23", "2026-11-23T08:45", "2026-13-23 08:45:50", "2026-11-23T08:45:50Z"} {
		if _, err := ParseTime(s); err == nil {
			t.Errorf("%q is taken for a time", s)
		}
	}
}

func TestUnquote(t *testing.T) {
	tests := map[string]string{
		`""`:                     "",
		`"a b"`:                  "a b",
		`"\"\\\'\a"`:             `"\'a`,
		`"\n\r\t"`:               "\n\r\t",
		`"\303\251\0\08\400\7a"`: "é\x00\x008 0\aa",
	}
	for quoted, want := range tests {
		if got, ok := Unquote(quoted); got != want || !ok {
			t.Errorf("%s is %q, want %q", quoted, got, want)
		}
	}
	for _, s := range []string{"", `"`, "a", `"a`, `a"`, `"a\"`, `"a"b`, `"a" "b"`} {
		if got, ok := Unquote(s); ok || got != s {
			t.Errorf("%s is taken for a QuotedString: %q", s, got)
		}
	}
}

// TestParseAllocs: a line costs two allocations, its copy and its struct.
func TestParseAllocs(t *testing.T) {
	for _, h := range handmade {
		switch h.event.(type) {
		case *Circuit, *CircuitBandwidth, *ORConn, *BuildTimeoutSet:
			wire := []byte(h.wire)
			limit := 2.0
			if strings.Contains(h.wire, `\`) {
				limit += 2 // the unescaped copies
			}
			if n := testing.AllocsPerRun(100, func() { Parse(wire) }); n > limit {
				t.Errorf("%v allocations for %s", n, h.wire)
			}
		}
	}
}

// A word ends at the first blank that is not inside quotes.
func TestWordLen(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"a b":                 "a",
		" a":                  "",
		`K="a b" c`:           `K="a b"`,
		`"a \" b" c`:          `"a \" b"`,
		`"a \\" b`:            `"a \\"`,
		`a"b c"d e`:           `a"b c"d`,
		`"never closed x`:     `"never closed x`,
		`\" b`:                `\" b`,
		"ends with a slash\\": "ends",
	} {
		if got := in[:WordLen(in)]; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := string([]byte(in)[:WordLen([]byte(in))]); got != want {
			t.Errorf("bytes of %q: %q, want %q", in, got, want)
		}
	}
}
