package filter

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func where(t testing.TB, e string) *Where {
	t.Helper()
	w, err := CompileWhere(e, noon, time.UTC)
	if err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	return w
}

// rec returns a record of that line, number 7 of session 2, of 11:00.
func rec(line string) *journal.Record {
	wire := []byte(strings.ReplaceAll(line, "\n", "\r\n") + "\r\n")
	return &journal.Record{Seq: 7, Session: 2, Time: noon.Add(-time.Hour), Type: event.TypeOf(wire), Wire: wire}
}

const (
	launched = "650 CIRC 14 LAUNCHED PURPOSE=GENERAL"
	built    = "650 CIRC 14 BUILT $AAAA~alice,$BBBB~bob,$CCCC~carol BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL"
	failed   = "650 CIRC 14 FAILED $AAAA~alice PURPOSE=GENERAL REASON=TIMEOUT"
	stream   = "650 STREAM 9 CLOSED 14 www.example.com:443 REASON=END REMOTE_REASON=DONE SOCKS_USERNAME=\"a\\\"b\""
	bw       = "650 BW 2000000 15"
	status   = `650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done \"at last\""`
	changed  = "650-CONF_CHANGED\n650-Nickname=x\n650-Bridge\n650 OK"
	newer    = "650 CIRC_NEWER 14 FAILED REASON=TIMEOUT"
	odd      = "650 CIRC 14" // does not fit the grammar of CIRC
	notice   = "650+NOTICE\nfirst\nsecond\n.\n650 OK"
)

var allLines = []string{launched, built, failed, stream, bw, status, changed, newer, odd, notice}

// Each expression, and which of allLines match it.
func TestWhere(t *testing.T) {
	f := func(e string, want ...string) {
		t.Helper()
		w, m := where(t, e), NewMatcher()
		for _, line := range allLines {
			got, err := m.Match(w, rec(line))
			if err != nil {
				t.Errorf("%s of %s: %v", e, line, err)
			}
			expected := false
			for _, l := range want {
				expected = expected || l == line
			}
			if got != expected {
				t.Errorf("%s of %s = %v", e, line, got)
			}
		}
	}
	f(`Status == "FAILED"`, failed)
	f(`"FAILED" == Status`, failed)
	f(`Status in ["FAILED", "CLOSED"]`, failed, stream)
	f(`Status not in ["FAILED", "CLOSED"]`, launched, built)
	f(`Type == "CIRC" && Reason == "TIMEOUT"`, failed)
	f(`Type == "CIRC" and Status != "BUILT"`, launched, failed)
	f(`Read > 1000000`, bw)
	f(`Read in 2000000..2000001`, bw)
	f(`1 < Written <= 15`, bw)
	f(`Read / 2 == 1e6 && Read % 3 == 2`, bw)
	f(`any(Path, .Nickname == "alice")`, built, failed)
	f(`any(Path, .Fingerprint startsWith "BB")`, built)
	f(`all(Path, .Nickname == "alice")`, launched, failed)
	f(`none(Path, .Nickname == "bob")`, launched, failed)
	f(`count(Path, .Nickname != "bob") == 2`, built)
	f(`Path | any(.Nickname == "bob")`, built)
	f(`len(Path) == 3`, built)
	f(`Path[0].Nickname == "alice" and Path[-1].Nickname == "carol"`, built)
	f(`Path[5].Nickname == ""`, launched, built, failed)
	f(`Target contains "example"`, stream)
	f(`Target endsWith ":443"`, stream)
	f(`Target matches "^www\\.[a-z]+\\.com"`, stream)
	f(`lower(upper(Target)) == "www.example.com:443"`, stream)
	f(`SocksUsername == 'a"b'`, stream)
	f(`BuildFlags contains "CAPACITY"`, built)
	f(`Arguments.PROGRESS == "100"`, status)
	f(`int(Arguments["PROGRESS"]) >= 100`, status)
	f(`Arguments.SUMMARY == 'Done "at last"'`, status)
	f(`Arguments.NONE == ""`, status)
	f(`any(Options, .Name == "Nickname" and .Value == "x")`, changed)
	f(`any(Options, not .Set)`, changed)
	f(`Message contains "second"`, notice)
	f(`Message == "first\nsecond"`, notice)
	f(`Severity == "NOTICE"`, status, notice)
	f(`CircID == "14"`, launched, built, failed, stream)
	f(`StreamID == "9"`, stream)
	f(`Line startsWith "CIRC 14"`, launched, built, failed, odd)
	f(`Raw startsWith "650-CONF" and Raw endsWith "OK\r\n"`, changed)
	f(`Type == "CIRC" ? Status == "BUILT" : Read > 5`, built, bw)
	f(`if Type == "BW" { Read > 5 } else { Status == "FAILED" }`, failed, bw)

	f(`Seq == 7 and Session == 2`, allLines...)
	f(`Seq > 7 or Session in 3..4`)
	f(`Time == "2026-11-23 11:00"`, allLines...)
	f(`Time > "30m"`)
	f(`"2h" < Time && Time < "now"`, allLines...)
	f(`Type startsWith "CIRC"`, launched, built, failed, newer, odd)
	f(`Type matches "^CIRC_"`, newer)
	f(`Type == "CIRC"`, launched, built, failed, odd)
	f(`lower(Type) == "circ"`, launched, built, failed, odd)
	f(`Type != "CIRC"`, stream, bw, status, changed, newer, notice)
	f(`true`, allLines...)
}

