package query

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

const summaryStory = `
	08:00:00 JOURNAL START SESSION=1 VERSION=0.4.9.11
	08:00:00 GUARD ENTRY $A~alpha NEW
	08:00:01 GUARD ENTRY $A~alpha UP
	08:00:01 GUARD ENTRY $B~beta GOOD_L2
	08:00:01 BW 100 10
	08:00:02 CIRC 1 LAUNCHED PURPOSE=GENERAL
	08:00:03 CIRC 1 BUILT $A~alpha,$B~beta PURPOSE=GENERAL
	08:00:04 CIRC 2 LAUNCHED PURPOSE=GENERAL
	08:00:05 CIRC 2 FAILED $A~alpha PURPOSE=GENERAL REASON=TIMEOUT
	08:00:06 CIRC 2 BUILT $A~alpha,$B~beta PURPOSE=MEASURE_TIMEOUT
	08:00:06 WARN Port 9001 is busy.
	08:00:07 WARN Port 9002 is busy.
	08:00:08 ERR This is the end.
	08:00:09 BW 300 30
	08:00:10 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=9
	08:00:30 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=20000
	08:00:40 JOURNAL DROPPED TYPES=DEBUG COUNT=7
	08:00:50 JOURNAL JOURNALED COUNT=12 TYPES=CIRC SINCE=2026-11-23T08:00:45.000000Z ERROR="no space left on device"
	08:01:00 BW 200 20
	session 2
	08:02:00 JOURNAL START SESSION=2 VERSION=0.4.9.12
	08:02:01 JOURNAL STOP PID=7
`

func summaryRows(t testing.TB, src source, r journal.Range) string {
	t.Helper()
	return rows(t, func(emit func(*Summary) error) ([]journal.Gap, error) {
		return summarize(t.Context(), src, r, Part{}, emit)
	})
}

func TestSummary(t *testing.T) {
	m := story(t, summaryStory)
	got := summaryRows(t, m, journal.Range{})
	var kept []string
	steps := 0
	for line := range strings.Lines(got) {
		if strings.Contains(line, `"what":"step"`) {
			steps++
			continue
		}
		if strings.Contains(line, `"what":"outage"`) {
			continue // see TestSummaryAgreesWithQuestions
		}
		kept = append(kept, line)
	}
	if steps != 13 { // of ten seconds
		t.Errorf("%d steps", steps)
	}
	failure := `"circuits":2,"failed":1,"rate":0.5,"rate_low":0.0945,"rate_high":0.9055,"last_time":"08:00:05.000000Z","last_session":1,"last_id":"2","last_reason":"TIMEOUT"}}`
	wantRows(t, "all", strings.Join(kept, ""),
		`{"what":"range","first":"08:00:00.000000Z","last":"08:02:01.000000Z","records":21,"sessions":2}`,
		`{"what":"bandwidth","bandwidth":{"time":"08:00:00.000000Z","until":"08:02:10.000000Z","step_s":10,"steps":13,"unknown":11,"seconds":3,"read_bytes":600,"written_bytes":60,"mean_read":200,"mean_written":20,"peak_read":300,"peak_written":30,"p95_read":200,"p95_written":20}}`,
		`{"what":"circuits","count":2,"built":1,"failed":1,"failed_late":1,"failed_built":0}`,
		`{"what":"reason","failure":{"by":"reason","reason":"TIMEOUT",`+failure,
		`{"what":"link","failure":{"by":"link","link":["$A~alpha","$B~beta"],`+failure,
		`{"what":"outages","count":3,"length_ms":80000}`,
		`{"what":"guards","count":2,"by":{"NEW":1,"UP":1}}`,
		`{"what":"guard","guard":{"time":"08:00:00.000000Z","relay":"$A~alpha","status":"NEW","record":2}}`,
		`{"what":"guard","guard":{"time":"08:00:01.000000Z","relay":"$A~alpha","status":"UP","record":3}}`,
		`{"what":"warnings","count":3,"kinds":2}`,
		`{"what":"warning","first":"08:00:08.000000Z","last":"08:00:08.000000Z","count":1,"severity":"ERR","text":"This is the end."}`,
		`{"what":"warning","first":"08:00:06.000000Z","last":"08:00:07.000000Z","count":2,"severity":"WARN","text":"Port 9001 is busy."}`,
		`{"what":"gaps","count":5}`,
		`{"what":"gap","gap":{"from":"08:00:45.000000Z","to":"08:00:50.000000Z","cause":"not written","detail":"no space left on device","events":12,"record":18}}`,
		`{"what":"gap","gap":{"from":"08:01:00.000000Z","to":"08:02:00.000000Z","cause":"recorder ended","record":20}}`,
		`{"what":"gap","gap":{"from":"08:02:01.000000Z","cause":"recorder stopped","record":21}}`,
	)

	ask := func(part Part, emit func(Row) error) error {
		_, err := summarize(t.Context(), m, journal.Range{}, part, asRows[*Summary](emit))
		return err
	}
	whole, _ := pages(t, 1<<30, ask)
	if parts, _ := pages(t, 4, ask); parts != whole {
		t.Errorf("in parts:\n%s", firstDifference(parts, whole))
	}
}

