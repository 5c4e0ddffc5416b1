package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// What each of the recorder's words says of the record, and what all answers that
// ask it make of it: the line in which one stands between two moments at which tor
// was told as a whole.
func TestRecordersWords(t *testing.T) {
	const begin, end = "08:00:00 JOURNAL START SESSION=1 CONTINUED=0\n08:00:01 STATE\n08:10:00 BW 1 2\n", "08:30:00 BW 1 2\n08:40:00 STATE\n"
	const all = "08:00:01–08:40:00"
	f := func(words string, turn recordTurn, hole, outage, unknown, known string) {
		t.Helper()
		src := states(t, begin+"08:20:00 JOURNAL "+words+"\n"+end)
		rec := src.recs[3]
		ev, ok := parse(&rec).(*event.Journal)
		if !ok {
			t.Fatalf("%s: not a word of the recorder", words)
		}
		says := recordWordOf(&rec, ev)
		if says.turn != turn {
			t.Errorf("%s: turn %d, want %d", words, says.turn, turn)
		}
		var b holeBook
		b.hear(&rec, ev, true)
		var holes string
		for _, h := range b.last {
			holes = span{h.From.UnixMicro(), h.To.UnixMicro()}.text() + " " + h.Cause
			if h.Detail != "" {
				holes += ": " + h.Detail
			}
		}
		if holes != hole {
			t.Errorf("%s: hole %q, want %q", words, holes, hole)
		}
		if rows := strings.ReplaceAll(outageRows(t, src, journal.Range{}), day, ""); !strings.Contains(rows, outage) || outage == "" && rows != "" {
			t.Errorf("%s: outages %s, want …%s…", words, rows, outage)
		}
		_, err := at(t.Context(), src, clock(t, "08:35:00"), evening, []Kind{CircuitStatus})
		if reason := fmt.Sprint(err); !strings.Contains(reason, unknown) || unknown == "" && err != nil {
			t.Errorf("%s: tor's state: %v, want …%s…", words, err, unknown)
		}
		k := newKnownTimes(event.NewSet(event.CIRC))
		for rec := range slices.Values(src.recs) {
			if ev, ok := parse(&rec).(*event.Journal); ok {
				k.hear(&rec, ev)
			}
		}
		times, err := k.times(t.Context(), src, journal.Range{To: uint64(len(src.recs))})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, s := range times[1] {
			texts = append(texts, s.text())
		}
		if got := strings.Join(texts, " "); got != known {
			t.Errorf("%s: known %s, want %s", words, got, known)
		}
	}
	const broken = "08:00:01–08:20:00"
	f("START SESSION=1 CONTINUED=1", recordBegins, "?–08:20:00 recorder ended", `"begin":"08:10:00.000000Z","end":"08:20:00.000000Z","length_ms":600000,"cause":"daemon down"`, "the recorder had just attached, at 2026-11-23T08:20:00", "08:00:01–08:10:00")
	f("SOURCE_RESTORED SESSION=1 CONTINUED=1 DOWN_MS=60000", recordBegins, "08:19:00–08:20:00 tor gone", `"begin":"08:19:00.000000Z","end":"08:20:00.000000Z","length_ms":60000,"cause":"not recorded"`, "the recorder had just attached, at 2026-11-23T08:20:00", "08:00:01–08:10:00")
	f("STOP PID=7", recordEnds, "08:20:00–? recorder stopped", `"begin":"08:20:00.000000Z","cause":"daemon down","detail":"STOP"`, "the recorder stopped at 2026-11-23T08:20:00", broken)
	f("SOURCE_LOST REASON=RESET", recordEnds, "08:20:00–? tor gone: RESET", `"begin":"08:20:00.000000Z","cause":"tor down","detail":"SOURCE_LOST REASON=RESET"`, "tor was lost at 2026-11-23T08:20:00.000000Z (record 4): RESET", broken)
	f("DROPPED TYPES=CIRC,INFO COUNT=7", recordLacks, "?–08:20:00 dropped: CIRC,INFO", "", "events were dropped under overload before 2026-11-23T08:20:00", broken)
	f(`JOURNALED COUNT=7 TYPES=CIRC SINCE=2026-11-23T08:15:00.000000Z ERROR="no space"`, recordLacks, "08:15:00–08:20:00 not written: no space", "", "events could not be written before 2026-11-23T08:20:00", "08:00:01–08:15:00")
	f("DROPPED TYPES=INFO COUNT=7", recordLacks, "?–08:20:00 dropped: INFO", "", "", all)
	for _, words := range []string{"UNJOURNALED SINCE=2026-11-23T08:15:00.000000Z", "CLOCK", "CONSENSUS", "COMMAND PHASE=SENT", "MARK TEXT=x"} {
		f(words, recordSame, "", "", "", all)
	}
}

// text is a span as this test writes it.
func (s span) text() string {
	word := func(us int64) string {
		at := time.UnixMicro(us).UTC()
		if at.Year() < 2000 {
			return "?"
		}
		return at.Format("15:04:05")
	}
	return word(s.from) + "–" + word(s.to)
}