// What an event lacks is neither equal nor unequal to anything.
func TestWhereOfWhatIsNotThere(t *testing.T) {
	m := NewMatcher()
	f := func(e string, want ...string) {
		t.Helper()
		w, got := where(t, e), []string(nil)
		for _, line := range allLines {
			if ok, err := m.Match(w, rec(line)); err != nil {
				t.Errorf("%s of %s: %v", e, line, err)
			} else if ok {
				got = append(got, line)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %q\nwant %q", e, got, want)
		}
	}
	f(`Reason != "TIMEOUT"`, launched, built, stream)
	f(`not (Reason == "TIMEOUT")`, launched, built, stream)
	f(`not (Reason == "TIMEOUT" and Read > 5)`, launched, built, stream)
	f(`not (not (Reason == "TIMEOUT"))`, failed)
	f(`Status == "FAILED" or Read > 5`, failed, bw)
	f(`Reason == "TIMEOUT" or Type == "BW"`, failed, bw)
	f(`not (Reason == "TIMEOUT") or Seq == 7`, allLines...)
	f(`(Reason == "TIMEOUT") == false`, launched, built, stream)
	f(`(Read > 5 ? 1 : 2) == 2 or Status == "BUILT"`, built)
	f(`Read > 5 ? true : Status == "BUILT"`, bw)
	f(`none(Path, .Nickname == Reason)`, launched, built, failed)
}

// A reference that knows nothing of residues: Kleene's logic, evaluated.
func TestResidueIsThreeValued(t *testing.T) {
	atoms := []struct {
		text string
		of   map[string]int // 1 true, 0 false, absent: undecided
	}{
		{`Status == "FAILED"`, map[string]int{launched: 0, built: 0, failed: 1, stream: 0}},
		{`Read > 5`, map[string]int{bw: 1}},
		{`Written > 100`, map[string]int{bw: 0}},
		{`Type == "CIRC"`, map[string]int{launched: 1, built: 1, failed: 1, stream: 0, bw: 0, status: 0, changed: 0, newer: 0, odd: 1, notice: 0}},
		{`Seq == 7`, map[string]int{launched: 1, built: 1, failed: 1, stream: 1, bw: 1, status: 1, changed: 1, newer: 1, odd: 1, notice: 1}},
	}
	type form struct {
		text string
		eval func(line string) int // 1, 0, -1 undecided
	}
	var forms []form
	for _, a := range atoms {
		forms = append(forms, form{a.text, func(line string) int {
			if v, ok := a.of[line]; ok {
				return v
			}
			return -1
		}})
	}
	grow := func(from []form) (out []form) {
		for _, a := range from {
			out = append(out, form{"not (" + a.text + ")", func(l string) int {
				if v := a.eval(l); v >= 0 {
					return 1 - v
				}
				return -1
			}})
			for _, b := range forms[:len(atoms)] {
				out = append(out, form{"(" + a.text + ") and (" + b.text + ")", func(l string) int {
					x, y := a.eval(l), b.eval(l)
					if x == 0 || y == 0 {
						return 0
					}
					return min(x, y)
				}}, form{"(" + a.text + ") or (" + b.text + ")", func(l string) int {
					x, y := a.eval(l), b.eval(l)
					if x == 1 || y == 1 {
						return 1
					}
					return min(x, y)
				}})
			}
		}
		return out
	}
	twice := grow(grow(forms))
	m := NewMatcher()
	for _, x := range twice {
		any := false
		for _, line := range allLines {
			any = any || x.eval(line) == 1
		}
		w, err := CompileWhere(x.text, noon, time.UTC)
		if err != nil {
			if any || !strings.Contains(err.Error(), "no event can match") {
				t.Fatalf("%s: %v", x.text, err)
			}
			continue
		}
		for _, line := range allLines {
			if got, err := m.Match(w, rec(line)); err != nil || got != (x.eval(line) == 1) {
				t.Errorf("%s of %s = %v, %v; want %d", x.text, line, got, err, x.eval(line))
			}
		}
	}
}

func TestWhereRefuses(t *testing.T) {
	f := func(e, want string) {
		t.Helper()
		w, err := CompileWhere(e, noon, time.UTC)
		if err == nil {
			t.Errorf("%s compiles; types %v", e, w.Types())
			return
		}
		if _, ok := err.(*ExprError); !ok || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", e, err, want)
		}
	}
	f(`Statsu == "FAILED"`, `at 1:1: no event has a field "Statsu"; did you mean Status?`)
	f("Type == \"CIRC\" &&\n  reason == \"x\"", `at 2:3: no event has a field "reason"; did you mean Reason?`)
	f(`Xyzzy > 1`, `at 1:1: no event has a field "Xyzzy"`)
	f(`Type == "CRIC"`, `at 1:9: "CRIC" is no event type; did you mean CIRC?`)
	f(`Type in ["BW", "circ"]`, `at 1:16: "circ" is no event type; did you mean CIRC?`)
	f(`Type == "BW" && Status == "x"`, `no event can match: no type has all the fields that it takes together`)
	f(`Status == 42`, `at 1:8: invalid operation: == (mismatched types string and int); a text stands in quotes, a number does not`)
	f(`Status`, `at 1:1: the whole is no condition but a value: compare it with something`)
	f(`Read + 1`, `at 1:6: the whole is no condition but a value: compare it with something`)
	f(`Time > 5`, `at 1:6: invalid operation: > (mismatched types time.Time and int)`)
	f(`Time > "yesterdayy"`, `at 1:8: "yesterdayy" is no time (did you mean yesterday?); write one of `+TimeForms+`, for example 2h30m`)
	f(`Path == "a"`, `at 1:1: Path is a list: write for example any(Path, .Fingerprint == "…") or len(Path)`)
	f(`Path.Nickname == "a"`, `at 1:6: Path is a list: write Path[0].Nickname for its first hop, [-1] for its last`)
	f(`any(Path, .Nick == "a")`, `at 1:12: an element of the list has no "Nick", but Fingerprint, Nickname`)
	f(`any(Path, # == "a")`, `at 1:11: write what of the element is meant, for example .Fingerprint`)
	f(`any(Status, .Nickname == "a")`, `at 1:5: any takes a list: Options or Path`)
	f(`Status.Foo == "a"`, `at 1:8: Status is a text and has no parts`)
	f(`lowr(Status) == "a"`, `at 1:1: there is no function "lowr"; did you mean lower?`)
	f(`not (Reason == "TIMEOUT" or Read > 5)`, `no event can match: no type has all the fields that it takes together`)
	f(`Status matches Reason`, "at 1:16: the pattern behind `matches` must be a constant")
	f(`Status matches "("`, "at 1:16: error parsing regexp: missing closing ): `(`")
	f(`Status in Reason`, `at 1:11: behind "in" stands a list of constants or a range, for example in ["FAILED", "CLOSED"] or in 1..9`)
	f(`Status == "FAILED" and`, `at 1:22: unexpected token EOF`)
	f(`Status == "FAILED`, `at 1:18: literal not terminated`)
	f(`Reason ?? "x"`, `at 1:8: "??" is not part of the language of filters`)
	f(`Status == nil`, `at 1:11: there is no nil: what is not there, is not compared`)
	f(``, `it is empty; write for example Status == "FAILED"`)
	f("\xff", `it is not UTF-8`)
	f(`let x = 1; x == 1`, `at 1:5: this is not part of the language of filters`)
	f(`Time.Hour() > 3`, `at 1:6: nothing but functions can be called: len, lower, upper, trim, int, float, abs, any, all, none, one, count`)
	f(`$env == 1`, `at 1:1: no event has a field "$env"`)
}