// A circuit that stood may be extended to serve something else, and fail then. One
// that takes too long has failed, and may be built all the same: tor goes on to
// measure how long it takes.
func TestSummaryOfCircuitsThatFailLater(t *testing.T) {
	got := summaryRows(t, story(t, `
		08:00:00 SNAPSHOT 7 BUILT $A~a,$B~b,$C~c
		08:00:01 CIRC 1 LAUNCHED
		08:00:02 CIRC 1 BUILT $A~a,$B~b,$C~c
		08:00:03 CIRC 2 LAUNCHED
		08:00:04 CIRC 2 FAILED $A~a REASON=TIMEOUT
		08:00:05 CIRC 2 BUILT $A~a,$B~b,$C~c PURPOSE=MEASURE_TIMEOUT
		08:00:06 CIRC 3 LAUNCHED
		08:00:07 CIRC 3 FAILED $A~a REASON=DESTROYED
		08:00:08 CIRC 4 LAUNCHED
		08:00:09 CIRC 4 BUILT $A~a,$B~b,$C~c
		08:00:10 CIRC 4 EXTENDED $A~a,$B~b,$C~c,$D~d
		08:00:11 CIRC 4 FAILED $A~a,$B~b,$C~c,$D~d REASON=TIMEOUT
		08:00:12 CIRC 7 FAILED $A~a,$B~b,$C~c REASON=DESTROYED
		08:00:13 CIRC 5 LAUNCHED
	`), journal.Range{})
	if want := `{"what":"circuits","count":6,"built":1,"failed":4,"failed_late":1,"failed_built":2}`; !strings.Contains(got, want) {
		t.Errorf("got:\n%swant %s", got, want)
	}
}

// Behind an imported log nothing was recorded until the recorder came; none ended.
func TestSummaryOfARecordBehindAnImportedLog(t *testing.T) {
	m := story(t, `
		08:00:00 BW 1 2
		08:00:01 BW 1 2
		session 2
		09:00:00 JOURNAL START SESSION=2
		09:00:01 BW 1 2
		session 3
		09:10:00 JOURNAL START SESSION=3
		09:10:01 BW 1 2
	`)
	for _, r := range []journal.Range{{}, {Since: clock(t, "08:30:00")}, {Session: 2}, {Session: 3}} {
		want := `{"what":"gaps","count":1}`
		if r.Session == 2 {
			want = `{"what":"gaps","count":0}`
		}
		if got := summaryRows(t, m, r); !strings.Contains(got, want) || strings.Contains(got, `"from":"`+day+"08:00") {
			t.Errorf("%+v:\n%swant %s", r, got, want)
		}
	}
}

