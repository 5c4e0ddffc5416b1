package control

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// stood fills a journal with what a tor told of itself on one morning.
func stood(t *testing.T, j *journal.Journal) {
	t.Helper()
	begin := time.Date(2020, 11, 23, 8, 0, 0, 0, time.UTC)
	if _, err := j.BeginImport(t.Context(), event.Source{Name: "tor"}, begin); err != nil {
		t.Fatal(err)
	}
	snapshot := event.NewSnapshot([]byte("250-version=0.4.9.11\r\n250-circuit-status=1 BUILT $A~a PURPOSE=GENERAL\r\n250-stream-status=\r\n" +
		"250-orconn-status=$A~a CONNECTED\r\n250+entry-guards=\r\n$A~a up\r\n.\r\n250 OK\r\n"))
	var all []journal.Arrival
	for i, wire := range []string{
		"650 JOURNAL START SESSION=1\r\n", string(snapshot.Format()), "650 BW 1 2\r\n",
		"650 CIRC 2 LAUNCHED PURPOSE=GENERAL\r\n", "650 STREAM 7 NEW 0 example.org:80 PURPOSE=USER\r\n",
		"650 JOURNAL SOURCE_LOST REASON=RESET\r\n",
	} {
		all = append(all, journal.Arrival{Time: begin.Add(time.Duration(i) * time.Minute), Wire: []byte(wire)})
	}
	if err := j.Import(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

func TestMoments(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	stood(t, j)
	p := r.login()
	local := time.Date(2020, 11, 23, 8, 4, 30, 0, time.UTC).In(time.Local).Format("2006-01-02T15:04:05")
	for _, c := range []struct{ ask, want string }{
		{"history/circuit-status@2020-11-23T08:01:00Z", "250-history/circuit-status@2020-11-23T08:01:00Z=1 BUILT $A~a PURPOSE=GENERAL|250 OK"},
		{"history/circuit-status@2020-11-23T08:04:30Z", "250+history/circuit-status@2020-11-23T08:04:30Z=|1 BUILT $A~a PURPOSE=GENERAL|2 EXTENDED PURPOSE=GENERAL|.|250 OK"},
		{"history/stream-status@" + local, "250-history/stream-status@" + local + "=7 NEW 0 example.org:80|250 OK"},
		{"history/stream-status@@1606118460", "250-history/stream-status@@1606118460=|250 OK"},
		{"history/orconn-status@2020-11-23T08:04:30.5Z", "250-history/orconn-status@2020-11-23T08:04:30.5Z=$A~a CONNECTED|250 OK"},
		{"history/entry-guards@2020-11-23T08:04:30Z", "250+history/entry-guards@2020-11-23T08:04:30Z=|$A~a up|.|250 OK"},
		// with others, in the order asked
		{"version history/stream-status@2020-11-23T08:01:00Z circuit-status history/stream-status@2020-11-23T08:04:30Z history/orconn-status@2020-11-23T08:04:30Z journal/first",
			"250-version=0.4.9.11|250-history/stream-status@2020-11-23T08:01:00Z=|250+circuit-status=|1 BUILT $AA~a|.|" +
				"250-history/stream-status@2020-11-23T08:04:30Z=7 NEW 0 example.org:80|250-history/orconn-status@2020-11-23T08:04:30Z=$A~a CONNECTED|" +
				"250-journal/first=SEQ=1 TIME=2020-11-23T08:00:00.000000Z|250 OK"},
		{"history/ns@1h", `552 Unrecognized key "history/ns@1h"`},
		{"HISTORY/circuit-status@1h", `552 Unrecognized key "HISTORY/circuit-status@1h"`},
		{"version history/x nothing", `552-Unrecognized key "history/x"|552 Unrecognized key "nothing"`},
		{"history/circuit-status@2020-11-23T07:00:00Z", "551 tor's state at 2020-11-23T07:00:00.000000Z is not known: the journal begins at 2020-11-23T08:00:00.000000Z"},
		{"history/circuit-status@2020-11-23T08:00:30Z", "551 tor's state at 2020-11-23T08:00:30.000000Z is not known: the recorder had just attached, at 2020-11-23T08:00:00.000000Z (record 1), and not yet been told"},
		{"version history/circuit-status@2020-11-23T08:01:30Z history/circuit-status@2020-11-23T08:05:30Z", "551 tor's state at 2020-11-23T08:05:30.000000Z is not known: tor was lost at 2020-11-23T08:05:00.000000Z (record 6): RESET"},
	} {
		p.send("GETINFO " + c.ask + "\r\n")
		for want := range strings.SplitSeq(c.want, "|") {
			if got := strings.TrimSuffix(p.line(), "\r\n"); got != want {
				t.Fatalf("GETINFO %s: %q, want %q", c.ask, got, want)
			}
		}
	}
	for _, bad := range []string{"history/circuit-status", "history/circuit-status@", "history/circuit-status@tea", "history/circuit-status@2020-11-23", "history/circuit-status@2020-11-31"} {
		p.send("GETINFO version " + bad + "\r\n")
		got := p.line()
		if bad == "history/circuit-status@2020-11-23" { // a time, but of before the record
			if !strings.HasPrefix(got, "551 ") {
				t.Errorf("%s: %q", bad, got)
			}
			continue
		}
		if !strings.HasPrefix(got, "512 "+bad+": after the @ stands a time without blanks") || !strings.Contains(got, "2026-11-23T08:15:30Z") {
			t.Errorf("%s: %q", bad, got)
		}
	}
	p.send("GETINFO journal/size\r\n") // the conversation goes on
	if got := p.line(); !strings.HasPrefix(got, "250-journal/size=") {
		t.Errorf("%q", got)
	}
}

// Another program's history is for who has the privilege.
func TestMomentsNeedThePrivilege(t *testing.T) {
	p := newRig(t, Access{NoAuth: true}).login()
	p.send("GETINFO version history/circuit-status@2020-11-23T08:01:00Z\r\n")
	if got := p.line(); !strings.HasPrefix(got, "551 GETINFO history/… needs the history privilege") {
		t.Errorf("%q", got)
	}
}

// They are computed one after the other, with what HISTORY asks.
func TestMomentsWaitTheirTurn(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{}, func(o *Options) { o.askPatience = time.Millisecond })
	stood(t, j)
	r.srv.asking <- struct{}{}
	p := r.login()
	p.send("GETINFO history/circuit-status@2020-11-23T08:01:00Z\r\n")
	if got := p.line(); !strings.HasPrefix(got, "551 one is answered at a time") {
		t.Errorf("%q", got)
	}
	<-r.srv.asking
	p.send("GETINFO history/circuit-status@2020-11-23T08:01:00Z\r\n")
	if got := p.line(); !strings.HasPrefix(got, "250-history/circuit-status@") {
		t.Errorf("%q", got)
	}
}

// An answer that nobody could hold is refused; it costs no more than the bound.
func TestMomentsAreBounded(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	var lines strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&lines, "%d BUILT $%040X~relay PURPOSE=GENERAL\r\n", i+1, i)
	}
	begin := time.Date(2020, 11, 23, 8, 0, 0, 0, time.UTC)
	if _, err := j.BeginImport(t.Context(), event.Source{Name: "tor"}, begin); err != nil {
		t.Fatal(err)
	}
	snapshot := event.NewSnapshot([]byte("250+circuit-status=\r\n" + lines.String() + ".\r\n250 OK\r\n")).Format()
	if err := j.Import(t.Context(), []journal.Arrival{{Time: begin, Wire: snapshot}}); err != nil {
		t.Fatal(err)
	}
	p := r.login()
	key := " history/circuit-status@2020-11-23T08:00:00Z"
	p.send("GETINFO" + strings.Repeat(key, 10) + "\r\n")
	if got := p.line(); !strings.HasPrefix(got, "551 the answers have more than 4 MiB") {
		t.Errorf("%.200q", got)
	}
	p.send("GETINFO" + key + "\r\n")
	n := 0
	for got := p.line(); got != "250 OK\r\n"; got = p.line() {
		n++
	}
	if n != 20000+2 {
		t.Errorf("%d lines", n)
	}
}