// What comes from outside is bounded: each of these is refused, or costs no
// more than its length.
func TestHostileExpressions(t *testing.T) {
	f := func(e, want string) {
		t.Helper()
		_, err := CompileWhere(e, noon, time.UTC)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s…: %.200v, want %q", e, err, want)
		}
	}
	f(strings.Repeat("(", 100000)+"true", "at most 4096 are taken")
	f(strings.Repeat("(", 2000)+"true"+strings.Repeat(")", 2000), "more than 32 brackets")
	f("true"+strings.Repeat(" and true", 400), "exceeds maximum allowed nodes")
	f(strings.Repeat("!", 2000)+"true", "exceeds maximum allowed nodes")
	f("Status in ["+strings.Repeat(`"a",`, 500)+`"a"]`, "maximum allowed nodes")
	f(`"`+strings.Repeat("a", 5000)+`" == Status`, "at most 4096")

	f(`repeat(Status, 1000000) == ""`, "no function")
	f(`len(1..1000000000) > 1`, "a range stands only behind")
	f(`Read in 1..Written`, "or a range")
	f(`Status + Status == "aa"`, "+ is for numbers")
	f(`let a = Raw + Raw; let b = a + a; b == ""`, "not part of the language")
	f(`reduce(Path, #acc + 1, 0) > 1`, "no function")
	f(`map(1..1000, map(1..1000, #)) == []`, "no function")
	f(`any(Path, any(Path, any(Path, .Nickname == "x")))`, "inside another one")
	f(`split(Raw, "") == []`, "no function")
	f(`toJSON(Path) == ""`, "no function")
	f(`fromJSON(Raw) == 1`, "no function")
	f(`sort([3,2,1]) == []`, "no function")
	f(`{"a": 1}.a == 1`, "not part of the language")
	f(`[1,2,3] == [1]`, "only behind")
	f(`Status matches "(a{30}){30}"`, "more than 256 steps")
	f(`Status matches "`+strings.Repeat("a", 600)+`"`, "the pattern has 600 bytes")
	f(`Status matches "a{200}" or Reason matches "a{200}"`, "more than 256 steps")

	// A comparison in a row shares its middle, so these double at each level.
	e := "1"
	for range 14 {
		e = "(0<" + e + "<2?1:2)"
	}
	f(e+" == 1", "more than 256 names")
	e = "Read"
	for range 14 {
		e = "(" + e + " in 1..9 ? 1 : 2)"
	}
	f(e+" == 1", "on the left of a range")
}

