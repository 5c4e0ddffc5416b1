package control

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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

// Bytes of a time that was not recorded are told beside the last row.
func TestHistoryTellsUnrecordedBytes(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	at := time.Unix(1_700_000_000, 0).UTC()
	if _, err := j.BeginImport(t.Context(), event.Source{Name: "tor"}, at); err != nil {
		t.Fatal(err)
	}
	var all []journal.Arrival
	tell := func(second int, wire []byte) {
		all = append(all, journal.Arrival{Time: at.Add(time.Duration(second) * time.Second), Wire: wire})
	}
	counts := func(read, written int) []byte {
		return event.NewSnapshot(fmt.Appendf(nil, "250-traffic/read=%d\r\n250-traffic/written=%d\r\n250 OK\r\n", read, written)).Format()
	}
	tell(0, counts(100, 10))
	tell(1, []byte("650 BW 5 1\r\n"))
	tell(61, counts(1105, 111))
	tell(62, []byte("650 BW 5 1\r\n"))
	if err := j.Import(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	p := r.login()
	const note = "UNRECORDED FROM=2023-11-14T22:13:21.000000Z TO=2023-11-14T22:14:21.000000Z SECONDS=60 READ=1000 WRITTEN=100"
	first := p.ask("BANDWIDTH SINCE=@0 STEP=1s LIMIT=60")
	_, next, _ := strings.Cut(first.last, "TRUNCATED=1")
	if last := p.ask("BANDWIDTH SINCE=@0 STEP=1s" + next); next == "" || len(first.notes) > 0 || len(last.notes) != 1 || last.notes[0] != note {
		t.Errorf("%q and %q, then %q", first.notes, first.last, last.notes)
	}
	if got := p.ask("BANDWIDTH SINCE=@0 TOTAL=1"); !strings.Contains(got.rows, `"unrecorded":[{"from":`) || len(got.notes) != 1 {
		t.Errorf("%+v", got)
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

// Of a session whose beginning the ring has given up, as of a time before the oldest
// record, the answer says with what the journal begins.
func TestHistoryOfAnEvictedBeginning(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{MaxSize: journal.MinMaxSize})
	if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	noise, wires := make([]byte, 500), make([]string, 3000)
	for i := range wires {
		_, _ = rand.Read(noise)
		wires[i] = fmt.Sprintf("650 NOTICE %x\r\n", noise)
	}
	record(t, j, wires...)
	p := r.login()
	for args, told := range map[string]bool{"SESSION=0": true, "SINCE=1h": true, "SINCE=1h SESSION=0": true, "SINCE=now": false} {
		p.send("HISTORY CIRCUITS " + args + "\r\n")
		found, got := false, ""
		for got = p.line(); !strings.HasPrefix(got, "250 "); got = p.line() {
			found = found || strings.HasPrefix(got, "250-FIRST SEQ=")
		}
		if got != "250 OK\r\n" || found != told {
			t.Errorf("HISTORY CIRCUITS %s: %q, and it says with what the journal begins: %t", args, got, found)
		}
	}
}

// slowRecords hands out no record before it is let; it tells when it is asked.
type slowRecords struct {
	*memory
	asked, let chan struct{}
	ended      chan error // why a question ended, of those that were not let
}

func (s *slowRecords) Fetch(ctx context.Context, seq uint64, r journal.Range) (journal.Stored, error) {
	s.asked <- struct{}{}
	select {
	case <-s.let:
		return s.memory.Fetch(ctx, seq, r)
	case <-ctx.Done():
		s.ended <- ctx.Err()
		return journal.Stored{}, ctx.Err()
	}
}

func slowRig(t *testing.T, tune ...func(*Options)) (*rig, *slowRecords) {
	r := newRig(t, Access{NoAuth: true, History: true}, tune...)
	slow := &slowRecords{memory: r.log, asked: make(chan struct{}, 9), let: make(chan struct{}), ended: make(chan error, 9)}
	r.srv.records = slow
	r.log.arrive(time.Time{}, "650 BW 1 2")
	return r, slow
}

func (s *slowRecords) await(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		t.Fatal("nothing happened")
		return nil
	}
}

// While an answer is computed, events reach this connection and others, and
// others' commands are answered; this one's wait for their turn.
func TestHistoryHoldsUpNobody(t *testing.T) {
	r, slow := slowRig(t)
	p, other := r.login(), r.login()
	for _, x := range []*peer{p, other} {
		x.send("SETEVENTS BW\r\n")
		x.expect("250 OK")
	}
	p.send("HISTORY CIRCUITS\r\nGETINFO version\r\n")
	<-slow.asked
	r.log.arrive(time.Time{}, "650 BW 3 4")
	p.expect("650 BW 3 4")
	other.expect("650 BW 3 4")
	other.send("GETINFO version\r\n")
	other.expect("250-version=0.4.9.11", "250 OK")
	close(slow.let)
	p.expect("250+HISTORY=", ".", "250 OK", "250-version=0.4.9.11", "250 OK")
}

// One answer is computed at a time; who has waited too long is told.
func TestHistoryOneAtATime(t *testing.T) {
	r, slow := slowRig(t, func(o *Options) { o.askPatience = 50 * time.Millisecond })
	p, other := r.login(), r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	other.send("HISTORY CIRCUITS\r\n")
	if got := other.line(); !strings.HasPrefix(got, "551 HISTORY: one is answered at a time") {
		t.Error(got)
	}
	other.send("HISTORY CIRCUITS LIMIT=0\r\n")
	if got := other.line(); !strings.HasPrefix(got, "512 ") {
		t.Error(got)
	}
	if n := len(slow.asked); n != 0 {
		t.Errorf("the journal was asked %d times more", n)
	}
	close(slow.let)
	p.expect("250+HISTORY=", ".", "250 OK")
	other.send("HISTORY CIRCUITS\r\n")
	other.expect("250+HISTORY=", ".", "250 OK")
}

func TestHistoryThatTakesTooLong(t *testing.T) {
	r, slow := slowRig(t, func(o *Options) { o.askTime = 20 * time.Millisecond })
	p := r.login()
	p.send("HISTORY CIRCUITS\r\n")
	if got := p.line(); !strings.HasPrefix(got, "551 HISTORY: the answer takes too long") {
		t.Error(got)
	}
	slow.await(t, slow.ended)
	close(slow.let)
	for got := ""; got != "250+HISTORY=\r\n"; { // also where the machine stands still for 20 ms
		for len(slow.asked) > 0 {
			<-slow.asked
		}
		p.send("HISTORY CIRCUITS\r\n")
		if got = p.line(); !strings.HasPrefix(got, "250+") && !strings.HasPrefix(got, "551 HISTORY: the answer takes too long") {
			t.Fatal(got)
		}
	}
	p.expect(".", "250 OK")
}

// A question ends with its connection, and lets the next one begin. Who has
// sent a command behind it is waited for.
func TestHistoryEndsWithItsConnection(t *testing.T) {
	r, slow := slowRig(t)
	p, waiting, other := r.login(), r.login(), r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	waiting.send("HISTORY CIRCUITS\r\n")
	waiting.sock.Close()
	p.sock.Close()
	if err := slow.await(t, slow.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	other.send("HISTORY CIRCUITS\r\nQUIT\r\n")
	for range 2 { // waiting may have had its turn before it was missed
		<-slow.asked
		if len(slow.ended) == 0 {
			break
		}
		<-slow.ended
	}
	if half, ok := other.sock.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		t.Fatal("the socket cannot be closed by half")
	}
	close(slow.let)
	other.expect("250+HISTORY=", ".", "250 OK", "250 closing connection")
	other.closed()
}

// The end of the server ends a question.
func TestHistoryEndsWithTheServer(t *testing.T) {
	r, slow := slowRig(t)
	p := r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	slow.await(t, slow.ended)
}

// A connection that asks about the past outlives the source.
func TestHistoryOutlivesTheSource(t *testing.T) {
	r, slow := slowRig(t)
	p := r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	r.tor.lose()
	r.log.arrive(time.Time{}, "650 JOURNAL SOURCE_LOST")
	close(slow.let)
	p.expect("250+HISTORY=", ".", "250 OK")
	p.send("HISTORY CIRCUITS\r\n")
	p.expect("250+HISTORY=", ".", "250 OK")
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

// TestHistoryAnswersTogether: where others do not read their answers, one more
// is not held.
func TestHistoryAnswersTogether(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1")
	p := r.login()
	r.srv.answers.Add(maxAnswers) // of others
	p.send("HISTORY RECORDS FROM=1\r\n")
	p.expect("551 HISTORY: other connections have not read their answers yet, and there is no room for one more: try again")
	r.srv.answers.Add(-maxAnswers)
	if a := p.ask("RECORDS FROM=1"); a.rows == "" || a.last != "OK" {
		t.Errorf("%+v", a)
	}
}

// TestHistoryBeforeTheEnd: who sends a question, another command and then the
// end of his stream gets both answers, however long the first takes.
func TestHistoryBeforeTheEnd(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1")
	p := r.login()
	r.srv.asking <- struct{}{} // somebody else's question is answered
	p.send("HISTORY RECORDS FROM=1\r\nGETINFO version\r\n")
	if err := p.sock.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // so that a faulty server has its chance
	<-r.srv.asking
	p.expect("250+HISTORY=")
	for l := p.line(); l != "250 OK\r\n"; l = p.line() {
	}
	p.expect("250-version=0.4.9.11", "250 OK")
	p.closed()
}
