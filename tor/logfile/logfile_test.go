package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/tor/event"
)

// log is all that a Reader makes of a log.
type log struct {
	entries         []Entry
	bad             []string // the errors of what was passed over
	notes, restored int
	err             error // what ended it, nil for io.EOF
}

func readAll(t testing.TB, r io.Reader, f Format) (l log) {
	t.Helper()
	lr, err := NewReader(r, f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, err := lr.Next()
		var bad *LineError
		switch {
		case err == io.EOF:
			l.notes, l.restored = lr.Notes(), lr.Restored()
			return l
		case errors.As(err, &bad):
			l.bad = append(l.bad, err.Error())
		case err != nil:
			l.err = err
			return l
		default:
			l.entries = append(l.entries, e)
		}
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wires returns the events one after the other, with their times.
func wires(es []Entry) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintf(&b, "%s %q\n", e.Time.Format("2006-01-02T15:04:05.000000"), e.Wire)
	}
	return b.String()
}

// Each fixture is the same eleven events as the tool in question logs them,
// with its remarks between them.
func TestFormats(t *testing.T) {
	want := readAll(t, bytes.NewReader(fixture(t, "events.jsonl")), JSONLines).entries
	if len(want) != 11 {
		t.Fatalf("%d events in the fixture all others are measured by", len(want))
	}
	for _, tc := range []struct {
		file            string
		format          Format
		notes, restored int
	}{
		{"events.jsonl", JSONLines, 0, 0},
		{"replay.jsonl", JSONLines, 0, 0},
		{"onionperf.torctl.log", Torctl, 3, 0},
		{"onionperf-lost-dots.torctl.log", Torctl, 0, 2},
		{"tor-ctl-logger.log", Torctl, 3, 0},
		{"oniontrace.log", OnionTrace, 6, 0},
		{"connection.wire", Wire, 4, 0},
		{"journal-meta.wire", Wire, 13, 0},
	} {
		t.Run(tc.file, func(t *testing.T) {
			raw := fixture(t, tc.file)
			f, err := Detect(raw)
			if f != tc.format || err != nil {
				t.Errorf("detected %q, %v; want %s", f, err, tc.format)
			}
			got := readAll(t, bytes.NewReader(raw), tc.format)
			if len(got.bad) > 0 || got.err != nil {
				t.Errorf("passed over %q, ended by %v", got.bad, got.err)
			}
			if got.notes != tc.notes || got.restored != tc.restored {
				t.Errorf("%d notes, %d restored; want %d and %d", got.notes, got.restored, tc.notes, tc.restored)
			}
			want := slices.Clone(want)
			if tc.file == "connection.wire" { // which has no times
				for i := range want {
					want[i].Time = time.Time{}
				}
			}
			if g, w := wires(got.entries), wires(want); g != w {
				t.Errorf("got\n%swant\n%s", g, w)
			}
			if s := got.entries[0].Session; s != 0 && tc.file != "replay.jsonl" {
				t.Errorf("session %d", s)
			}
		})
	}
}