// A fault of the library is an error of the expression.
func TestPanicsAreFenced(t *testing.T) {
	w, err := fenced(func() (*Where, error) { panic("index out of range") })
	if w != nil || err == nil || err.Error() != "it cannot be compiled: index out of range" {
		t.Errorf("%v, %v", w, err)
	}
}

// What an expression would do with a large event is known before it is done.
func TestWorkIsBounded(t *testing.T) {
	m := NewMatcher()
	f := func(e string, wire string, ok bool) {
		t.Helper()
		r := rec(wire)
		_, err := m.Match(where(t, e), r)
		if ok != (err == nil) {
			t.Errorf("%s of %d bytes: %v", e, len(r.Wire), err)
		}
		if err != nil && !strings.Contains(err.Error(), "too much work for an event of") {
			t.Errorf("%s: %v", e, err)
		}
	}
	big := "650+NEWCONSENSUS\n" + strings.Repeat("r moria1 blah\n", 3<<20/15) + ".\n650 OK"
	f(`Type == "NEWCONSENSUS" and Seq > 5`, big, true)
	f(`Raw contains "moria2"`, big, true)
	f(`Entries contains "moria1" and Entries contains "blah"`, big, true)
	f(`Raw matches "(a|b){0,30}c{60}"`, big, false)
	f(`Raw matches "(a|b){0,30}c{60}"`, built, true)
	f(strings.Repeat(`lower(Raw) == "a" or `, 20)+"false", big, false)
	path := "650 CIRC 1 BUILT " + strings.Repeat("$A~a,", 40000) + "$B~b"
	f(`any(Path, .Nickname == "b")`, path, true)
	f(`count(Path, .Nickname == Reason) == 0`, path, false)
	f(`count(Path, .Nickname == Reason) == 0`, built, true)
}

