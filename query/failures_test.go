package query

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"torjournal/journal"
)

func failureRows(t testing.TB, src source, r journal.Range, by string) (out []*Failure) {
	t.Helper()
	if _, err := failures(t.Context(), src, r, by, Part{}, func(f *Failure) error { out = append(out, f); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// group is what a row's circuits have in common, as stem_failures.py writes it.
func (f *Failure) group() string {
	switch f.By {
	case ByLink:
		return strings.Join(f.Link, " ")
	case ByRelay, ByGuard:
		return f.Relay
	case ByPosition:
		return strconv.Itoa(f.Position)
	case ByReason:
		return f.Reason + "/" + f.RemoteReason
	case ByHour:
		return f.Hour.UTC().Format("2006-01-02T15")
	}
	return f.Purpose
}

// Each row agrees with what python3-stem counts, and no group is missing.
func TestFailuresAgreeWithStem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts python")
	}
	for _, file := range corpora(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := corpus(t, file)
			var want map[string][][]any
			stemCount(t, "stem_failures.py", m, &want)
			for _, by := range FailureGroups() {
				got := map[string]*Failure{}
				for _, f := range failureRows(t, m, journal.Range{}, by) {
					got[f.group()] = f
				}
				if len(got) != len(want[by]) {
					t.Errorf("by %s: %d groups, stem has %d", by, len(got), len(want[by]))
				}
				for _, w := range want[by] {
					f := got[w[0].(string)]
					near := func(a, b float64) bool { return math.Abs(a-b) < 1e-4 }
					if f == nil || float64(f.Circuits) != w[1] || float64(f.Failed) != w[2] || !near(f.RateLow, w[3].(float64)) || !near(f.RateHigh, w[4].(float64)) {
						t.Errorf("by %s: %+v, stem says %v", by, f, w)
					}
				}
			}
		})
	}
}

const failureStory = `
	08:00:00 CIRC 1 LAUNCHED PURPOSE=GENERAL
	08:00:01 CIRC 1 EXTENDED $A
	08:00:02 CIRC 1 EXTENDED $A,$B
	08:00:03 CIRC 1 BUILT $A,$B,$C
	08:00:04 CIRC 2 LAUNCHED PURPOSE=GENERAL
	08:00:05 CIRC 2 EXTENDED $A
	08:00:06 CIRC 2 FAILED $A PURPOSE=GENERAL REASON=TIMEOUT
	08:00:06 CIRC_MINOR 2 PURPOSE_CHANGED $A PURPOSE=MEASURE_TIMEOUT OLD_PURPOSE=GENERAL
	08:00:07 CIRC 2 EXTENDED $A,$B PURPOSE=MEASURE_TIMEOUT
	08:00:08 CIRC 2 CLOSED $A,$B PURPOSE=MEASURE_TIMEOUT REASON=FINISHED
	08:30:00 CIRC 3 LAUNCHED PURPOSE=GENERAL
	08:30:01 CIRC 3 FAILED PURPOSE=GENERAL REASON=CHANNEL_CLOSED
	09:00:00 CIRC 4 LAUNCHED PURPOSE=HS_CLIENT_HSDIR
	09:00:01 CIRC 4 EXTENDED $D
	09:00:02 CIRC 4 EXTENDED $D,$B
	09:00:03 CIRC 4 FAILED $D,$B PURPOSE=HS_CLIENT_HSDIR REASON=DESTROYED REMOTE_REASON=CONNECTFAILED
	11:00:00 CIRC 5 LAUNCHED PURPOSE=GENERAL
`