// A range has what lies in it, and what lasts into it.
func TestSummaryOfAPart(t *testing.T) {
	m := story(t, summaryStory)
	got := summaryRows(t, m, journal.Range{Since: clock(t, "08:00:20"), Until: clock(t, "08:00:35")})
	got = strings.Join(slices.DeleteFunc(strings.SplitAfter(got, "\n"), func(l string) bool { return strings.Contains(l, `"what":"outage"`) }), "")
	wantRows(t, "while tor came back", got,
		`{"what":"range","first":"08:00:30.000000Z","last":"08:00:30.000000Z","records":1,"sessions":1}`,
		`{"what":"circuits","count":2,"built":1,"failed":1,"failed_late":1,"failed_built":0}`,
		`{"what":"reason","failure":{"by":"reason","reason":"TIMEOUT","circuits":2,"failed":1,"rate":0.5,"rate_low":0.0945,"rate_high":0.9055,"last_time":"08:00:05.000000Z","last_session":1,"last_id":"2","last_reason":"TIMEOUT"}}`,
		`{"what":"link","failure":{"by":"link","link":["$A~alpha","$B~beta"],"circuits":2,"failed":1,"rate":0.5,"rate_low":0.0945,"rate_high":0.9055,"last_time":"08:00:05.000000Z","last_session":1,"last_id":"2","last_reason":"TIMEOUT"}}`,
		`{"what":"outages","count":1,"length_ms":0}`,
		`{"what":"warnings","count":0,"kinds":0}`,
		`{"what":"gaps","count":1}`,
		`{"what":"gap","gap":{"from":"08:00:10.000000Z","to":"08:00:30.000000Z","cause":"tor gone","detail":"CLOSED","record":15}}`,
	)
	for i := range m.recs {
		m.recs[i].Seq += 100
	}
	if got := summaryRows(t, m, journal.Range{Since: clock(t, "07:00:00")}); !strings.Contains(got, `{"what":"gap","gap":{"to":"`+day+`08:00:00.000000Z","cause":"evicted","record":101}}`) {
		t.Errorf("of a ring that has given records up:\n%s", got)
	}
	m.sessions[1].First += 100
	const gone = `"cause":"evicted"`
	if got := summaryRows(t, m, journal.Range{Session: 1}); !strings.Contains(got, gone) {
		t.Errorf("of a session whose beginning the ring has given up:\n%s", got)
	}
	if got := summaryRows(t, m, journal.Range{Session: 2, Since: clock(t, "07:00:00")}); strings.Contains(got, gone) {
		t.Errorf("of a session that is all there:\n%s", got)
	}
	for _, r := range []journal.Range{{Until: clock(t, "07:00:00")}, {Since: clock(t, "09:00:00")}} {
		if got := summaryRows(t, m, r); got != "" {
			t.Errorf("where nothing is:\n%s", got)
		}
	}
	if got := summaryRows(t, &memory{}, journal.Range{}); got != "" {
		t.Errorf("of an empty journal:\n%s", got)
	}
}