// What does not parse is told with its line, and costs nothing but itself.
func TestBadLines(t *testing.T) {
	const (
		stamp   = "2026-01-01 00:00:00 1767225600.00 "
		ot      = "2026-01-01 00:00:00 1767225600.000000 [default] [_oniontracelogger_logControlLine] Logger: "
		otStart = "2026-01-01 00:00:00 1767225600.000000 [message] [main] Starting OnionTrace v1.0.0 on host lab process id 7\n"
		json    = `{"t":"2026-01-01T00:00:00Z","raw":`
	)
	long := strings.Repeat("x", maxLine)
	for _, tc := range []struct {
		name   string
		format Format
		in     string
		want   string // names of the events, and lines with faults
	}{
		{"json: no object", JSONLines, "{\"t\":\n\n" + json + `"650 BW 1 1\r\n"}` + "\n", "1! BW"},
		{"json: no wire form", JSONLines, `{"t":"2026-01-01T00:00:00Z"}` + "\n" + json + `"650 BW 1 1\r\n"}`, "1! BW"},
		{"json: no time", JSONLines, `{"raw":"650 BW 1 1\r\n"}` + "\n", "1!"},
		{"json: a time before tor", JSONLines, `{"t":"0001-01-01T00:00:00Z","raw":"650 BW 1 1\r\n"}` + "\n", "1!"},
		{"json: half an event", JSONLines, json + `"650-CONF_CHANGED\r\n"}` + "\n", "1!"},
		{"json: two events", JSONLines, json + `"650 BW 1 1\r\n650 BW 2 2\r\n"}` + "\n", "1!"},
		{"json: no event", JSONLines, json + `"250 OK\r\n"}` + "\n", "1!"},
		{"json: bytes in base64", JSONLines, `{"t":"2026-01-01T00:00:00Z","raw_base64":"NjUwIFdBUk4g/w0K"}` + "\n", "WARN"},
		{"json: cut short", JSONLines, json + `"650 BW 1 1\r\n"}` + "\n" + json + `"650 B`, "BW 2!end"},
		{"torctl: words", Torctl, "hello\n" + stamp + "650 BW 1 1\n\n", "1! BW"},
		{"torctl: a line too long", Torctl, stamp + "650 NOTICE " + long + "\n" + stamp + "650 BW 1 1\n", "1! BW"},
		{"torctl: a line too long inside", Torctl, stamp + "650+NS\nr a\n" + long + "\nr b\n.\n650 OK\n" + stamp + "650 BW 1 1\n", "1! BW"},
		{"torctl: no line end", Torctl, stamp + "650 BW 1 1\n" + stamp + "650 BW 2 2", "BW 2!end"},
		{"torctl: cut short in a block", Torctl, stamp + "650+NS\nr a\n", "1!end"},
		{"torctl: cut short behind the block", Torctl, stamp + "650+NS\nr a\n.\n", "NS"},
		{"torctl: cut short among lines", Torctl, stamp + "650-CONF_CHANGED\n650-A=1\n", "1!end"},
		{"torctl: dot lost at the end", Torctl, stamp + "650+NS\nr a\n650 OK\n", "NS"},
		{"torctl: dot lost", Torctl, stamp + "650+NS\nr a\n650 OK\n" + stamp + "650 BW 1 1\n", "NS BW"},
		{"torctl: OK lost", Torctl, stamp + "650+NS\nr a\n.\n" + stamp + "650 BW 1 1\n", "NS BW"},
		{"torctl: died among lines", Torctl, stamp + "650-CONF_CHANGED\n650-A=1\n" + stamp + "650 BW 1 1\n", "1! BW"},
		{"torctl: died in a block", Torctl, stamp + "650+NS\nr a\n" + stamp + "650 BW 1 1\n", "1! BW"},
		{"torctl: died in a block, and started", Torctl, stamp + "650+NS\nr a\n" + stamp + "started tor-ctl-logger on 9051\n" + stamp + "650 BW 1 1\n", "1! BW"},
		{"torctl: died in a line of a block", Torctl, stamp + "650+NS\nr aaa" + stamp + "650 BW 1 1\n", "1! BW"},
		{"torctl: died in a line", Torctl, stamp + "650 BW 1 1" + stamp + "650 BW 2 2\n", "1! BW"},
		{"torctl: died in a line, and started", Torctl, stamp + "650 BW 1 1" + stamp + "started tor-ctl-logger on 9051\n" + stamp + "650 BW 2 2\n", "1! BW"},
		{"torctl: died in a line, and OnionPerf started", Torctl, stamp + "650 BW 1 1" + stamp + "Starting torctl program on host x\n" + stamp + "650 BW 2 2\n", "1! BW"},
		{"torctl: died in a time", Torctl, stamp + "650 BW 1 1\n" + stamp[:25] + stamp + "650 BW 2 2\n", "BW 2! BW"},
		{"torctl: died in a remark", Torctl, stamp + "heart" + stamp + "650 BW 2 2\n", "BW"},
		{"torctl: died three times in a line", Torctl, stamp + "650 N" + stamp + "650+N" + stamp + "650 B" + stamp + "650 BW 2 2\n", "1! 1! 1! BW"},
		{"torctl: a time in a log line", Torctl, stamp + "650 NOTICE it was 2026-01-01 00:00:00 1767225600 by then\n", "NOTICE"},
		{"torctl: a time in a status line", Torctl, stamp + "650+NS\nr exit 2026-01-01 00:00:00 192.0.2.7 9001 0\n.\n650 OK\n", "NS"},
		{"torctl: 650 OK inside the block", Torctl, stamp + "650+NS\r\n650 OK\r\nr a\r\n.\r\n650 OK\r\n", "NS"},
		{"torctl: words behind an event", Torctl, stamp + "650 BW 1 1\nmore\n" + stamp + "650 BW 2 2\n", "BW 2! BW"},
		{"torctl: no name", Torctl, stamp + "650\n" + stamp + "650 BW 2 2\n", "BW"},
		{"oniontrace: bare line", OnionTrace, ot + "650 BW 1 1\nbare\n" + ot + "650 BW 2 2\n", "BW 2! BW"},
		{"oniontrace: other brackets", OnionTrace, "2026-01-01 00:00:00 1767225600.00 [x] y\n", "1!"},
		{"oniontrace: died in a block", OnionTrace, ot + "650+NS\n" + ot + "r a\n" + otStart + ot + "650 BW 1 1\n" + ot + "650 BW 2 2\n", "1! BW BW"},
		{"oniontrace: died among lines", OnionTrace, ot + "650-CONF_CHANGED\n" + otStart + ot + "650 BW 1 1\n", "1! BW"},
		{"oniontrace: died in a line of a block", OnionTrace, ot + "650+NS\n" + ot + "r aaa" + otStart + ot + "650 BW 1 1\n", "1! BW"},
		{"oniontrace: died in a line", OnionTrace, ot + "650 BW 1 " + otStart + ot + "650 BW 1 1\n", "1! BW"},
		{"oniontrace: died in a remark", OnionTrace, otStart[:60] + otStart + ot + "650 BW 1 1\n", "BW"},
		{"oniontrace: a remark inside an event", OnionTrace, ot + "650+NS\n" + strings.Replace(otStart, "[main] Starting", "[x] Restarting", 1) + ot + ".\n" + ot + "650 OK\n", "NS"},
		{"oniontrace: cut short", OnionTrace, ot + "650+NS\n" + ot + "r a\n", "1!end"},
		{"wire: commands of the controller", Wire, "SETEVENTS BW\r\n250 OK\r\n650 BW 1 1\r\n", "1! BW"},
		{"wire: cut short", Wire, "650 BW 1 1\r\n650 BW 1", "BW 2!end"},
		{"wire: cut short in a block", Wire, "650+NS\r\nr 650 BW\r\n", "1!end"},
		{"wire: a stray line inside", Wire, "650-CONF_CHANGED\r\nstray\r\n650 OK\r\n650 BW 1 1\r\n", "1! BW"},
		{"wire: an event inside a reply's block is none", Wire, "250+x=\r\n650 BW 1 1\r\n.\r\n250 OK\r\n650 BW 2 2\r\n", "BW"},
		{"wire: an event too long", Wire, "650+NS\r\n" + strings.Repeat(long[:maxLine-2]+"\r\n", 17) + ".\r\n650 OK\r\n650 BW 1 1\r\n", "1! BW"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lr, err := NewReader(strings.NewReader(tc.in), tc.format)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				e, err := lr.Next()
				var bad *LineError
				if errors.As(err, &bad) {
					fault := fmt.Sprintf("%d!", bad.Line)
					if bad.AtEnd() {
						fault += "end"
					}
					got = append(got, fault)
					continue
				}
				if err != nil {
					if err != io.EOF {
						t.Errorf("ended by %v", err)
					}
					break
				}
				got = append(got, string(event.TypeOf(e.Wire)))
			}
			if g := strings.Join(got, " "); g != tc.want {
				t.Errorf("got %q, want %q", g, tc.want)
			}
		})
	}
}

