package event

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// named returns what Entities tells of an event.
func named(wire []byte) (circuits, streams []string) {
	Entities(TypeOf(wire), wire,
		func(id []byte) { circuits = append(circuits, string(id)) },
		func(id []byte) { streams = append(streams, string(id)) })
	return circuits, streams
}

// idsOf returns the IDs in the fields of an event.
func idsOf(e Event) (circuit, stream string) {
	switch e := e.(type) {
	case *Circuit:
		return e.ID, ""
	case *CircuitMinor:
		return e.ID, ""
	case *CircuitBandwidth:
		return e.ID, ""
	case *CellStats:
		return e.ID, ""
	case *Stream:
		return e.CircID, e.ID
	case *StreamBandwidth:
		return "", e.ID
	case *AddrMap:
		return "", e.StreamID
	}
	return "", ""
}

// plain reports whether an ID is what tor gives: what is quoted or empty is told
// in another form, and need only be told at all.
func plain(id string) bool { return id != "" && !strings.ContainsAny(id, "\" \\") }

// checkNamed reports whether Entities tells all that Parse finds.
func checkNamed(t *testing.T, wire []byte) (tells bool) {
	t.Helper()
	e, err := Parse(wire)
	if err != nil {
		return false
	}
	circuit, stream := idsOf(e)
	circuits, streams := named(wire)
	for _, k := range []struct {
		what, id string
		all      []string
	}{{"circuit", circuit, circuits}, {"stream", stream, streams}} {
		odd := slices.ContainsFunc(k.all, func(s string) bool { return !plain(s) })
		if k.id != "" && !slices.Contains(k.all, k.id) && !odd {
			t.Errorf("%q names %s %q, and Entities tells %q", wire, k.what, k.id, k.all)
		}
	}
	return circuit != "" || stream != ""
}

func TestEntitiesTellsWhatParseFinds(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sampleDir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if more, _ := filepath.Glob(filepath.Join(corpusDir, "*.jsonl.zst")); len(more) > 0 {
		files = append(files, more...)
	}
	n := 0
	for _, file := range files {
		records(t, file, func(r record) {
			if checkNamed(t, []byte(r.Raw)) {
				n++
			}
		})
	}
	if n < 100 {
		t.Errorf("%d events named something: the test tests nothing", n)
	}
}

func TestEntities(t *testing.T) {
	snapshot := string(NewSnapshot([]byte("250-version=0.4.9.11\r\n250+circuit-status=\r\n7 BUILT $A~a\r\n250 LAUNCHED\r\n..9 BUILT\r\n.\r\n250-stream-status=12 SUCCEEDED 7 a:1\r\n250+orconn-status=\r\n88 CONNECTED\r\n.\r\n250 OK\r\n")).Format())
	for _, c := range []struct{ wire, circuits, streams string }{
		{"650 CIRC 42 LAUNCHED PURPOSE=GENERAL\r\n", "42", ""},
		{"650 CIRC_MINOR 42 PURPOSE_CHANGED $A~a\r\n", "42", ""},
		{"650 CIRC_BW ID=42 READ=1 WRITTEN=2\r\n", "42", ""},
		{"650 CELL_STATS ID=42 OutboundQueue=1\r\n", "42", ""},
		{"650 CELL_STATS InboundQueue=1 InboundConn=2\r\n", "", ""},
		{"650 STREAM 7 NEW 0 a.b:80 PURPOSE=USER\r\n", "0", "7"},
		{"650 STREAM 7 SUCCEEDED 42 a.b:80\r\n", "42", "7"},
		{"650 STREAM 7 \"A 9 B\" 42 a.b:80\r\n", "\"A,9", "7"},
		{"650 STREAM_BW 7 1 2 2026-11-23T08:45:46.724619\r\n", "", "7"},
		{"650 ADDRMAP a.b 1.2.3.4 NEVER STREAMID=7\r\n", "", "7"},
		{"650 BW 42 7\r\n", "", ""},
		{"650 ORCONN a.b:1 CONNECTED ID=42\r\n", "", ""},
		{"650 CIRC\r\n", "", ""},
		{"650 CIRC  42 LAUNCHED\r\n", "", ""},
		{"650 NOTICE CIRC 42\r\n", "", ""},
		{snapshot, "7,250,.9,7", "12"},
		{"650 JOURNAL COMMAND VERB=CLOSECIRCUIT ARGS=42\r\n", "", ""},
	} {
		circuits, streams := named([]byte(c.wire))
		if got := strings.Join(circuits, ","); got != c.circuits {
			t.Errorf("%q: circuits %q, want %q", c.wire, got, c.circuits)
		}
		if got := strings.Join(streams, ","); got != c.streams {
			t.Errorf("%q: streams %q, want %q", c.wire, got, c.streams)
		}
	}
}

func FuzzEntities(f *testing.F) {
	for _, s := range []string{
		"650 CIRC 42 LAUNCHED\r\n", "650 STREAM 7 \"A 9\" 42 a.b:80\r\n", "650 CIRC_BW X=\"a ID=3\" ID=4 READ=1 WRITTEN=2\r\n",
		"650 ADDRMAP a.b 1.2.3.4 NEVER STREAMID=\"7 8\"\r\n", "650+CIRC 42 BUILT\r\nx\r\n.\r\n650 OK\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) { checkNamed(t, wire) })
}