// A value that the wire spells in another way is found as well.
func TestEscapesAreFound(t *testing.T) {
	w, m := where(t, `SocksUsername == "abc"`), NewMatcher()
	for _, spelled := range []string{`abc`, `"abc"`, `"a\142c"`, `"\a\b\c"`} {
		if ok, err := m.Match(w, rec(`650 STREAM 9 NEW 0 a:1 SOCKS_USERNAME=`+spelled)); !ok || err != nil {
			t.Errorf("%s: %v, %v", spelled, ok, err)
		}
	}
	if ok, _ := m.Match(w, rec(`650 STREAM 9 NEW 0 abc:1 SOCKS_USERNAME="a\142d"`)); ok {
		t.Error("what only looks like it matches")
	}
}

// A failing evaluation is no match, and tells why.
func TestFailingEvaluation(t *testing.T) {
	w, m := where(t, `int(ID) > 5`), NewMatcher()
	if ok, err := m.Match(w, rec(`650 CIRC x BUILT`)); ok || err == nil || !strings.HasPrefix(err.Error(), `at 1:1: `) {
		t.Errorf("%v, %v", ok, err)
	}
	if ok, err := m.Match(w, rec(built)); !ok || err != nil {
		t.Errorf("after a failure: %v, %v", ok, err)
	}
	w = where(t, `Read % Written == 0`)
	if ok, err := m.Match(w, rec("650 BW 1 0")); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestNarrow(t *testing.T) {
	at := func(s string) time.Time { return utc(t, s) }
	circ := event.NewSet(event.CIRC)
	f := func(e string, in, want journal.Range, some bool) {
		t.Helper()
		got, ok := where(t, e).Narrow(in)
		if ok != some || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v, %v", e, got, ok, want, some)
		}
	}
	f(`Type == "CIRC"`, journal.Range{}, journal.Range{Types: circ}, true)
	f(`Type == "CIRC"`, journal.Range{Types: event.AllTypes(), Session: 4}, journal.Range{Types: circ, Session: 4}, true)
	f(`Type in ["CIRC", "BW"]`, journal.Range{Types: event.NewSet(event.CIRC, event.STREAM)}, journal.Range{Types: circ}, true)
	f(`Type == "CIRC"`, journal.Range{Types: event.NewSet(event.BW)}, journal.Range{}, false)
	f(`Type != "CIRC"`, journal.Range{Types: circ}, journal.Range{Types: circ}, true) // a newer tor's types may match, so it says nothing
	f(`RemoteReason == "DONE"`, journal.Range{}, journal.Range{Types: event.NewSet(event.CIRC, event.STREAM)}, true)
	f(`Seq >= 10 && Seq < 20`, journal.Range{}, journal.Range{From: 10, To: 19}, true)
	f(`Seq == 5 or Seq in 10..20`, journal.Range{}, journal.Range{From: 5, To: 20}, true)
	f(`Seq == 5 or Type == "CIRC"`, journal.Range{To: 9}, journal.Range{To: 9}, true)
	f(`not (Seq > 5)`, journal.Range{}, journal.Range{}, true)
	f(`Seq > 20`, journal.Range{To: 20}, journal.Range{}, false)
	f(`Session == 3`, journal.Range{}, journal.Range{Session: 3}, true)
	f(`Session == 3`, journal.Range{Session: 4}, journal.Range{}, false)
	f(`Session == 3 or Session == 4`, journal.Range{}, journal.Range{}, true)
	f(`"2h" <= Time and Time < "1h" && Type == "CIRC"`, journal.Range{},
		journal.Range{Since: at("2026-11-23T10:00:00Z"), Until: at("2026-11-23T11:00:00Z"), Types: circ}, true)
	f(`Time >= "2h"`, journal.Range{Until: at("2026-11-23T09:00:00Z")}, journal.Range{}, false)
	f(`Type == "CIRC" && Seq > 5 || Type == "BW" && Seq > 3`, journal.Range{}, journal.Range{From: 4, Types: event.NewSet(event.CIRC, event.BW)}, true)
}

