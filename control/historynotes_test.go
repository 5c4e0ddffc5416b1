package control

import (
	"crypto/rand"
	"fmt"
	"regexp"
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
// record, the answer says with what the journal begins; a comparison says of which
// of its sides.
func TestHistoryOfAnEvictedBeginning(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{MaxSize: journal.MinMaxSize})
	noise, wires := make([]byte, 500), make([]string, 3000)
	for i := range wires {
		_, _ = rand.Read(noise)
		wires[i] = fmt.Sprintf("650 NOTICE %x\r\n", noise)
	}
	for _, wires := range [][]string{wires, {"650 BW 1 1"}} {
		if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "old"}); err != nil {
			t.Fatal(err)
		}
		record(t, j, wires...)
	}
	p := r.login()
	const first = "FIRST SEQ=# TIME=#" // the ring may go on giving up records
	number := regexp.MustCompile(`(SEQ|TIME)=[0-9:.TZ-]+`)
	for args, want := range map[string]string{
		"CIRCUITS SESSION=1":           first,
		"CIRCUITS SESSION=0":           "",
		"CIRCUITS SINCE=1h":            first,
		"CIRCUITS SINCE=1h SESSION=-1": first,
		"CIRCUITS SINCE=1h SESSION=0":  "",
		"CIRCUITS SINCE=now":           "",
		"DIFF A=session:1 B=session:2": first + " SIDES=A",
		"DIFF A=2h..1h B=session:1":    first + " SIDES=A,B",
		"DIFF A=..1h B=session:-1":     first + " SIDES=B",
		"DIFF A=..1h B=session:2":      "",
	} {
		a := p.ask(args)
		if got := number.ReplaceAllString(strings.Join(a.notes, "; "), "$1=#"); got != want || a.last != "OK" {
			t.Errorf("HISTORY %s: %q, %s, want %q", args, a.notes, a.last, want)
		}
	}
}
