package query

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wantRows compares rows with lines in which times stand for day.
func wantRows(t *testing.T, name, got string, want ...string) {
	t.Helper()
	got = strings.ReplaceAll(got, day, "")
	text := strings.Join(want, "\n")
	if len(want) > 0 {
		text += "\n"
	}
	if got != text {
		t.Errorf("%s\n--- got\n%s--- want\n%s", name, got, text)
	}
}

func TestCircuitLives(t *testing.T) {
	f := func(name, lines string, want ...string) {
		t.Helper()
		wantRows(t, name, circuitRows(t, story(t, lines), journal.Range{}), want...)
	}
	f("the usual life", `
		08:00:00 CIRC 1 LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.990000
		08:00:00.5 CIRC 1 EXTENDED $A~a BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.990000
		08:00:01 CIRC 1 EXTENDED $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.990000
		08:00:01.2345 CIRC 1 BUILT $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.990000
		08:00:02 STREAM 5 NEW 0 example.org:80 PURPOSE=USER
		08:00:02 STREAM 5 SENTCONNECT 1 example.org:80
		08:00:03 STREAM 5 SUCCEEDED 1 example.org:80
		08:00:04 CIRC_BW ID=1 READ=100 WRITTEN=10
		08:00:05 STREAM 5 CLOSED 1 example.org:80 REASON=DONE
		08:00:09 CIRC 1 CLOSED $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.990000 REASON=FINISHED
		08:00:10 CIRC_BW ID=1 READ=11 WRITTEN=1
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:01.234500Z","closed":"08:00:09.000000Z","status":"CLOSED","outcome":"built","purpose":"GENERAL","build_flags":"NEED_CAPACITY","path":["$A~a","$B~b"],"build_ms":1234,"life_ms":9000,"reason":"FINISHED","streams":1,"read_bytes":111,"written_bytes":11}`)

	f("still building; nothing tells of streams or bytes", `
		08:00:00 CIRC 1 LAUNCHED PURPOSE=GENERAL
		08:00:01 CIRC 1 EXTENDED $A~a PURPOSE=GENERAL
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","status":"EXTENDED","outcome":"building","purpose":"GENERAL","path":["$A~a"]}`)

	f("failed", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 FAILED $A~a REASON=DESTROYED REMOTE_REASON=CONNECTFAILED
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","closed":"08:00:01.000000Z","status":"FAILED","outcome":"failed","path":["$A~a"],"life_ms":1000,"reason":"DESTROYED","remote_reason":"CONNECTFAILED"}`)

	f("timed out, measured on, closed", `
		08:00:00 CIRC 1 LAUNCHED PURPOSE=GENERAL
		08:00:01 CIRC 1 FAILED $A~a PURPOSE=GENERAL REASON=TIMEOUT
		08:00:01 CIRC_MINOR 1 PURPOSE_CHANGED $A~a PURPOSE=MEASURE_TIMEOUT OLD_PURPOSE=GENERAL
		08:00:02 CIRC 1 EXTENDED $A~a,$B~b PURPOSE=MEASURE_TIMEOUT
		08:00:03 CIRC 1 BUILT $A~a,$B~b PURPOSE=MEASURE_TIMEOUT
		08:00:03 CIRC 1 CLOSED $A~a,$B~b PURPOSE=MEASURE_TIMEOUT REASON=FINISHED
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:03.000000Z","closed":"08:00:03.000000Z","status":"CLOSED","outcome":"failed","purpose":"MEASURE_TIMEOUT","path":["$A~a","$B~b"],"build_ms":3000,"life_ms":3000,"reason":"TIMEOUT"}`)

	f("timed out and still measured", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 FAILED REASON=TIMEOUT
		08:00:02 CIRC 1 EXTENDED $A~a
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","status":"EXTENDED","outcome":"failed","path":["$A~a"],"reason":"TIMEOUT"}`)

	f("cannibalized: the first BUILT counts, the last path", `
		08:00:00 CIRC 1 LAUNCHED PURPOSE=GENERAL
		08:00:01 CIRC 1 BUILT $A~a,$B~b PURPOSE=GENERAL
		08:05:00 CIRC_MINOR 1 CANNIBALIZED $A~a,$B~b PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING OLD_PURPOSE=GENERAL OLD_TIME_CREATED=2026-11-23T08:00:00.000000 TIME_CREATED=2026-11-23T08:05:00.000000
		08:05:01 CIRC 1 EXTENDED $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING
		08:05:02 CIRC 1 BUILT $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:01.000000Z","status":"BUILT","outcome":"open","purpose":"HS_CLIENT_INTRO","hs_state":"HSCI_CONNECTING","path":["$A~a","$B~b","$C~c"],"build_ms":1000}`)

	f("built and failed when extended again", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 BUILT $A
		08:05:01 CIRC 1 EXTENDED $A,$B
		08:05:02 CIRC 1 FAILED $A,$B REASON=TIMEOUT
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:01.000000Z","closed":"08:05:02.000000Z","status":"FAILED","outcome":"failed","path":["$A","$B"],"build_ms":1000,"life_ms":302000,"reason":"TIMEOUT"}`)

	f("closed, but BUILT is not in the record", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:02 CIRC 1 GUARD_WAIT $A
		08:00:09 CIRC 1 CLOSED $A REASON=REQUESTED
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","closed":"08:00:09.000000Z","status":"CLOSED","outcome":"closed","path":["$A"],"life_ms":9000,"reason":"REQUESTED"}`)

	f("only its end is in the record", `
		08:00:00 BW 1 2
		08:00:01 CIRC_BW ID=9 READ=5 WRITTEN=6
		08:00:02 CIRC 9 CLOSED $A TIME_CREATED=2026-11-23T07:00:00.250000 REASON=FINISHED
	`, `{"session":1,"id":"9","launched":"07:00:00.250000Z","closed":"08:00:02.000000Z","status":"CLOSED","outcome":"closed","path":["$A"],"life_ms":3601750,"reason":"FINISHED","read_bytes":5,"written_bytes":6}`)

	f("no CIRC event, no row", `
		08:00:01 CIRC_BW ID=9 READ=5 WRITTEN=6
		08:00:02 CIRC_MINOR 9 PURPOSE_CHANGED $A PURPOSE=GENERAL
		08:00:03 STREAM 1 SENTCONNECT 9 example.org:80
	`)

	f("the clock was put back meanwhile: times, but no lengths", `
		08:00:05 CIRC 1 LAUNCHED
		08:00:02 CIRC 1 BUILT $A
		08:00:03 CIRC 1 CLOSED $A REASON=FINISHED
	`, `{"session":1,"id":"1","launched":"08:00:05.000000Z","built":"08:00:02.000000Z","closed":"08:00:03.000000Z","status":"CLOSED","outcome":"built","path":["$A"],"reason":"FINISHED"}`)

	f("what is said twice, and what is left out", `
		08:00:00 CIRC 1 LAUNCHED BUILD_FLAGS=NEED_UPTIME PURPOSE=GENERAL HS_STATE=HSCI_DONE
		08:00:01 CIRC 1 LAUNCHED
		08:00:02 CIRC 1 EXTENDED $A,$B
		08:00:03 CIRC 1 EXTENDED $A
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","status":"EXTENDED","outcome":"building","purpose":"GENERAL","hs_state":"HSCI_DONE","build_flags":"NEED_UPTIME","path":["$A"]}`)

	f("an ID that begins again", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 CLOSED REASON=FINISHED
		08:00:02 CIRC 1 LAUNCHED
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","closed":"08:00:01.000000Z","status":"CLOSED","outcome":"closed","life_ms":1000,"reason":"FINISHED"}`,
		`{"session":1,"id":"1","launched":"08:00:02.000000Z","status":"LAUNCHED","outcome":"building"}`)

	f("a line that cannot be read", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00 CIRC
		08:00:00 CIRC_BW READ=x
		08:00:01 CIRC 1 BUILT $A
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:01.000000Z","status":"BUILT","outcome":"open","path":["$A"],"build_ms":1000}`)
}

func TestStreamsOfCircuits(t *testing.T) {
	got := circuitRows(t, story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00 CIRC 2 LAUNCHED
		08:00:00 CIRC 3 LAUNCHED
		08:00:01 STREAM 5 SENTCONNECT 1 a:80
		08:00:02 STREAM 5 DETACHED 1 a:80 REASON=TIMEOUT
		08:00:03 STREAM 5 SENTCONNECT 2 a:80
		08:00:04 STREAM 5 DETACHED 2 a:80 REASON=TIMEOUT
		08:00:05 STREAM 5 SENTCONNECT 1 a:80
		08:00:06 STREAM 5 FAILED 1 a:80 REASON=TIMEOUT
		08:00:06 STREAM 5 CLOSED 1 a:80 REASON=TIMEOUT
		08:00:07 STREAM 6 SENTCONNECT 1 b:80
		08:00:08 STREAM 7 NEW 0 c:80
		08:00:08 STREAM 7 CLOSED 0 c:80 REASON=TIMEOUT
	`), journal.Range{})
	wantRows(t, "distinct streams", got,
		`{"session":1,"id":"1","launched":"08:00:00.000000Z","status":"LAUNCHED","outcome":"building","streams":2}`,
		`{"session":1,"id":"2","launched":"08:00:00.000000Z","status":"LAUNCHED","outcome":"building","streams":1}`,
		`{"session":1,"id":"3","launched":"08:00:00.000000Z","status":"LAUNCHED","outcome":"building","streams":0}`)
}

// Another session's streams have the same IDs.
func TestStreamsOfSessions(t *testing.T) {
	got := circuitRows(t, story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 STREAM 5 SENTCONNECT 1 a:80
		session 2
		08:01:00 CIRC 1 LAUNCHED
		08:01:01 STREAM 5 SENTCONNECT 1 a:80
	`), journal.Range{})
	if n := strings.Count(got, `"streams":1`); n != 2 {
		t.Error(got)
	}
}

func TestSessionsOfCircuits(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 BUILT $A
		08:00:02 CIRC 2 LAUNCHED
		08:00:05 JOURNAL SOURCE_LOST
		session 2
		08:00:20 CIRC 1 LAUNCHED
		08:00:20 JOURNAL SOURCE_RESTORED
		08:00:21 CIRC 1 BUILT $B
	`)
	first := []string{
		`{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:01.000000Z","status":"BUILT","outcome":"lost","path":["$A"],"build_ms":1000}`,
		`{"session":1,"id":"2","launched":"08:00:02.000000Z","status":"LAUNCHED","outcome":"lost"}`,
	}
	second := `{"session":2,"id":"1","launched":"08:00:20.000000Z","built":"08:00:21.000000Z","status":"BUILT","outcome":"open","path":["$B"],"build_ms":1000}`
	wantRows(t, "both", circuitRows(t, m, journal.Range{}), append(first[:2:2], second)...)
	wantRows(t, "the first", circuitRows(t, m, journal.Range{Session: 1}), first...)
	wantRows(t, "the second", circuitRows(t, m, journal.Range{Session: 2}), second)
	wantRows(t, "the third", circuitRows(t, m, journal.Range{Session: 3}))
	wantRows(t, "what was lost before", circuitRows(t, m, journal.Range{Since: clock(t, "08:00:06")}), second)
	wantRows(t, "lost is known although reading ends before", circuitRows(t, m, journal.Range{Until: clock(t, "08:00:01.5")}), first[0])
}

func TestSnapshotsOfCircuits(t *testing.T) {
	f := func(name, lines string, want ...string) {
		t.Helper()
		wantRows(t, name, circuitRows(t, story(t, lines), journal.Range{}), want...)
	}
	f("attached late", `
		08:00:00 SNAPSHOT 3 BUILT $A~a,$B~b BUILD_FLAGS=NEED_UPTIME PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:00:00.000000 | 4 EXTENDED $A~a PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.000000
		08:00:01 CIRC 4 BUILT $A~a,$C~c PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.000000
		08:00:02 CIRC 3 CLOSED $A~a,$B~b PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:00:00.000000 REASON=FINISHED
	`,
		`{"session":1,"id":"3","launched":"07:00:00.000000Z","closed":"08:00:02.000000Z","status":"CLOSED","outcome":"built","purpose":"GENERAL","build_flags":"NEED_UPTIME","path":["$A~a","$B~b"],"life_ms":3602000,"reason":"FINISHED"}`,
		`{"session":1,"id":"4","launched":"07:59:59.000000Z","built":"08:00:01.000000Z","status":"BUILT","outcome":"open","purpose":"GENERAL","path":["$A~a","$C~c"]}`)
	f("one circuit, named by nothing else", `
		08:00:00 SNAPSHOT 3 BUILT $A~a
	`, `{"session":1,"id":"3","status":"BUILT","outcome":"open","path":["$A~a"]}`)
	f("it holds already what events say", `
		08:00:00 CIRC 3 LAUNCHED
		08:00:00.1 SNAPSHOT 3 BUILT $A | 4 LAUNCHED
		08:00:00.2 CIRC 3 BUILT $A
		08:00:00.3 CIRC 4 LAUNCHED
	`, `{"session":1,"id":"3","launched":"08:00:00.000000Z","built":"08:00:00.200000Z","status":"BUILT","outcome":"open","path":["$A"],"build_ms":200}`,
		`{"session":1,"id":"4","launched":"08:00:00.300000Z","status":"LAUNCHED","outcome":"building"}`)
	f("built before the record, extended later: no BUILT of it is the first", `
		08:00:00 SNAPSHOT 3 BUILT $A
		08:01:00 CIRC 3 EXTENDED $A,$B
		08:01:01 CIRC 3 BUILT $A,$B
	`, `{"session":1,"id":"3","status":"BUILT","outcome":"open","path":["$A","$B"]}`)
	f("attached again to the same life: what is gone ended unseen", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 BUILT $A
		08:00:01 CIRC 2 LAUNCHED
		08:00:01 CIRC 3 LAUNCHED
		08:00:05 JOURNAL SOURCE_LOST
		08:10:00 JOURNAL SOURCE_RESTORED
		08:10:00 SNAPSHOT 2 BUILT $B
		08:10:01 CIRC 3 FAILED REASON=TIMEOUT
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","built":"08:00:01.000000Z","status":"BUILT","outcome":"lost","path":["$A"],"build_ms":1000}`,
		`{"session":1,"id":"2","launched":"08:00:01.000000Z","status":"BUILT","outcome":"open","path":["$B"]}`,
		`{"session":1,"id":"3","launched":"08:00:01.000000Z","closed":"08:10:01.000000Z","status":"FAILED","outcome":"failed","life_ms":600000,"reason":"TIMEOUT"}`)
	f("an empty one: all are gone", `
		08:00:00 CIRC 1 LAUNCHED
		08:10:00 SNAPSHOT
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","status":"LAUNCHED","outcome":"lost"}`)
	f("what it lacks may yet be heard of", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 SNAPSHOT
		08:00:02 CIRC 1 EXTENDED $A
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","status":"EXTENDED","outcome":"building","path":["$A"]}`)
	f("cannibalized after it: the older time counts", `
		08:00:00 SNAPSHOT 3 BUILT $A
		08:01:00 CIRC_MINOR 3 CANNIBALIZED $A PURPOSE=GENERAL OLD_PURPOSE=HS_VANGUARDS OLD_TIME_CREATED=2026-11-23T07:00:00.000000 TIME_CREATED=2026-11-23T08:01:00.000000
	`, `{"session":1,"id":"3","launched":"07:00:00.000000Z","status":"BUILT","outcome":"open","purpose":"GENERAL","path":["$A"]}`)
	f("it does not raise the dead", `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 CLOSED REASON=FINISHED
		08:00:01 SNAPSHOT 1 BUILT $A
	`, `{"session":1,"id":"1","launched":"08:00:00.000000Z","closed":"08:00:01.000000Z","status":"CLOSED","outcome":"closed","life_ms":1000,"reason":"FINISHED"}`)
}

func TestRangeOfCircuits(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00 CIRC 2 LAUNCHED
		08:00:00 CIRC 3 LAUNCHED
		08:00:10 CIRC 1 CLOSED REASON=FINISHED
		08:00:20 CIRC 4 LAUNCHED
		08:00:30 CIRC 4 FAILED REASON=TIMEOUT
		08:00:40 CIRC 5 LAUNCHED
		08:00:50 CIRC 2 CLOSED REASON=FINISHED
		08:00:51 CIRC_BW ID=2 READ=1 WRITTEN=2
		08:01:00 CIRC 4 BUILT $A
		08:01:01 CIRC 4 CLOSED REASON=FINISHED
		08:01:30 BW 1 1
		09:00:00 CIRC 6 LAUNCHED
	`)
	f := func(since, until string, want ...string) {
		t.Helper()
		var r journal.Range
		if since != "" {
			r.Since = clock(t, since)
		}
		if until != "" {
			r.Until = clock(t, until)
		}
		var got []string
		_, err := circuits(t.Context(), m, r, CircuitPick{}, Part{}, func(c *Circuit) error {
			got = append(got, c.ID+c.Status)
			if c.ID == "2" && (c.ReadBytes == nil || *c.ReadBytes != 1) {
				t.Errorf("%s to %s: circuit 2 lacks the bytes after its end", since, until)
			}
			return nil
		})
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s to %s: %v, %v, want %v", since, until, got, err, want)
		}
	}
	f("", "", "1CLOSED", "2CLOSED", "3LAUNCHED", "4CLOSED", "5LAUNCHED", "6LAUNCHED")
	f("08:00:10", "", "1CLOSED", "2CLOSED", "3LAUNCHED", "4CLOSED", "5LAUNCHED", "6LAUNCHED")
	f("08:00:10.1", "", "2CLOSED", "3LAUNCHED", "4CLOSED", "5LAUNCHED", "6LAUNCHED")
	f("08:00:32", "08:00:35", "2CLOSED", "3LAUNCHED", "4CLOSED") // alive, but silent; its end and its measuring follow
	f("", "08:00:10", "1CLOSED", "2CLOSED", "3LAUNCHED")
	f("", "08:00:00.1", "1CLOSED", "2CLOSED", "3LAUNCHED")
	f("", "08:00:00")
	f("08:30:00", "08:40:00", "3LAUNCHED", "5LAUNCHED")
	f("09:00:01", "") // the journal has nothing there
	f("10:00:00", "11:00:00")
}

// What follows an end is waited for, although no circuit stands any more.
func TestCircuitsAreTheirWholeLives(t *testing.T) {
	got := circuitRows(t, story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00 CIRC 2 LAUNCHED
		08:00:10 CIRC 1 FAILED REASON=TIMEOUT
		08:01:00 CIRC 2 CLOSED REASON=FINISHED
		08:01:01 BW 1 1
		08:01:02 CIRC_BW ID=2 READ=1 WRITTEN=2
		08:05:00 BW 1 1
		08:08:00 CIRC 1 CLOSED REASON=FINISHED
	`), journal.Range{Until: clock(t, "08:00:11")})
	wantRows(t, "to the end", got,
		`{"session":1,"id":"1","launched":"08:00:00.000000Z","closed":"08:08:00.000000Z","status":"CLOSED","outcome":"failed","life_ms":480000,"reason":"TIMEOUT","read_bytes":0,"written_bytes":0}`,
		`{"session":1,"id":"2","launched":"08:00:00.000000Z","closed":"08:01:00.000000Z","status":"CLOSED","outcome":"closed","life_ms":60000,"reason":"FINISHED","read_bytes":1,"written_bytes":2}`)
}

func TestCircuitsGoneBeforeTheRange(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:00 CIRC 2 LAUNCHED
		08:10:00 SNAPSHOT 2 BUILT $A
		08:20:00 BW 1 1
	`)
	got := circuitRows(t, m, journal.Range{Since: clock(t, "08:15:00")})
	wantRows(t, "one is lost", got, `{"session":1,"id":"2","launched":"08:00:00.000000Z","status":"BUILT","outcome":"open","path":["$A"]}`)
}

// Circuits that are over before the range cost no memory; those that are only
// named so far are not forgotten with them.
func TestCircuitsBeforeTheRangeAreForgotten(t *testing.T) {
	var b strings.Builder
	b.WriteString("08:00:00 CIRC_BW ID=9 READ=7 WRITTEN=7\n")
	for range 1000 {
		b.WriteString("08:00:00 CIRC 2 LAUNCHED\n08:00:00 CIRC 2 CLOSED REASON=FINISHED\n")
	}
	b.WriteString("09:00:00 CIRC 9 LAUNCHED\n")
	w := newCircuitWalk(story(t, b.String()), journal.Range{Since: clock(t, "08:30:00")}, Part{})
	err := w.read(t.Context())
	if standing := len(slices.Collect(w.roll.lives())); err != nil || len(w.all) > 3 || standing != 1 {
		t.Errorf("%d circuits kept, %d of them standing; %v", len(w.all), standing, err)
	}
	if l := w.all[0]; l.id != "9" || l.read != 7 || !w.belongs(l) {
		t.Errorf("kept %+v", l)
	}
}

// A stream that comes late to a circuit that was let go keeps nothing of the line
// that says so.
func TestLateStreamsOfCircuitsKeepNoLine(t *testing.T) {
	m := story(t, "08:00:00 CIRC 17 LAUNCHED\n08:00:01 CIRC 17 CLOSED REASON=FINISHED\n08:00:02 STREAM 3 DETACHED 17 a:1\n")
	w := newCircuitWalk(m, journal.Range{}, Part{})
	w.wanted = func(*life) bool { return false }
	if err := w.read(t.Context()); err != nil || !slices.Equal(w.streams["3"], []string{"17"}) {
		t.Errorf("the stream was on %q; %v", w.streams["3"], err)
	}
}

// The range ends reading once nothing more can belong to it …
func TestCircuitsEndEarly(t *testing.T) {
	var b strings.Builder
	b.WriteString("08:00:00 CIRC 1 LAUNCHED\n08:00:05 CIRC 1 CLOSED REASON=FINISHED\n")
	for range 1000 {
		b.WriteString("09:00:00 CIRC 2 LAUNCHED\n09:00:00 CIRC 2 CLOSED REASON=FINISHED\n")
	}
	m := story(t, b.String())
	if got := strings.Count(circuitRows(t, m, journal.Range{Until: clock(t, "08:30:00")}), "\n"); got != 1 || m.read > 10 {
		t.Errorf("%d rows, %d records read", got, m.read)
	}
}

// … and does not wait for what becomes of a circuit that timed out if its ID has
// begun again.
func TestCircuitsDoNotWaitForAnIDThatBeganAgain(t *testing.T) {
	var b strings.Builder
	b.WriteString("08:00:00 CIRC 1 LAUNCHED\n08:00:05 CIRC 1 FAILED REASON=TIMEOUT\n")
	b.WriteString("08:00:06 CIRC 1 LAUNCHED\n08:00:07 CIRC 1 CLOSED REASON=FINISHED\n")
	for range 1000 {
		b.WriteString("08:05:00 CIRC 2 LAUNCHED\n08:05:00 CIRC 2 CLOSED REASON=FINISHED\n")
	}
	m := story(t, b.String())
	if got := strings.Count(circuitRows(t, m, journal.Range{Until: clock(t, "08:00:30")}), "\n"); got != 2 || m.read > 10 {
		t.Errorf("%d rows, %d records read", got, m.read)
	}
}

// The range also ends where the clock was put back after it, without asking the index
// again for every record.
func TestCircuitsAfterTheClockWasPutBack(t *testing.T) {
	var b strings.Builder
	b.WriteString("07:59:00 CIRC 1 LAUNCHED\n08:00:05 CIRC 1 BUILT $A\n07:59:30 CIRC 1 CLOSED REASON=FINISHED\n")
	for range 1000 {
		b.WriteString("09:00:00 CIRC 2 LAUNCHED\n09:00:00 CIRC 2 CLOSED REASON=FINISHED\n")
	}
	b.WriteString("09:00:02 CIRC 3 LAUNCHED\n08:00:10 CIRC 3 CLOSED REASON=FINISHED\n08:00:11 CIRC 4 LAUNCHED\n")
	m := story(t, b.String())
	var got []string
	r := journal.Range{Since: clock(t, "08:00:00"), Until: clock(t, "08:30:00")}
	_, err := circuits(t.Context(), m, r, CircuitPick{}, Part{}, func(c *Circuit) error {
		got = append(got, c.ID)
		return nil
	})
	if err != nil || strings.Join(got, " ") != "1 3 4" || m.read > 2020 {
		t.Errorf("%v, %d records read, %v", got, m.read, err)
	}
}

func TestCircuitsTellGaps(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:01 CIRC 1 BUILT $A
		08:00:02 CIRC 1 CLOSED REASON=FINISHED
	`)
	m.gaps = map[uint64]bool{2: true}
	n := 0
	gaps, err := circuits(t.Context(), m, journal.Range{}, CircuitPick{}, Part{}, func(*Circuit) error { n++; return nil })
	if err != nil || n != 1 || len(gaps) != 1 || gaps[0] != (journal.Gap{From: 2, To: 2}) {
		t.Errorf("%d rows, gaps %v, %v", n, gaps, err)
	}
}

func TestCircuitsOfNothing(t *testing.T) {
	wantRows(t, "empty journal", circuitRows(t, &memory{}, journal.Range{}))
	wantRows(t, "no session", circuitRows(t, story(t, "session 0\n08:00:00 CIRC 1 LAUNCHED"), journal.Range{}),
		`{"session":0,"id":"1","launched":"08:00:00.000000Z","status":"LAUNCHED","outcome":"building"}`)
}

func TestCircuitsEndWithErrors(t *testing.T) {
	m := story(t, "08:00:00 CIRC 1 LAUNCHED\n08:00:00 CIRC 2 LAUNCHED")
	stop := errors.New("enough")
	if _, err := circuits(t.Context(), m, journal.Range{}, CircuitPick{}, Part{}, func(*Circuit) error { return stop }); err != stop {
		t.Errorf("emit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := circuits(ctx, m, journal.Range{}, CircuitPick{}, Part{}, func(*Circuit) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("context: %v", err)
	}
}

func TestCircuitIs(t *testing.T) {
	c := &Circuit{Status: "CLOSED", Outcome: Failed}
	for word, want := range map[string]bool{"closed": true, "FAILED": true, "failed": true, "built": false, "": false} {
		if c.Is(word) != want {
			t.Errorf("Is(%q) = %v", word, !want)
		}
	}
}

func TestGoldenRows(t *testing.T) {
	f := func(name, file string) {
		t.Helper()
		if _, err := os.Stat(file); err != nil {
			t.Logf("%s is not here", file)
			return
		}
		m := corpus(t, file)
		golden(t, name+".circuits.jsonl", circuitRows(t, m, journal.Range{}))
		golden(t, name+".bandwidth.jsonl", bandwidthRows(t, m, journal.Range{}, 10*time.Second))
	}
	f("client-sample", "../testdata/corpus/client.jsonl")
	f("relay", "../../shared/corpus/relay.jsonl.zst")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what is computed; if that is right, run go test ./query -update", file)
	}
}
