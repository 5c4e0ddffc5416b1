package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
)

// circuitsFrom tells n circuits, one a second from some time on, of which
// one in every fails, over a guard, each built so many ms after it was launched.
func circuitsFrom(t *testing.T, at string, first, n, every, ms int, guard, reason string) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		from := clock(t, at).Add(time.Duration(i) * time.Second)
		fmt.Fprintf(&b, "%s BW %d %d\n", from.Format("15:04:05.000"), 1000+ms+i%7, 10+i%3)
		fmt.Fprintf(&b, "%s CIRC %d LAUNCHED PURPOSE=GENERAL\n", from.Format("15:04:05.000"), first+i)
		end := from.Add(time.Duration(ms+i%10) * time.Millisecond).Format("15:04:05.000")
		if i%every == every-1 {
			fmt.Fprintf(&b, "%s CIRC %d FAILED %s PURPOSE=GENERAL REASON=%s\n", end, first+i, guard, reason)
		} else {
			fmt.Fprintf(&b, "%s CIRC %d BUILT %s,$B,$C PURPOSE=GENERAL\n", end, first+i, guard)
		}
	}
	return b.String()
}

// upgrade is a tor before and after an upgrade that did it no good.
func upgrade(t *testing.T) *memory {
	m := story(t, circuitsFrom(t, "08:00:00", 1, 400, 20, 300, "$A1", "TIMEOUT")+"session 2\n"+
		circuitsFrom(t, "09:00:00", 1, 200, 50, 300, "$A2", "DESTROYED REMOTE_REASON=CHANNEL_CLOSED")+circuitsFrom(t, "09:04:00", 500, 200, 4, 500, "$A1", "TIMEOUT"))
	m.sessions[0].Source.Version, m.sessions[1].Source.Version = "0.4.8.12", "0.4.9.1"
	return m
}

func diffRows(t *testing.T, src source, a, b string) string {
	t.Helper()
	return rows(t, func(emit func(*Difference) error) ([]journal.Gap, error) {
		var spans [2]filter.Span
		for i, s := range []string{a, b} {
			var err error
			if spans[i], err = filter.ReadSpan(s, clock(t, "12:00:00"), time.UTC); err != nil {
				t.Fatal(err)
			}
		}
		return diff(t.Context(), src, 0, spans[0], spans[1], Part{}, emit)
	})
}

func TestDiff(t *testing.T) {
	m := upgrade(t)
	// 20 of 400 failed, then 54 of 400; 380 build times, then 196 as before and 150 longer ones.
	want := []string{
		`{"what":"version","a":{"versions":["0.4.8.12"]},"b":{"versions":["0.4.9.1"]},"verdict":"changed"}`,
		`{"what":"failures","a":{"circuits":400,"failed":20,"rate":0.05,"rate_low":0.0326,"rate_high":0.076},"b":{"circuits":400,"failed":54,"rate":0.135,"rate_low":0.105,"rate_high":0.172},"verdict":"rose","test":"fisher","p":0.0000434,"p_all":0.00013}`,
		`{"what":"builds","a":{"circuits":380,"median_ms":304,"p90_ms":308},"b":{"circuits":346,"median_ms":308,"p90_ms":507},"verdict":"rose","test":"mann-whitney","p":7.89e-26,"p_all":3.16e-25,"above":0.725}`,
		`{"what":"read","a":{"steps":7,"mean":1303,"median":1303},"b":{"steps":6,"mean":1403,"median":1303},"verdict":"too few","step_s":60,"serial":0.1153}`,
		`{"what":"written","a":{"steps":7,"mean":11,"median":11},"b":{"steps":6,"mean":11,"median":11},"verdict":"too few","step_s":60,"serial":0.1038}`,
		`{"what":"reason","name":"TIMEOUT","a":{"circuits":400,"failed":20,"rate":0.05,"rate_low":0.0326,"rate_high":0.076},"b":{"circuits":400,"failed":50,"rate":0.125,"rate_low":0.0961,"rate_high":0.161},"verdict":"rose","test":"fisher","p":0.000238,"p_all":0.000475}`,
		`{"what":"reason","name":"DESTROYED/CHANNEL_CLOSED","a":{"circuits":400,"failed":0,"rate":0,"rate_low":0,"rate_high":0.0095},"b":{"circuits":400,"failed":4,"rate":0.01,"rate_low":0.0039,"rate_high":0.0254},"verdict":"no sign","test":"fisher","p":0.124,"p_all":0.124}`,
		`{"what":"guard","name":"$A2","a":{"circuits":0},"b":{"circuits":200},"verdict":"new"}`,
	}
	wantRows(t, "two sessions", diffRows(t, m, "session:1", "session:2"), append([]string{
		`{"what":"range","a":{"session":1,"sessions":1,"seconds":400,"circuits":400},"b":{"session":2,"sessions":1,"seconds":400,"circuits":400}}`}, want...)...)
	wantRows(t, "a range and a session", diffRows(t, m, "..2026-11-23 08:30", "session:2"), append([]string{
		`{"what":"range","a":{"until":"08:30:00.000000Z","sessions":1,"seconds":400,"circuits":400},"b":{"session":2,"sessions":1,"seconds":400,"circuits":400}}`}, want...)...)
	wantRows(t, "two ranges", diffRows(t, m, "..2026-11-23 08:30", "2026-11-23 08:30.."), append([]string{
		`{"what":"range","a":{"until":"08:30:00.000000Z","sessions":1,"seconds":400,"circuits":400},"b":{"since":"08:30:00.000000Z","until":"12:00:00.000000Z","sessions":1,"seconds":400,"circuits":400}}`}, want...)...)
}