// What each way of counting says of one story.
func TestFailures(t *testing.T) {
	m := story(t, failureStory)
	short := func(f *Failure) string {
		s := fmt.Sprintf("%s %d/%d", f.group(), f.Failed, f.Circuits)
		if f.Sure != "" {
			s += fmt.Sprintf(" %d %s", f.Neighbours, f.Sure)
		}
		if f.LastID != "" {
			s += " last " + f.LastID
		}
		return s
	}
	for by, want := range map[string][]string{
		ByLink: {
			"$A $B 1/2 last 2", // the next hop was seen later
			"$B ? 1/2 last 4",
			"client ? 1/4 last 3", // apart: it may be the network here
		},
		ByRelay: {
			"$B 2/3 2 unsure last 4",
			"$A 1/2 1 one link last 2",
		},
		ByGuard:    {"? 1/2 last 3", "$D 1/1 last 4", "$A 1/2 last 2"},
		ByPosition: {"1 1/4 last 3", "2 1/3 last 2", "3 1/2 last 4"},
		ByReason:   {"CHANNEL_CLOSED/ 1/5 last 3", "DESTROYED/CONNECTFAILED 1/5 last 4", "TIMEOUT/ 1/5 last 2"},
		ByPurpose:  {"GENERAL 2/4 last 3", "HS_CLIENT_HSDIR 1/1 last 4"},
		ByHour:     {"2026-11-23T08 2/3 last 3", "2026-11-23T09 1/1 last 4", "2026-11-23T11 0/1"},
	} {
		var got []string
		for _, f := range failureRows(t, m, journal.Range{}, by) {
			got = append(got, short(f))
		}
		if by == ByGuard { // equal but for the bounds of the rate
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %s:\n got %q\nwant %q", by, got, want)
		}
	}
	if rows := failureRows(t, m, journal.Range{Until: clock(t, "07:00:00")}, ByReason); len(rows) != 0 {
		t.Errorf("before the first event: %d rows", len(rows))
	}
	if _, err := failures(t.Context(), m, journal.Range{}, "colour", Part{}, nil); err == nil || !strings.Contains(err.Error(), "there are link, relay") {
		t.Errorf("by colour: %v", err)
	}
	last, err := json.Marshal(failureRows(t, m, journal.Range{Since: clock(t, "08:59:00"), Until: clock(t, "09:30:00")}, ByReason)[0])
	const want = `{"by":"reason","reason":"DESTROYED","remote_reason":"CONNECTFAILED","circuits":2,"failed":1,"rate":0.5,"rate_low":0.0945,"rate_high":0.9055,"last_time":"2026-11-23T09:00:03.000000Z","last_session":1,"last_id":"4","last_reason":"DESTROYED/CONNECTFAILED"}`
	if err != nil || string(last) != want {
		t.Errorf("a row is\n%s, want\n%s", last, want)
	}
}

// A relay is blamed only with two neighbours, and for more than chance does.
func TestFailuresBlame(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		guard, exit := "$G"+strconv.Itoa(i%3), "$E"+strconv.Itoa(i%5)
		fmt.Fprintf(&b, "08:00:00 CIRC %d LAUNCHED\n", i)
		switch {
		case i%6 == 0:
			fmt.Fprintf(&b, "08:00:01 CIRC %d FAILED %s,$BAD REASON=TIMEOUT\n", i, "$G"+strconv.Itoa(i/6%3))
		case i == 1:
			fmt.Fprintf(&b, "08:00:01 CIRC %d FAILED %s,$LONE REASON=TIMEOUT\n", i, guard)
		default:
			fmt.Fprintf(&b, "08:00:01 CIRC %d BUILT %s,$M,%s\n", i, guard, exit)
		}
	}
	rows := failureRows(t, story(t, b.String()), journal.Range{}, ByRelay)
	if len(rows) != 2 || rows[0].Relay != "$BAD" || rows[0].Sure != Likely || rows[0].Neighbours != 3 || rows[1].Relay != "$LONE" || rows[1].Sure != OneLink {
		for _, r := range rows {
			t.Errorf("%+v", *r)
		}
	}
}

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		so, n     int
		low, high float64
	}{
		{0, 0, 0, 1}, {0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {1, 10, 0.0179, 0.4042}, {5, 10, 0.2366, 0.7634}, {50, 1000, 0.0381, 0.0653},
	} {
		low, high := wilson(c.so, c.n)
		if decimals(low) != c.low || decimals(high) != c.high {
			t.Errorf("%d of %d: %v to %v, want %v to %v", c.so, c.n, decimals(low), decimals(high), c.low, c.high)
		}
	}
}
