package control

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

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
