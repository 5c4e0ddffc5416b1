package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"torjournal/query"
)

// plotted draws steps of which the bytes of a second are given; below 0: they
// are not known.
func plotted(t *testing.T, p *bandwidthPlot, begin time.Time, step int64, rates ...int64) string {
	t.Helper()
	for i, rate := range rates {
		row := &query.Bandwidth{Time: query.Stamp{Time: begin.Add(time.Duration(int64(i)*step) * time.Second)}, StepS: step}
		if rate >= 0 {
			read, written := uint64(rate*step), uint64(rate/10*step)
			row.Seconds, row.ReadBytes, row.WrittenBytes = step, &read, &written
		}
		p.add(row)
	}
	var b strings.Builder
	if err := p.draw(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var plotBegin = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// Nothing, little, much and what is not known look different.
func TestPlot(t *testing.T) {
	rates := []int64{0, 1, 1000, 5000, 8000, -1, -1, 20480, 3000, 0, 0, 4000}
	p := &bandwidthPlot{screen: screen{width: 50, marks: blockMarks}, loc: time.UTC, rows: 4}
	wantText(t, plotted(t, p, plotBegin, 60, rates...), `
read, bytes a second
 20.0 KiB ┤               ░░░░░░███
          │               ░░░░░░███
 10.0 KiB ┤            ▅▅▅░░░░░░███
          │   ▁▁▁▂▂▂██████░░░░░░███▅▅▅      ▇▇▇
        0 └┬──────────────┬──────────────┬─────
written, bytes a second
 2.00 KiB ┤               ░░░░░░███
          │               ░░░░░░███
 1.00 KiB ┤            ▅▅▅░░░░░░███
          │      ▂▂▂██████░░░░░░███▅▅▅      ▇▇▇
        0 └┬──────────────┬──────────────┬─────
           08:00          08:05          08:10
░ not known · 1m each bar
`)
	p = &bandwidthPlot{screen: screen{width: 40, marks: asciiMarks, colour: true}, loc: time.FixedZone("", 19800), rows: 2}
	wantText(t, escaped(plotted(t, p, plotBegin, 3600, rates...)), `
<32>read, bytes a second<0>
<2> 20.0 KiB +<0><32>          <0><2>????<0><32>##<0>
<2> 10.0 KiB +<0><32>  ____--==<0><2>????<0><32>##..    ..<0>
<2>        0 ++-----------------------<0>
<35>written, bytes a second<0>
<2> 2.00 KiB +<0><35>          <0><2>????<0><35>##<0>
<2> 1.00 KiB +<0><35>    __--==<0><2>????<0><35>##..    ..<0>
<2>        0 ++-----------------------<0>
<2>           11-23 13:30:00<0>
<2>? not known, 1h each bar<0>
`)
}

// escaped shows colours: <2> for ESC [ 2 m.
func escaped(s string) string { return colourCode.ReplaceAllString(s, "<$1>") }

var colourCode = regexp.MustCompile("\x1b\\[([0-9;]*)m")

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

func TestBars(t *testing.T) {
	for _, c := range []struct {
		n, most, width int
		blocks, ascii  string
	}{{0, 10, 4, "", ""}, {1, 1000, 4, "▏", "#"}, {10, 10, 4, "████", "####"}, {5, 10, 5, "██▌", "###"}, {7, 8, 1, "▉", "#"}} {
		if got := blockMarks.bar(c.n, c.most, c.width); got != c.blocks {
			t.Errorf("%d of %d in %d: %q", c.n, c.most, c.width, got)
		}
		if got := asciiMarks.bar(c.n, c.most, c.width); got != c.ascii {
			t.Errorf("%d of %d in %d: %q", c.n, c.most, c.width, got)
		}
	}
}

// Whatever there is to draw, and however wide the screen is, no line is wider.
func TestPlotFits(t *testing.T) {
	for _, n := range []int{1, 2, 59, 60, 61, 1000, 5000, 20_000} {
		rates := make([]int64, n)
		for i := range rates {
			rates[i] = int64(i)*int64(i)*1000 - 100
		}
		for _, step := range []int64{1, 7, 60, 300, 3600, 86400} {
			for _, width := range []int{0, 1, 26, 27, 40, 80, 133, 5000} {
				p := &bandwidthPlot{screen: screen{width: width, marks: blockMarks}, loc: time.UTC}
				got := plotted(t, p, plotBegin, step, rates...)
				if (got != "") != (width >= 27 && n > 1) {
					t.Errorf("%d steps in %d columns: %q", n, width, got)
				}
				if len(p.cells) > maxCells {
					t.Errorf("it holds %d cells", len(p.cells))
				}
				for line := range strings.Lines(got) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
						t.Fatalf("%d steps of %ds in %d columns: %d in %q", n, step, width, n, line)
					}
				}
			}
		}
	}
}

