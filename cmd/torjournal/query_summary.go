package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
	"torjournal/tor/event"
)

func (p program) querySummaryCommand() *cli.Command {
	return p.questionCommand("summary", "one screen of what happened: bandwidth, circuits, failures, outages, guards, warnings, gaps in the record",
		"torjournal query summary [--since 1h] [--json]\n\n   torjournal query summary --since today",
		"records", func(p program, c *cli.Context) table {
			return newSummaryPage(p.stdout, p.location(c))
		})
}

// plotLines are those of a panel of the plot.
const plotLines = 2

// detailLines are what a heading has below it on a terminal: with the plot all
// fits 24 lines, and the prompt.
var detailLines = map[string]int{query.SummaryReason: 2, query.SummaryLink: 2, query.SummaryOutage: 1, query.SummaryWarning: 2, query.SummaryGap: 1}

// summaryPage shows a summary when all of it is known.
type summaryPage struct {
	out    io.Writer
	loc    *time.Location
	screen screen
	plot   bandwidthPlot
	rows   map[string][]*query.Summary
}

func newSummaryPage(out io.Writer, loc *time.Location) *summaryPage {
	s := screenOf(out)
	return &summaryPage{out: out, loc: loc, screen: s, plot: bandwidthPlot{screen: s, loc: loc, rows: plotLines}, rows: map[string][]*query.Summary{}}
}

func (s *summaryPage) row(r query.Row) error {
	row := r.(*query.Summary)
	if row.Step != nil {
		s.plot.add(row.Step)
	}
	s.rows[row.What] = append(s.rows[row.What], row)
	return nil
}

func (s *summaryPage) Flush() error { return nil }

func (s *summaryPage) end() error {
	var b bytes.Buffer
	s.head(&b)
	if len(s.rows[query.SummaryStep]) > 0 {
		if err := s.plot.draw(&b); err != nil {
			return err
		}
	}
	s.circuits(&b)
	s.outages(&b)
	s.guards(&b)
	s.warnings(&b)
	s.gaps(&b)
	_, err := b.WriteTo(s.out)
	return err
}

// leastCut is the narrowest screen whose lines are cut: on a narrower one nothing
// that matters would be left of them, so there they are folded by the terminal.
const leastCut = 24

// line writes one, cut to the screen. word is what it is about.
func (s *summaryPage) line(b *bytes.Buffer, word, format string, args ...any) {
	text := fmt.Sprintf("%-10s", word) + fmt.Sprintf(format, args...)
	if s.screen.width >= leastCut {
		text = cut(text, s.screen.width)
	}
	if word != "" {
		text = s.screen.paint(green, text[:len(word)]) + text[len(word):]
	}
	b.WriteString(strings.TrimRight(text, " ") + "\n")
}

// details returns the rows that are shown below a heading: the last ones of what
// happened, the first ones of what is counted.
func (s *summaryPage) details(what string) []*query.Summary {
	rows, n := s.rows[what], detailLines[what]
	switch {
	case s.screen.width == 0 || len(rows) <= n:
		return rows
	case what == query.SummaryGap, what == query.SummaryOutage:
		return rows[len(rows)-n:]
	}
	return rows[:n]
}

func (s *summaryPage) head(b *bytes.Buffer) {
	for _, r := range s.rows[query.SummaryRange] {
		about := ", " + count(int(r.Records), "record")
		if r.Sessions > 1 {
			about += fmt.Sprintf(", %d sessions", r.Sessions)
		}
		if r.Version != "" {
			about += ", tor " + printable(r.Version)
		}
		s.line(b, "RANGE", "%s%s", spanText(r.First.Time, r.Last.Time, s.loc), about)
	}
	for _, r := range s.rows[query.SummaryBandwidth] {
		t := r.Total
		missing := ""
		if n := t.UnknownSteps * t.StepS; n > 0 && s.screen.width == 0 { // else the plot shows it
			missing = fmt.Sprintf(", %s not known", formatStep(time.Duration(n)*time.Second))
		}
		s.line(b, "BANDWIDTH", "read %s, most %s/s; written %s, most %s/s%s",
			formatSize(t.ReadBytes), formatSize(t.PeakRead), formatSize(t.WrittenBytes), formatSize(t.PeakWritten), missing)
	}
}

