package control

import (
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/query"
)

func TestHistoryRefusals(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 2")
	p := r.login()
	var all []string
	for _, q := range query.Questions() {
		all = append(all, strings.ToUpper(q.Name))
	}
	names := strings.Join(all, ", ")
	for args, want := range map[string]string{
		"":                                "there are " + names + ", for example",
		"WEATHER SINCE=1h":                "there are " + names + ", for example",
		"CIRCUITS SINCE=soon":             "SINCE: \"soon\" is no time",
		"CIRCUITS UNTIL=2 SINCE=1h":       "UNTIL: ",
		"CIRCUITS SINCE=1h UNTIL=2h":      "SINCE must be earlier than UNTIL",
		"CIRCUITS STATUS=fialed":          "STATUS: \"fialed\": there are LAUNCHED, BUILT",
		"CIRCUITS SLOWER=x":               "SLOWER: \"x\" is no duration",
		"CIRCUITS RELAY=":                 "RELAY: it is empty",
		"CIRCUITS SINCE=1h SINCE=2h":      "each once",
		"CIRCUITS COLOUR=red":             "HISTORY CIRCUITS takes SINCE= UNTIL= SESSION= LIMIT= NEXT= STATUS=",
		"DIFF A=2d..1d":                   "B= is missing; HISTORY DIFF takes LIMIT= NEXT= A= B=",
		"DIFF A=2d..1d B=1d":              "B: \"1d\" is no range of time",
		"DIFF A=2d..1d B=1d.. SINCE=1h":   "HISTORY DIFF takes LIMIT=",
		"CIRCUITS FROM=3":                 "HISTORY CIRCUITS takes SINCE=",
		"CIRCUITS word":                   "HISTORY CIRCUITS takes SINCE=",
		"CIRCUITS SESSION=7":              "SESSION: ",
		"CIRCUITS LIMIT=0":                "LIMIT is a number of rows, from 1 to 1000",
		"CIRCUITS LIMIT=1001":             "LIMIT is a number of rows, from 1 to 1000",
		"CIRCUITS NEXT=1:2":               "NEXT=1:2: give it as the reply that was truncated has it",
		"CIRCUITS NEXT=1:2:3:4":           "NEXT=1:2:3:4: give it",
		"CIRCUITS NEXT=1:2:-3:4.0":        "NEXT=1:2:-3:4.0: give it",
		"CIRCUITS STATUS=\"open":          "no closing quote",
		"CIRCUIT":                         "ID= is missing; HISTORY CIRCUIT takes",
		"CIRCUIT ID=":                     "ID: the number of a circuit is wanted",
		"RECORDS FROM=0":                  "FROM is the number of a record",
		"RECORDS TYPES=CIRK":              "TYPES: \"CIRK\" is no event type; did you mean CIRC",
		`RECORDS WHERE="Statsu == \"a\""`: "did you mean Status?",
		"RECORDS CIRCUIT=a-b":             "CIRCUIT: the number of a circuit is wanted",
		"BANDWIDTH STEP=500ms":            "STEP: \"500ms\": write whole seconds",
		"BANDWIDTH STEP=500":              "STEP: ",
		"COMMANDS COUNTS=yes":             "COUNTS is 1 or 0",
	} {
		p.send("HISTORY " + args + "\r\n")
		if got := p.line(); !strings.HasPrefix(got, "512 Bad arguments to HISTORY: ") || !strings.Contains(got, want) {
			t.Errorf("HISTORY %s: %q, want %q in it", args, got, want)
		}
	}
}

// What is wrong with two ranges is seen beside the journal, and is a bad argument as
// any other.
func TestHistoryRefusesRanges(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	past(t, j, "client2-hs")
	p := r.login()
	for args, want := range map[string]string{
		"A=2d.. B=1d..":              "the ranges A and B overlap",
		"A=session:1 B=2001-01-01..": "the ranges A and B overlap",
		"A=session:1 B=session:7":    "B: session 7: ",
	} {
		p.send("HISTORY DIFF " + args + "\r\n")
		if got := p.line(); !strings.HasPrefix(got, "512 Bad arguments to HISTORY: "+want) {
			t.Errorf("HISTORY DIFF %s: %q, want %q", args, got, want)
		}
	}
}

// FuzzHistory: arguments never panic; what is taken goes on where it stopped;
// what is refused is refused in one line.
func FuzzHistory(f *testing.F) {
	for _, s := range []string{
		"CIRCUITS", "circuits SINCE=1h STATUS=failed", `RECORDS WHERE="Type == 'CIRC'" FROM=7`, "BANDWIDTH STEP=5m NEXT=1795421700000000:1:2:-3.4",
		"COMMANDS COUNTS=1 LIMIT=3", `CIRCUITS RELAY="a b" SESSION=-1`, "X", "", "CIRCUITS NEXT=9223372036854775807:0:0:0.0 SINCE=1h", "RECORDS =", `RECORDS TYPES="`,
	} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.UTC)
	f.Fuzz(func(t *testing.T, args string) {
		a, err := parseHistory(args, now)
		if err != nil {
			if l := oneLine(err.Error()); strings.Count(l, "\n") != 1 || strings.Count(l, "\r") != 1 {
				t.Fatalf("%q", l)
			}
			return
		}
		if a.limit < 1 || a.limit > historyRows || a.now.Nanosecond()%1000 != 0 {
			t.Fatalf("%q: %+v", args, a)
		}
		if a.next == nil {
			next := nextPart{asked: a.now, to: 7, after: query.Place{At: 3, Nth: 1}}
			b, err := parseHistory(args+" NEXT="+next.String(), now.Add(time.Hour))
			if err != nil || b.next.String() != next.String() || !b.now.Equal(a.now) {
				t.Fatalf("%q goes on as %+v, %v", args, b.next, err)
			}
			r1, _ := a.times()
			r2, _ := b.times()
			if !r1.Since.Equal(r2.Since) || !r1.Until.Equal(r2.Until) {
				t.Fatalf("%q: %v, then %v", args, r1, r2)
			}
		}
	})
}