// What the session before the range said of its end is the cause of what is
// missing at the beginning of the range.
func TestSummaryOfWhatWasMissingBefore(t *testing.T) {
	const story1 = `
		08:00:00 JOURNAL START SESSION=1
		08:01:10 %s
		session 2
		09:02:00 %s
		09:02:10 BW 1 2`
	for _, c := range []struct{ end, begin, want string }{
		{"JOURNAL STOP PID=7", "JOURNAL START SESSION=2", `"from":"08:01:10.000000Z","to":"09:02:00.000000Z","cause":"recorder stopped","record":3`},
		{"BW 1 2", "JOURNAL START SESSION=2", `"from":"08:01:10.000000Z","to":"09:02:00.000000Z","cause":"recorder ended","record":3`},
		{"JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=9", "JOURNAL START SESSION=2", `"from":"08:01:10.000000Z","to":"09:02:00.000000Z","cause":"tor gone","detail":"CLOSED","record":3`},
		{"JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=9", "JOURNAL SOURCE_RESTORED SESSION=2 DOWN_MS=3650000", `"from":"08:01:10.000000Z","to":"09:02:00.000000Z","cause":"tor gone","record":3`},
	} {
		m := story(t, fmt.Sprintf(story1, c.end, c.begin))
		var gaps []string
		for line := range strings.Lines(summaryRows(t, m, journal.Range{Since: clock(t, "09:00:00")})) {
			if strings.Contains(line, `"gap`) {
				gaps = append(gaps, line)
			}
		}
		wantRows(t, c.end+", "+c.begin, strings.Join(gaps, ""), `{"what":"gaps","count":1}`, `{"what":"gap","gap":{`+c.want+`}}`)
	}
}

// A summary agrees with the questions that it sums up.
func TestSummaryAgreesWithQuestions(t *testing.T) {
	for _, file := range corpora(t) {
		m := corpus(t, file)
		var total, built, failed, late, broken, steps int
		var reasons []string
		var told []*Outage
		if _, err := summarize(t.Context(), m, journal.Range{}, Part{}, func(s *Summary) error {
			switch s.What {
			case SummaryCircuits:
				total, built, failed, late, broken = *s.Count, *s.Built, *s.Fails, *s.Late, *s.Broken
			case SummaryReason:
				reasons = append(reasons, s.Failure.Reason+"/"+s.Failure.RemoteReason)
			case SummaryStep:
				steps++
			case SummaryOutage:
				told = append(told, s.Outage)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var wantTotal, wantBuilt, wantFailed, wantLate, wantBroken int
		if _, err := circuits(t.Context(), m, journal.Range{}, CircuitPick{}, Part{}, func(c *Circuit) error {
			wantTotal++
			switch {
			case c.Outcome == Failed:
				wantFailed++
				switch {
				case c.Built.IsZero():
				case c.Purpose == "MEASURE_TIMEOUT":
					wantLate++
				default:
					wantBroken++
				}
			case c.Outcome == Built, c.Outcome == Open, c.Outcome == Lost && !c.Built.IsZero():
				wantBuilt++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if total != wantTotal || built != wantBuilt || failed != wantFailed || late != wantLate || broken != wantBroken {
			t.Errorf("%s: %d circuits, %d built, %d failed, %d of them late, %d once built; want %d, %d, %d, %d, %d", file, total, built, failed, late, broken, wantTotal, wantBuilt, wantFailed, wantLate, wantBroken)
		}
		for i, f := range failureRows(t, m, journal.Range{}, ByReason) {
			if i < shownParts && (i >= len(reasons) || reasons[i] != f.group()) {
				t.Errorf("%s: reasons %v, want %s at %d", file, reasons, f.group(), i)
			}
		}
		var all []*Outage
		if _, err := outages(t.Context(), m, journal.Range{}, Part{}, func(o *Outage) error { all = append(all, o); return nil }); err != nil {
			t.Fatal(err)
		}
		if want := all[max(0, len(all)-shownParts):]; !reflect.DeepEqual(told, want) && len(want) > 0 {
			t.Errorf("%s: outages %v, want %v", file, told, want)
		}
		if steps == 0 || steps > mostSteps+2 {
			t.Errorf("%s: %d steps", file, steps)
		}
	}
}

func TestStepOf(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{
		0: time.Second, 2 * time.Minute: time.Second, time.Hour: 30 * time.Second, 24 * time.Hour: 15 * time.Minute, 7 * 24 * time.Hour: 2 * time.Hour,
		30 * 24 * time.Hour: 6 * time.Hour, 400 * 24 * time.Hour: 4 * 24 * time.Hour,
	} {
		if got := stepOf(length); got != want {
			t.Errorf("%v: %v, want %v", length, got, want)
		}
	}
}