// An answer in parts is of when it was asked first, though a session goes on.
func TestDiffOfASessionThatGoesOn(t *testing.T) {
	m := upgrade(t)
	ask := func(to uint64) string {
		return rows(t, func(emit func(*Difference) error) ([]journal.Gap, error) {
			return diff(t.Context(), m, to, filter.Span{Session: "1"}, filter.Span{Session: "2"}, Part{}, emit)
		})
	}
	want, to := ask(0), uint64(len(m.recs))
	m.add(2, clock(t, "09:30:00"), "650 BW 1000000 1000000\r\n")
	if got := ask(to); got != want {
		t.Errorf("of the records that there were: %s", firstDifference(got, want))
	}
}

// A circuit counts where it began, whatever became of it later.
func TestDiffCountsCircuitsOnce(t *testing.T) {
	m := story(t, `
		07:59:00 CIRC 9 LAUNCHED PURPOSE=GENERAL
		08:00:00 BW 1 1
		08:00:01 CIRC 1 LAUNCHED PURPOSE=GENERAL
		08:00:02 CIRC 2 LAUNCHED PURPOSE=GENERAL
		08:00:03 CIRC 9 FAILED $A PURPOSE=GENERAL REASON=TIMEOUT
		08:10:00 CIRC 1 BUILT $A PURPOSE=GENERAL
		08:10:01 CIRC 2 FAILED $A PURPOSE=GENERAL REASON=TIMEOUT
		08:10:02 CIRC 3 LAUNCHED PURPOSE=GENERAL
	`)
	wantRows(t, "at the border", diffRows(t, m, "2026-11-23 08:00..2026-11-23 08:05", "2026-11-23 08:05..2026-11-23 08:30"),
		`{"what":"range","a":{"since":"08:00:00.000000Z","until":"08:05:00.000000Z","sessions":1,"seconds":1,"circuits":2},"b":{"since":"08:05:00.000000Z","until":"08:30:00.000000Z","sessions":1,"seconds":0,"circuits":1}}`,
		`{"what":"failures","a":{"circuits":2,"failed":1,"rate":0.5,"rate_low":0.0945,"rate_high":0.9055},"b":{"circuits":1,"failed":0,"rate":0,"rate_low":0,"rate_high":0.7935},"verdict":"no sign","test":"fisher","p":1,"p_all":1}`,
		`{"what":"builds","a":{"circuits":1,"median_ms":599000,"p90_ms":599000},"b":{"circuits":0},"verdict":"too few"}`,
		`{"what":"read","a":{"steps":0,"mean":1},"b":{"steps":0},"verdict":"too few","step_s":60}`,
		`{"what":"written","a":{"steps":0,"mean":1},"b":{"steps":0},"verdict":"too few","step_s":60}`,
		`{"what":"reason","name":"TIMEOUT","a":{"circuits":2,"failed":1,"rate":0.5,"rate_low":0.0945,"rate_high":0.9055},"b":{"circuits":1,"failed":0,"rate":0,"rate_low":0,"rate_high":0.7935},"verdict":"no sign","test":"fisher","p":1,"p_all":1}`,
		`{"what":"guard","name":"$A","a":{"circuits":2},"b":{"circuits":0},"verdict":"gone"}`)
}

