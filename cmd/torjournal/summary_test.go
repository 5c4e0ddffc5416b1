package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"torjournal/query"
)

// A summary can be read on a screen of any width: what it is about is never cut
// away, and neither is what matters on one that is too narrow for a line.
func TestSummaryOnNarrowScreens(t *testing.T) {
	forty, thirty, ten, four, two := 40, 30, 10, 4, 2
	for width := 1; width <= 100; width++ {
		var b strings.Builder
		page := newSummaryPage(&b, time.UTC)
		page.screen = screen{width: width, marks: blockMarks, colour: true}
		page.plot.screen = page.screen
		for _, row := range []*query.Summary{
			{What: query.SummaryCircuits, Count: &forty, Built: &thirty, Fails: &ten, Late: &four, Broken: &two},
			{What: query.SummaryStep, Step: &query.Bandwidth{StepS: 10, Seconds: 10}},
		} {
			if err := page.row(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := page.end(); err != nil {
			t.Fatalf("%d columns: %v", width, err)
		}
		line := b.String()[strings.Index(b.String(), green+"CIRCUITS"):]
		line, _, _ = strings.Cut(line, "\n")
		line = strings.NewReplacer(green, "", plain, "").Replace(line)
		const whole = "CIRCUITS  40, 32 built, 10 failed (25.0%; 4 built too late; 2 once built)"
		want := whole
		if width >= leastCut {
			want = strings.TrimRight(whole[:min(width, len(whole))], " ")
		}
		if line != want {
			t.Errorf("%d columns: %q (%d characters), not %q", width, line, utf8.RuneCountInString(line), want)
		}
	}
}