// soundExpressions are tried on all recordings.
var soundExpressions = []string{
	`Status == "FAILED"`, `Reason != "" and Status != "CLOSED"`, `any(Path, .Nickname == "relay3")`,
	`Target contains "127.0.0.1" or Read > 500`, `Seq in 50..90 and Type != "BW"`, `Time > "2026-11-23 08:45:47.5"`,
	`Arguments.TAG == "done"`, `Message contains "circuit"`, `Session == 1 and CircID == "12"`, `Session == 2 or len(Raw) > 400`,
	`HSDir startsWith "$" and Action == "RECEIVED"`, `not (Line contains "PURPOSE=GENERAL")`, `SocksUsername == ""`, `Extra != ""`,
}

// Whatever matches is inside the range, and words that were not found would
// not have matched.
func TestNarrowLosesNothing(t *testing.T) {
	recs, m := corpus(t), NewMatcher()
	for _, e := range soundExpressions {
		w, matches := where(t, e), 0
		plain := where(t, e)
		for _, p := range plain.by {
			if p != nil {
				p.needed = nil
			}
		}
		r, _ := w.Narrow(journal.Range{})
		for i := range recs {
			ok, err := m.Match(w, &recs[i])
			if err != nil {
				t.Fatalf("%s: %v", e, err)
			}
			slow, err := m.Match(plain, &recs[i])
			if err != nil || slow != ok {
				t.Errorf("%s of %q = %v, by its words %v", e, recs[i].Wire, slow, ok)
			}
			if ok && !r.Match(&recs[i]) {
				t.Errorf("%s matches %q, outside of %+v", e, recs[i].Wire, r)
			}
			if ok {
				matches++
			}
		}
		t.Logf("%6d  %s", matches, e)
	}
}