func TestDiffOfNothing(t *testing.T) {
	wantRows(t, "an empty journal", diffRows(t, &memory{}, "1d..1h", "1h.."))
	m := upgrade(t)
	wantRows(t, "empty ranges", diffRows(t, m, "3d..2d", "2d..1d"))
	wantRows(t, "one empty range", diffRows(t, m, "3d..2d", "2026-11-23 09:00..2026-11-23 09:00:30"),
		`{"what":"range","a":{"since":"2026-11-20T12:00:00.000000Z","until":"2026-11-21T12:00:00.000000Z","sessions":0,"seconds":0,"circuits":0},"b":{"since":"09:00:00.000000Z","until":"09:00:30.000000Z","sessions":1,"seconds":30,"circuits":30}}`,
		`{"what":"version","a":{},"b":{"versions":["0.4.9.1"]},"verdict":"too few"}`,
		`{"what":"failures","a":{"circuits":0,"failed":0},"b":{"circuits":30,"failed":0,"rate":0,"rate_low":0,"rate_high":0.1135},"verdict":"too few"}`,
		`{"what":"builds","a":{"circuits":0},"b":{"circuits":30,"median_ms":304,"p90_ms":308},"verdict":"too few"}`,
		`{"what":"read","a":{"steps":0},"b":{"steps":1,"mean":1303,"median":1303},"verdict":"too few","step_s":60}`,
		`{"what":"written","a":{"steps":0},"b":{"steps":1,"mean":11,"median":11},"verdict":"too few","step_s":60}`)
}

func TestDiffRefuses(t *testing.T) {
	m, never := upgrade(t), func(*Difference) error { t.Error("a row"); return nil }
	f := func(a, b filter.Span, want string) {
		t.Helper()
		if _, err := diff(t.Context(), m, 0, a, b, Part{}, never); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v and %+v: %v, want %q", a, b, err, want)
		}
	}
	at := func(s string) time.Time { return clock(t, s) }
	f(filter.Span{Since: at("08:00:00"), Until: at("09:00:00")}, filter.Span{Since: at("08:59:59"), Until: at("10:00:00")}, "A and B overlap")
	f(filter.Span{Since: at("08:59:59"), Until: at("10:00:00")}, filter.Span{Since: at("08:00:00"), Until: at("09:00:00")}, "A and B overlap")
	f(filter.Span{Session: "1"}, filter.Span{Session: "-1"}, "A and B overlap")
	f(filter.Span{Session: "1"}, filter.Span{Since: at("08:06:00"), Until: at("09:30:00")}, "A and B overlap")
	f(filter.Span{Until: at("08:00:01")}, filter.Span{Session: "1"}, "A and B overlap")
	f(filter.Span{Session: "1"}, filter.Span{Session: "7"}, "B: session 7: the journal holds sessions 1 to 2")
	if _, err := diff(t.Context(), m, 0, filter.Span{Session: "1"}, filter.Span{Session: "2"}, Part{Memory: 1000}, never); !errors.Is(err, ErrTooMuch) {
		t.Errorf("in 1,000 bytes: %v", err)
	}
	stop := errors.New("enough")
	if _, err := diff(t.Context(), m, 0, filter.Span{Session: "1"}, filter.Span{Session: "2"}, Part{}, func(*Difference) error { return stop }); err != stop {
		t.Error(err)
	}
}