// endless gives text again and again, size bytes of it.
type endless struct {
	text     string
	size, at int
}

func (e *endless) Read(p []byte) (n int, err error) {
	if e.size <= 0 {
		return 0, io.EOF
	}
	n = copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	e.size -= n
	return n, nil
}

// A line or an event without an end is read to the end, and not kept.
func TestMemoryIsBounded(t *testing.T) {
	const size = 256 << 20
	for name, in := range map[string]io.Reader{
		"a line":         &endless{text: strings.Repeat("x", 4096), size: size},
		"a line of JSON": io.MultiReader(strings.NewReader(`{"raw":"`), &endless{text: strings.Repeat("x", 4096), size: size}),
		"an event":       io.MultiReader(strings.NewReader("650+NS\r\n"), &endless{text: strings.Repeat("x", 1000) + "\r\n", size: size}),
	} {
		format := Wire
		if name == "a line of JSON" {
			format = JSONLines
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		l := readAll(t, in, format)
		runtime.ReadMemStats(&after)
		if len(l.entries) > 0 || len(l.bad) != 1 || l.err != nil {
			t.Errorf("%s: %d events, %d faults, %v", name, len(l.entries), len(l.bad), l.err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > size*3/4 { // growing to 24 MiB takes some
			t.Errorf("%s: %d MiB were allocated for %d MiB without an end", name, used>>20, size>>20)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		want       Format
	}{
		{"nothing", "", ""},
		{"words", "Dear tor,\n\nhow are you?\n", ""},
		{"tor's own log", "Jan 01 00:00:00.000 [notice] Tor 0.4.8.12 opening log file.\n", ""},
		{"JSON of another kind", `{"id":"x","type":"tgen"}` + "\n", ""},
		{"rotated within a descriptor", "m43s\n-----END SIGNATURE-----\n.\n650 OK\n", Wire},
		{"rotated within words", "or so\n2026-01-01 00:00:00 1767225600.00 650 BW 1 1\n", Torctl},
		{"remarks only", "2026-01-01 00:00:00 1767225600.00 started tor-ctl-logger on 9051\n", Torctl},
		{"seconds without a fraction", "2026-01-01 00:00:00 1767225600 650 BW 1 1\n", Torctl},
		{"a head that ends in the first line", `{"t":"2026-01-01T00:00:00Z","raw":"650+NS\r\n`, JSONLines},
		{"replies first", "250 OK\r\n", Wire},
	} {
		got, err := Detect([]byte(tc.head))
		if got != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("%s: %q, %v; want %q", tc.name, got, err, tc.want)
		}
		if err != nil && (!errors.Is(err, ErrUnclear) || !strings.Contains(err.Error(), "jsonl, torctl, oniontrace, wire")) {
			t.Errorf("%s: the error does not name the formats: %v", tc.name, err)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for name, want := range map[string]Format{"jsonl": JSONLines, "onionperf": Torctl, "tor-ctl-logger": Torctl, "wire": Wire, "oniontrace": OnionTrace} {
		if f, err := ParseFormat(name); f != want || err != nil {
			t.Errorf("%s: %q, %v", name, f, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), "torctl") {
		t.Errorf("xml: %v", err)
	}
	if _, err := NewReader(strings.NewReader(""), "xml"); err == nil {
		t.Error("a Reader of xml was made")
	}
}

// A log of torctl lines gives back what was written into it.
func TestAppendTorctl(t *testing.T) {
	want := readAll(t, bytes.NewReader(fixture(t, "events.jsonl")), JSONLines).entries
	var b []byte
	for i := range want {
		want[i].Time = want[i].Time.Add(time.Duration(i) * 123456 * time.Microsecond)
		var err error
		if b, err = AppendTorctl(b, want[i].Time, want[i].Wire); err != nil {
			t.Fatal(err)
		}
	}
	if first, _, _ := strings.Cut(string(b), "\n"); first != "2026-01-01 00:00:00 1767225600.000000 650 BW 1024 512\r" {
		t.Errorf("first line %q", first)
	}
	got := readAll(t, bytes.NewReader(b), Torctl)
	if g, w := wires(got.entries), wires(want); g != w || len(got.bad) > 0 {
		t.Errorf("bad %q, got\n%swant\n%s", got.bad, g, w)
	}
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, err := AppendTorctl(nil, at, want[0].Wire); !errors.Is(err, ErrTime) {
			t.Errorf("%v: %v", at, err)
		}
	}
}

func TestSessions(t *testing.T) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	launched := func(id int, after time.Duration) Entry {
		return Entry{Time: base.Add(after), Wire: fmt.Appendf(nil, "650 CIRC %d LAUNCHED PURPOSE=GENERAL\r\n", id)}
	}
	numbered := func(n uint64) Entry { return Entry{Time: base, Wire: []byte("650 BW 1 1\r\n"), Session: n} }
	for _, tc := range []struct {
		name string
		in   []Entry
		want string // x where a session begins
	}{
		{"ascending", []Entry{launched(1, 0), launched(2, 3*time.Hour)}, "x-"},
		{"lower at once", []Entry{launched(9, 0), launched(2, time.Minute)}, "x-"},
		{"lower after exactly an hour", []Entry{launched(9, 0), launched(2, time.Hour)}, "x-"},
		{"lower after more", []Entry{launched(9, 0), launched(2, time.Hour+1), launched(3, 5*time.Hour)}, "xx-"},
		{"not launched", []Entry{launched(9, 0), {Time: base.Add(2 * time.Hour), Wire: []byte("650 CIRC 2 BUILT\r\n")}}, "x-"},
		{"numbered by the log", []Entry{numbered(3), numbered(3), numbered(4), numbered(3)}, "x-xx"},
	} {
		var s Sessions
		got := ""
		for _, e := range tc.in {
			if s.Begins(&e) {
				got += "x"
			} else {
				got += "-"
			}
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