// An independent count: words between blanks.
func TestWhereCounts(t *testing.T) {
	recs, m := corpus(t), NewMatcher()
	f := func(e string, want func(words []string) bool) {
		t.Helper()
		w, n, expected := where(t, e), 0, 0
		for i := range recs {
			if ok, _ := m.Match(w, &recs[i]); ok {
				n++
			}
			if want(strings.Fields(string(recs[i].Wire))) {
				expected++
			}
		}
		if n != expected || n == 0 {
			t.Errorf("%s matches %d, want %d", e, n, expected)
		}
	}
	f(`Type == "CIRC" and Status == "FAILED"`, func(w []string) bool { return w[1] == "CIRC" && w[3] == "FAILED" })
	f(`Type == "STREAM" and Status == "SUCCEEDED"`, func(w []string) bool { return w[1] == "STREAM" && w[3] == "SUCCEEDED" })
	f(`Type == "BW" and Read > 0`, func(w []string) bool { return w[1] == "BW" && w[2] != "0" })
}

// The structs are those that Parse returns.
func TestFieldsAreOfParsedEvents(t *testing.T) {
	for _, r := range corpus(t) {
		ev, err := event.Parse(r.Wire)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := reflect.TypeOf(ev).Elem(), reflect.TypeOf(structs[r.Type]); got != want {
			t.Fatalf("%s: Parse returns a %v, the fields are of %v", r.Type, got, want)
		}
	}
	for _, typ := range event.Types() {
		if structs[typ] == nil {
			t.Errorf("%s has no fields", typ)
		}
	}
	var names []string
	for _, f := range Fields() {
		names = append(names, f.Name)
	}
	for _, want := range []string{"Seq", "Status", "Path", "CircID", "StreamID", "Arguments", "Options", "RemoteReason"} {
		if !strings.Contains(fmt.Sprint(names), want) {
			t.Errorf("Fields lacks %s", want)
		}
	}
	if names[0] != "Line" || Fields()[0].Types != nil {
		t.Errorf("the fields begin with %v", names[:3])
	}
}

// Size is no less than what an expression holds, so that who adds up sizes
// bounds memory.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an otherwise idle heap")
	}
	for _, e := range []string{
		`Status == "FAILED"`,
		`Type == "CIRC" && Reason in ["TIMEOUT", "DESTROYED", "NOPATH"] || Type == "BW" && Read > 5`,
		"Read > 1" + strings.Repeat(" and Written != 5", 50),
		`Message matches "(ab|cd){0,30}x"`,
	} {
		const n = 200
		keep := make([]*Where, n)
		before := heap()
		for i := range keep {
			keep[i] = where(t, e)
		}
		each := int(heap()-before) / n
		size := keep[0].Size()
		t.Logf("%d bytes held, Size %d: %.60s", each, size, e)
		if each > size {
			t.Errorf("%.60s holds %d bytes, Size says %d", e, each, size)
		}
		runtime.KeepAlive(keep)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func FuzzWhere(f *testing.F) {
	for _, e := range soundExpressions {
		f.Add(e, built)
	}
	for _, line := range allLines {
		f.Add(`Status == "FAILED" or any(Path, .Nickname == "x") or Path[-1].Nickname matches "a+b"`, line)
		f.Add(`lower(Arguments.KEY) in ["a", "b"] ? Read / Written > 1.5 : not (Options | any(.Set))`, line)
	}
	m := NewMatcher()
	f.Fuzz(func(t *testing.T, e, line string) {
		w, err := CompileWhere(e, noon, time.UTC)
		if err != nil {
			if _, ok := err.(*ExprError); !ok {
				t.Fatalf("%q: a %T: %v", e, err, err)
			}
			return
		}
		r := rec(line)
		ok, err := m.Match(w, r)
		if err != nil {
			if _, is := err.(*ExprError); !is || ok {
				t.Fatalf("%q of %q: %v and a %T: %v", e, line, ok, err, err)
			}
			return
		}
		if narrowed, some := w.Narrow(journal.Range{}); ok && (!some || !narrowed.Match(r)) {
			t.Errorf("%q matches %q, outside of %+v", e, line, narrowed)
		}
		for _, p := range w.by {
			if p != nil {
				p.needed = nil
			}
		}
		if slow, err := m.Match(w, r); err == nil && slow != ok {
			t.Errorf("%q of %q is %v, by its words %v", e, line, slow, ok)
		}
	})
}