func (s *summaryPage) circuits(b *bytes.Buffer) {
	for _, r := range s.rows[query.SummaryCircuits] {
		about := percent(float64(*r.Fails) / float64(*r.Count))
		if *r.Late > 0 {
			about += fmt.Sprintf("; %d built too late", *r.Late)
		}
		if *r.Broken > 0 {
			about += fmt.Sprintf("; %d once built", *r.Broken)
		}
		s.line(b, "CIRCUITS", "%d, %d built, %d failed (%s)", *r.Count, *r.Built+*r.Broken, *r.Fails, about)
	}
	// Reasons and links stand beside each other.
	reasons, links := s.details(query.SummaryReason), s.details(query.SummaryLink)
	t := failureTable{loc: s.loc}
	cells := func(rows []*query.Summary, i int) string {
		if i >= len(rows) {
			return ""
		}
		f := rows[i].Failure
		return fmt.Sprintf("%d of %d %s", f.Failed, f.Circuits, printable(t.group(f)))
	}
	wide := 0
	for i := range reasons {
		wide = max(wide, len(cells(reasons, i)))
	}
	for i := range max(len(reasons), len(links)) {
		s.line(b, "", "%-*s  %s", wide, cells(reasons, i), cells(links, i))
	}
}

func (s *summaryPage) outages(b *bytes.Buffer) {
	for _, r := range s.rows[query.SummaryOutages] {
		if *r.Count == 0 {
			s.line(b, "OUTAGES", "none")
			continue
		}
		s.line(b, "OUTAGES", "%d, %s in all", *r.Count, spanCell(r.LengthMS))
	}
	for _, r := range slices.Backward(s.details(query.SummaryOutage)) {
		o := r.Outage
		when := "since " + stampCell(o.Begin, s.loc)
		if !o.End.IsZero() {
			when = spanText(o.Begin.Time, o.End.Time, s.loc)
		}
		text := when + " " + o.Cause
		if o.Cause == "" {
			text = when + " for no known cause"
		}
		if o.Onion != "" {
			text += ", onion service " + o.Onion
		}
		if o.Detail != "" {
			text += ": " + o.Detail
		}
		s.line(b, "", "%s", printable(text))
	}
}

func (s *summaryPage) guards(b *bytes.Buffer) {
	for _, r := range s.rows[query.SummaryGuards] {
		var words []string
		for _, status := range []string{"NEW", "UP", "DOWN", "BAD", "DROPPED"} {
			if n := r.By[status]; n > 0 {
				words = append(words, fmt.Sprintf("%d %s", n, strings.ToLower(status)))
			}
		}
		last := ""
		if turns := s.rows[query.SummaryGuard]; len(turns) > 0 {
			g := turns[len(turns)-1].Guard
			last = fmt.Sprintf("; last %s %s at %s", printable(relayName(g.Relay)), strings.ToLower(g.Status), stampCell(g.Time, s.loc))
		}
		s.line(b, "GUARDS", "%s%s", strings.Join(words, ", "), last)
	}
}

func (s *summaryPage) warnings(b *bytes.Buffer) {
	for _, r := range s.rows[query.SummaryWarnings] {
		if *r.Count == 0 {
			s.line(b, "WARNINGS", "none")
			continue
		}
		s.line(b, "WARNINGS", "%d of %s", *r.Count, count(*r.Kinds, "kind"))
	}
	for _, r := range s.details(query.SummaryWarning) {
		word := ""
		if r.Severity == string(event.ERR) {
			word = "ERR: "
		}
		s.line(b, "", "%s %s%s", count(*r.Count, "time"), word, printable(r.Text))
	}
}

func (s *summaryPage) gaps(b *bytes.Buffer) {
	for _, r := range s.rows[query.SummaryGaps] {
		if *r.Count == 0 {
			s.line(b, "GAPS", "none in the record")
			continue
		}
		s.line(b, "GAPS", "%d in the record", *r.Count)
	}
	for _, r := range slices.Backward(s.details(query.SummaryGap)) {
		s.line(b, "", "%s", printable(gapText(r.Gap, s.loc)))
	}
}

// gapText says when and why the record does not tell.
func gapText(g *query.Hole, loc *time.Location) string {
	when := "at " + stampCell(g.To, loc)
	switch {
	case g.To.IsZero():
		when = "since " + stampCell(g.From, loc)
	case !g.From.IsZero():
		when = spanText(g.From.Time, g.To.Time, loc)
	case g.Cause == query.HoleEvicted:
		when = "before " + stampCell(g.To, loc)
	}
	text := when + " " + g.Cause
	if g.Events > 0 {
		text += ", " + count(int(g.Events), "event")
	}
	if g.Detail != "" {
		text += ": " + g.Detail
	}
	return text
}