// A range may be so much longer than the other that it has too many of the steps
// that the other one wants.
func TestDiffOfALongAndAShortRange(t *testing.T) {
	m := &memory{}
	at := clock(t, "08:00:00")
	for day := range 100 {
		m.add(1, at.Add(-time.Duration(500-day)*24*time.Hour), "650 BW 100 10\r\n")
	}
	for second := range 600 {
		m.add(1, at.Add(time.Duration(second)*time.Second), "650 BW 200 20\r\n")
	}
	var got []string
	_, err := diff(t.Context(), m, 0, filter.Span{Until: at}, filter.Span{Since: at}, Part{Memory: 16 << 20}, func(d *Difference) error {
		if d.StepS > 0 {
			got = append(got, fmt.Sprint(d.What, " ", d.StepS, " ", *d.A.Mean, " ", *d.B.Mean, " ", d.Verdict))
		}
		return nil
	})
	if want := []string{"read 600 100 200 too few", "written 600 10 20 too few"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// What looks like a change among many tests is none; and of many circuits rates
// may differ behind the decimals that are shown.
func TestJudge(t *testing.T) {
	rate := func(a, b int, p float64) *Difference {
		d := rateDiff(DiffReason, "", &diffSide{circuits: 1_000_000}, &diffSide{circuits: 1_000_000}, a, b)
		d.P = &p
		return d
	}
	rows := []*Difference{rate(100_000, 200_000, .03), rate(200_000, 100_000, .001), rate(1, 40, .002), {What: DiffRange}, {What: DiffRead}}
	judge(rows)
	var got []string
	for _, d := range rows {
		got = append(got, d.Verdict)
	}
	if text := strings.Join(got, ","); text != "rose,fell,rose,,too few" || *rows[2].PAll != .004 {
		t.Errorf("%s, %v", text, *rows[2].PAll)
	}
	rows = []*Difference{rate(100_000, 200_000, .03), rate(100_000, 200_000, .04)}
	if judge(rows); rows[0].Verdict != NoSign || *rows[0].P != .03 || *rows[0].PAll != .06 {
		t.Errorf("%+v", rows[0])
	}
}

func TestPartsOfDiff(t *testing.T) {
	m := upgrade(t)
	got, _ := pages(t, 2, func(part Part, emit func(Row) error) error {
		_, err := diff(t.Context(), m, 0, filter.Span{Session: "1"}, filter.Span{Session: "2"}, part, asRows[*Difference](emit))
		return err
	})
	if want := diffRows(t, m, "session:1", "session:2"); got != want {
		t.Errorf("by two:\n%s\nwant\n%s", got, want)
	}
}

// Of halves of a recorded tor, circuits and failures are those that its lines
// tell.
func TestDiffOfCorpora(t *testing.T) {
	for _, file := range corpora(t) {
		m := corpus(t, file)
		if len(m.recs) > 30_000 {
			continue
		}
		begin, end := m.recs[0].Time, m.recs[len(m.recs)-1].Time
		half := begin.Add(end.Sub(begin) / 2)
		in := map[string]int{} // which half a circuit was launched in
		failed := map[string]bool{}
		var want [2][2]int
		for _, rec := range m.recs {
			words := strings.Fields(string(rec.Wire))
			if len(words) < 4 || words[1] != "CIRC" {
				continue
			}
			id := words[2]
			if _, known := in[id]; words[3] == "LAUNCHED" && !known {
				in[id] = 0
				if !rec.Time.Before(half) {
					in[id] = 1
				}
				want[in[id]][0]++
			} else if words[3] == "FAILED" && known && !failed[id] {
				failed[id] = true
				want[in[id]][1]++
			}
		}
		var got [2][2]int
		if _, err := diff(t.Context(), m, 0, filter.Span{Until: half}, filter.Span{Since: half}, Part{}, func(d *Difference) error {
			if d.What == DiffFailures {
				got = [2][2]int{{*d.A.Circuits, *d.A.Failed}, {*d.B.Circuits, *d.B.Failed}}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %v, want %v", filepath.Base(file), got, want)
		}
	}
}
