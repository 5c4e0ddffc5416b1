package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/query"
	"torjournal/tor/event"
)

// past fills a journal with a recorded tor, as session 1, and some commands.
func past(t testing.TB, j *journal.Journal, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "corpus", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []journal.Arrival
	sc := bufio.NewScanner(f)
	for sc.Buffer(nil, 4<<20); sc.Scan(); {
		var line struct {
			T   time.Time
			Raw string
		}
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		all = append(all, journal.Arrival{Time: line.T, Wire: []byte(line.Raw)})
	}
	if len(all) < 100 {
		t.Fatalf("%s has %d events", name, len(all))
	}
	if _, err := j.BeginImport(t.Context(), event.Source{Name: "corpus"}, all[0].Time); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		kv := []string{"PHASE", "SENT", "CONN", "1", "N", fmt.Sprint(i), "PEER", "unix", "VERB", "SIGNAL"}
		all = append(all, journal.Arrival{Time: all[len(all)-1].Time.Add(time.Millisecond), Wire: event.NewJournal(event.WhatCommand, kv...).Format()})
	}
	if err := j.Import(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// historyReply is a reply to HISTORY.
type historyReply struct {
	rows  string   // JSON lines
	notes []string // lines between the rows and the last line
	last  string   // without its 250
}

// ask sends a HISTORY that must be answered.
func (p *peer) ask(args string) historyReply {
	p.t.Helper()
	p.send("HISTORY " + args + "\r\n")
	p.expect("250+HISTORY=")
	var r historyReply
	for l := p.line(); l != ".\r\n"; l = p.line() {
		if !json.Valid([]byte(l)) {
			p.t.Fatalf("HISTORY %s: %q is no JSON", args, l)
		}
		r.rows += strings.TrimSuffix(l, "\r\n") + "\n"
	}
	l := p.line()
	for ; strings.HasPrefix(l, "250-"); l = p.line() {
		r.notes = append(r.notes, strings.TrimSpace(l[4:]))
	}
	r.last = strings.TrimSuffix(strings.TrimPrefix(l, "250 "), "\r\n")
	return r
}

// askAll follows NEXT to the end.
func (p *peer) askAll(args string) (rows string, parts int) {
	p.t.Helper()
	for next := ""; ; {
		r := p.ask(args + next)
		rows += r.rows
		parts++
		token, more := strings.CutPrefix(r.last, "TRUNCATED=1 NEXT=")
		if !more {
			if r.last != "OK" {
				p.t.Fatalf("HISTORY %s ends with %q", args, r.last)
			}
			return rows, parts
		}
		if r.rows == "" {
			p.t.Fatalf("HISTORY %s: a part without rows", args)
		}
		next = " NEXT=" + token
	}
}

// wanted is what the package query answers, as the command line prints it.
func wanted(t *testing.T, j *journal.Journal, name string, r journal.Range, words ...string) string {
	t.Helper()
	q, ok := query.FindQuestion(name)
	if !ok {
		t.Fatal(name)
	}
	o := query.NewOptions(time.Now(), time.Local)
	for i := 0; i < len(words); i += 2 {
		if err := q.Set(o, words[i], words[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	enc := query.NewEncoder(&b)
	if _, err := q.Rows(t.Context(), j, r, o, query.Part{}, func(row query.Row) error { return enc.Encode(row) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The rows of HISTORY are those of the command line, in the same order, in
// one piece and in parts.
func TestHistoryIsTheAnswer(t *testing.T) {
	for _, corpus := range []string{"client", "relay"} {
		t.Run(corpus, func(t *testing.T) {
			r, j := newJournalRig(t, journal.Options{})
			past(t, j, corpus)
			b, err := j.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			half := b.FirstTime.Add(b.LastTime.Sub(b.FirstTime) / 2)
			late := journal.Range{Since: half}
			since := fmt.Sprintf(" SINCE=@%d.%06d", half.Unix(), half.Nanosecond()/1000)
			at := strings.TrimPrefix(since, " SINCE=")
			late.Since = half.Truncate(time.Microsecond)
			p := r.login()
			for _, c := range []struct {
				args, question string
				r              journal.Range
				words          []string
				limit          int
			}{
				{"RECORDS FROM=1", "records", journal.Range{}, nil, 1000},
				{"RECORDS" + since + " TYPES=CIRC,BW", "records", late, []string{"types", "CIRC,BW"}, 50},
				{`RECORDS SINCE=@0 WHERE="Status == \"CLOSED\""`, "records", journal.Range{}, []string{"where", `Status == "CLOSED"`}, 50},
				{"RECORDS SINCE=@0 CIRCUIT=8", "records", journal.Range{}, []string{"circuit", "8"}, 50},
				{"BANDWIDTH SINCE=@0 STEP=1s", "bandwidth", journal.Range{}, []string{"step", "1s"}, 20},
				{"BANDWIDTH" + since, "bandwidth", late, nil, 1},
				{"BANDWIDTH TOTAL=1" + since, "bandwidth", late, []string{"total", "1"}, 1},
				{"CIRCUITS SINCE=@0", "circuits", journal.Range{}, nil, 5},
				{"circuits since=@0", "circuits", journal.Range{}, nil, 1000},
				{"CIRCUITS SINCE=@0 STATUS=closed", "circuits", journal.Range{}, []string{"status", "closed"}, 3},
				{"CIRCUITS" + since, "circuits", late, nil, 5},
				{"CIRCUITS SESSION=0", "circuits", journal.Range{Session: 1}, nil, 7},
				{"STREAMS SINCE=@0", "streams", journal.Range{}, nil, 3},
				{"CIRCUIT ID=8", "circuit", journal.Range{}, []string{"id", "8"}, 3},
				{"STREAM ID=8", "stream", journal.Range{}, []string{"id", "8"}, 2},
				{"FAILURES SINCE=@0 BY=relay", "failures", journal.Range{}, []string{"by", "relay"}, 2},
				{"FAILURES SINCE=@0", "failures", journal.Range{}, nil, 1},
				{"OUTAGES SINCE=@0", "outages", journal.Range{}, nil, 1},
				{"BUILDS SINCE=@0", "builds", journal.Range{}, nil, 1},
				{"GUARDS SINCE=@0", "guards", journal.Range{}, nil, 3},
				{"RELAYS SINCE=@0", "relays", journal.Range{}, nil, 2},
				{"ONIONS SINCE=@0", "onions", journal.Range{}, nil, 1},
				{"ONIONS SINCE=@0 ROLE=client", "onions", journal.Range{}, []string{"role", "client"}, 1},
				{"ORCONNS SINCE=@0", "orconns", journal.Range{}, nil, 3},
				{"BOOTSTRAP SINCE=@0", "bootstrap", journal.Range{}, nil, 1},
				{"DOCTOR SINCE=@0", "doctor", journal.Range{Since: time.Unix(0, 0)}, nil, 1},
				{"SUMMARY SINCE=@0", "summary", journal.Range{Since: time.Unix(0, 0)}, nil, 4},
				{"SESSIONS SINCE=@0", "sessions", journal.Range{}, nil, 1},
				{"COMMANDS SINCE=@0", "commands", journal.Range{}, nil, 7},
				{"DIFF A=.." + at + " B=" + at + "..@4000000000", "diff", journal.Range{}, []string{"a", ".." + at, "b", at + "..@4000000000"}, 2},
			} {
				want := wanted(t, j, c.question, c.r, c.words...)
				if n := strings.Count(want, "\n"); n < 1 && corpus == "client" || n < 2 && corpus == "client" && c.question != "sessions" && !strings.Contains(c.args, since) {
					t.Errorf("%s: only %d rows", c.args, strings.Count(want, "\n"))
				}
				if got, _ := p.askAll(fmt.Sprintf("%s LIMIT=%d", c.args, c.limit)); got != want {
					t.Errorf("%s by %d:\n--- got\n%.2000s\n--- want\n%.2000s", c.args, c.limit, got, want)
				}
			}
		})
	}
}

// What is recorded between two parts belongs to neither.
func TestHistoryPartsAreOfOneMoment(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 CIRC 1 LAUNCHED", "650 CIRC 2 LAUNCHED")
	p := r.login()
	first := p.ask("CIRCUITS LIMIT=1")
	record(t, j, "650 CIRC 2 BUILT $A", "650 CIRC 3 LAUNCHED")
	_, next, ok := strings.Cut(first.last, "NEXT=")
	if !ok {
		t.Fatalf("%+v", first)
	}
	second := p.ask("CIRCUITS LIMIT=1 NEXT=" + next)
	if !strings.Contains(second.rows, `"id":"2"`) || !strings.Contains(second.rows, `"status":"LAUNCHED"`) || second.last != "OK" {
		t.Errorf("%+v", second)
	}
	if again := p.ask("CIRCUITS"); strings.Count(again.rows, "\n") != 3 || !strings.Contains(again.rows, `"status":"BUILT"`) {
		t.Errorf("%+v", again)
	}
}

// A comparison goes on with the sessions that were the newest when it was asked first.
func TestHistoryPartsAreOfTheSameSessions(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	begin := func(wires ...string) {
		if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "tor"}); err != nil {
			t.Fatal(err)
		}
		record(t, j, wires...)
	}
	begin("650 CIRC 1 LAUNCHED", "650 CIRC 1 BUILT $A")
	begin("650 CIRC 1 LAUNCHED", "650 CIRC 1 FAILED $B REASON=TIMEOUT")
	p := r.login()
	const args = "DIFF A=session:-1 B=session:0"
	want, _ := p.askAll(args)
	first := p.ask(args + " LIMIT=1")
	_, next, ok := strings.Cut(first.last, "NEXT=")
	if !ok {
		t.Fatalf("%+v", first)
	}
	begin("650 BW 1 1")
	if got := first.rows + p.ask(args+" NEXT="+next).rows; got != want {
		t.Errorf("--- got\n%s--- want\n%s", got, want)
	}
}

// An answer ends at its bounds, but has a row if there is one.
func TestHistoryIsBounded(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	var evs []event.Event
	for i := range 3 * historyRows {
		evs = append(evs, event.NewRaw(fmt.Appendf(nil, "650 BW %d 1\r\n", i)))
	}
	big := "650 NOTICE " + strings.Repeat("x", historyBytes*2/5) + "\r\n"
	huge := "650 NOTICE " + strings.Repeat("y", 2*historyBytes) + "\r\n"
	for _, w := range []string{big, big, big, huge, big} {
		evs = append(evs, event.NewRaw([]byte(w)))
	}
	if err := j.Append(t.Context(), evs...); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := r.login()
	if got := p.ask("RECORDS TYPES=BW"); strings.Count(got.rows, "\n") != historyRows || !strings.HasPrefix(got.last, "TRUNCATED=1 ") {
		t.Errorf("%d rows, %q", strings.Count(got.rows, "\n"), got.last)
	}
	rows, parts := p.askAll("RECORDS FROM=1")
	if n := strings.Count(rows, "\n"); n != len(evs) || parts < 3+2+1+1 {
		t.Errorf("%d rows of %d in %d parts", n, len(evs), parts)
	}
	for next := ""; ; {
		got := p.ask("RECORDS TYPES=NOTICE" + next)
		if n := strings.Count(got.rows, "\n"); len(got.rows) > historyBytes && n > 1 {
			t.Errorf("%d rows of %d bytes", n, len(got.rows))
		}
		token, more := strings.CutPrefix(got.last, "TRUNCATED=1")
		if !more {
			break
		}
		next = token
	}
}

func TestHistoryOfNothing(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	p := r.login()
	ask := func(q query.Question, args string) historyReply {
		if !q.Ranged() {
			args = ""
		}
		for _, w := range q.Words {
			switch {
			case w.Span:
				args = map[string]string{"a": " A=2000-01-01", "b": args + " B=2000-01-02"}[w.Name]
			case w.Needed:
				args += " " + w.Name + "=1"
			}
		}
		return p.ask(q.Name + args)
	}
	for _, q := range query.Questions() {
		if got := ask(q, ""); got.rows != "" || got.last != "OK" || len(got.notes) > 0 {
			t.Errorf("%s of an empty journal: %+v", q.Name, got)
		}
	}
	record(t, j, "650 CIRC 1 LAUNCHED")
	for _, q := range query.Questions() {
		if got := ask(q, " UNTIL=2001-01-01"); got.rows != "" || got.last != "OK" || len(got.notes) > 0 {
			t.Errorf("%s of an empty range: %+v", q.Name, got)
		}
	}
}