// Joined columns are means over the seconds that are known.
func TestPlotJoins(t *testing.T) {
	a, b := bandwidthCell{60, 600, 60}, bandwidthCell{20, 2000, 0}
	got := joined([]bandwidthCell{a, b, {}, {}, a}, 2)
	if want := fmt.Sprint([]bandwidthCell{{80, 2600, 60}, {}, a}); fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// Ticks stand at round times of the clocks there, also on the day when those
// are changed.
func TestTimeTicks(t *testing.T) {
	f := func(begin string, step time.Duration, columns int, loc *time.Location, want string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, begin)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tick := range timeTicks(at, step, columns, loc) {
			got = append(got, fmt.Sprintf("%d=%s", tick.column, tick.label))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s, %d of %v: %s, want %s", begin, columns, step, text, want)
		}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here")
	}
	f("2026-11-23T08:00:03Z", time.Second, 40, time.UTC, "7=08:00:10 17=08:00:20 27=08:00:30")
	f("2026-11-23T08:00:00Z", time.Minute, 60, time.UTC, "0=08:00 10=08:10 20=08:20 30=08:30 40=08:40 50=08:50")
	f("2026-11-23T22:10:00Z", 5*time.Minute, 60, berlin, "10=11-24 22=01:00 34=02:00 46=03:00")
	f("2026-10-24T20:00:00Z", time.Hour, 48, berlin, "2=10-25 15=12:00 27=10-26 39=12:00")
	f("2026-11-23T00:00:00Z", 24*time.Hour, 60, time.UTC, "0=11-23 7=11-30 14=12-07 21=12-14 28=12-21 35=12-28 42=01-04 49=01-11")
	f("2024-11-23T00:00:00Z", 10*24*time.Hour, 60, time.UTC, "6=01-20 15=04-21 24=07-21 34=10-20 43=01-19 52=04-20")
	f("2026-11-23T08:00:03Z", time.Minute, 16, time.UTC, "0=11-23 08:00:03") // room for one round time only
	f("2026-11-23T08:00:03Z", time.Second, 14, time.UTC, "0=11-23 08:00:03")
	f("2026-11-23T08:00:03Z", time.Hour, 5, time.UTC, "")
	f("1969-12-31T23:59:58Z", time.Second, 30, time.UTC, "2=01-01 12=00:00:10 22=00:00:20")
}

// The environment says whether a terminal takes more than ASCII.
func TestUnicodeLocale(t *testing.T) {
	for env, want := range map[string]bool{
		"": true, "LANG=C": false, "LANG=C.UTF-8": true, "LANG=de_DE.utf8": true, "LANG=de_DE.UTF-8 LC_ALL=POSIX": false, "LANG=C LC_CTYPE=en_GB.UTF-8": true,
	} {
		got := unicodeLocale(func(name string) string {
			for word := range strings.FieldsSeq(env) {
				if v, ok := strings.CutPrefix(word, name+"="); ok {
					return v
				}
			}
			return ""
		})
		if got != want {
			t.Errorf("%s: %v", env, got)
		}
	}
}
