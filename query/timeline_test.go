package query

import (
	"fmt"
	"strings"
	"testing"

	"torjournal/journal"
)

// line returns a timeline in short: what of which record, and what it says.
func line(t *testing.T, m *memory, r journal.Range, id string, stream bool, part Part) (text string, also []uint64) {
	t.Helper()
	var b strings.Builder
	l := &timeline{walker: walker{src: m}, r: r, id: id, stream: stream, part: part, emit: func(s *Step) error {
		fmt.Fprintf(&b, "%d %s", s.Seq, s.Type)
		if s.What != "" {
			b.WriteString(" " + s.What)
		}
		if s.HopMS != nil {
			fmt.Fprintf(&b, " %d:%dms", s.Hop, *s.HopMS)
		}
		if s.ReadBytes != nil {
			fmt.Fprintf(&b, " %d/%d", *s.ReadBytes, *s.WrittenBytes)
		}
		b.WriteString("\n")
		return nil
	}}
	answer, err := l.tell(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), answer.Also
}

func TestCircuitTimelines(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 7 LAUNCHED
		08:00:01 CIRC 7 CLOSED REASON=FINISHED
		08:00:02 CIRC 77 LAUNCHED
		session 2
		08:01:00 ORCONN $`+strings.Repeat("A", 40)+`~a CONNECTED ID=1
		08:01:01 CIRC 7 LAUNCHED
		08:01:02 CIRC 7 EXTENDED $`+strings.Repeat("A", 40)+`~a
		08:01:02 ORCONN $`+strings.Repeat("B", 40)+`~b CONNECTED ID=2
		08:01:03 CIRC_BW ID=7 READ=1 WRITTEN=2
		08:01:04 CIRC_BW ID=77 READ=100 WRITTEN=200
		08:01:05 CIRC_BW ID=7 READ=3 WRITTEN=4
		08:01:06 CIRC 7 FAILED $`+strings.Repeat("A", 40)+`~a REASON=TIMEOUT
		08:01:07 NOTICE near
		08:01:08 CIRC_BW ID=7 READ=5 WRITTEN=6
		08:01:12 NOTICE far
		08:03:00 CIRC_BW ID=7 READ=7 WRITTEN=8
		08:04:00 CIRC 7 LAUNCHED
		08:04:01 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 VERB=CLOSECIRCUIT ARGS=7
		08:04:02 JOURNAL COMMAND PHASE=SENT CONN=2 N=1 VERB=CLOSECIRCUIT ARGS=77
		08:04:02 JOURNAL COMMAND PHASE=DONE CONN=2 N=1 VERB=CLOSECIRCUIT CODE=250
		08:04:02 JOURNAL COMMAND PHASE=SENT CONN=2 N=2 VERB=SIGNAL ARGS=7
		08:04:03 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=CLOSECIRCUIT CODE=552
		08:04:04 SNAPSHOT 7 EXTENDED $A | 8 BUILT
		08:04:05 WARN still open
		08:04:06 JOURNAL COMMAND PHASE=SENT CONN=2 N=3 VERB=EXTENDCIRCUIT ARGS=0
		08:04:07 JOURNAL COMMAND PHASE=DONE CONN=2 N=3 VERB=EXTENDCIRCUIT CODE=250 MS=1.000 CIRCUIT=77
		08:04:08 JOURNAL COMMAND PHASE=DONE CONN=2 N=4 VERB=EXTENDCIRCUIT CODE=250 MS=1.000 CIRCUIT=7
	`)
	f := func(name string, r journal.Range, part Part, want string, wantAlso ...uint64) {
		t.Helper()
		got, also := line(t, m, r, "7", false, part)
		want = strings.ReplaceAll(strings.TrimSpace(want), "\t", "") + "\n"
		if got != want || fmt.Sprint(also) != fmt.Sprint(wantAlso) {
			t.Errorf("%s: also %v\n--- got\n%s--- want\n%s", name, also, got, want)
		}
	}
	f("the newest life of that ID, which is open", journal.Range{}, Part{}, `
		16 CIRC LAUNCHED
		17 JOURNAL COMMAND
		21 JOURNAL ANSWER
		22 JOURNAL SNAPSHOT
		23 WARN
		26 JOURNAL ANSWER`, 1)
	f("the one before it, with what came late", journal.Range{Until: clock(t, "08:01:30"), Session: 2}, Part{}, `
		4 ORCONN CONNECTED
		5 CIRC LAUNCHED
		6 CIRC EXTENDED 1:1000ms
		10 CIRC_BW bytes 4/6
		11 CIRC FAILED
		12 NOTICE
		13 CIRC_BW bytes 5/6`)
	f("session 1", journal.Range{Session: 1}, Part{}, `
		1 CIRC LAUNCHED
		2 CIRC CLOSED`)
	f("a part", journal.Range{}, Part{After: &Place{At: 17}}, `
		21 JOURNAL ANSWER
		22 JOURNAL SNAPSHOT
		23 WARN
		26 JOURNAL ANSWER`, 1)
	if got, _ := line(t, m, journal.Range{}, "9", false, Part{}); got != "" {
		t.Errorf("of none: %s", got)
	}
	if got, _ := line(t, &memory{}, journal.Range{}, "9", false, Part{}); got != "" {
		t.Errorf("of an empty journal: %s", got)
	}
}

func TestStreamTimelines(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 7 BUILT $A
		08:00:01 STREAM 5 NEW 0 a:80
		08:00:02 STREAM 5 SENTCONNECT 7 a:80
		08:00:03 CIRC 7 FAILED $A REASON=DESTROYED
		08:00:04 STREAM 5 DETACHED 7 a:80 REASON=DESTROY
		08:00:05 CIRC 8 CLOSED $B REASON=FINISHED
		08:00:06 CIRC 9 BUILT $C
		08:00:07 STREAM 5 SENTCONNECT 9 a:80
		08:00:08 STREAM_BW 5 2 1
		08:00:09 STREAM 6 NEW 0 a:80
		08:00:10 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 VERB=CLOSESTREAM ARGS="5 1"
		08:00:11 STREAM 5 CLOSED 9 a:80 REASON=DONE
	`)
	want := `2 STREAM NEW
3 STREAM SENTCONNECT
4 CIRC FAILED
5 STREAM DETACHED
7 CIRC BUILT
8 STREAM SENTCONNECT
9 STREAM_BW bytes 1/2
11 JOURNAL COMMAND
12 STREAM CLOSED
`
	if got, _ := line(t, m, journal.Range{}, "5", true, Part{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
