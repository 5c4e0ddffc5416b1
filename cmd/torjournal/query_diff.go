package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryDiffCommand() *cli.Command {
	return p.questionCommand("diff", "two ranges of time side by side: what changed, and whether it may be chance",
		"torjournal query diff A B [--json]\n\n   torjournal query diff yesterday today\n   torjournal query diff session:-1 session:0\n   torjournal query diff \"2026-11-20..2026-11-22\" 2d..now",
		"records in either range", func(p program, c *cli.Context) table {
			t := &diffTable{out: p.stdout, loc: p.location(c), colour: coloured(p.stdout)}
			t.rows = tabwriter.NewWriter(&t.text, 0, 8, 2, ' ', 0)
			return t
		})
}

// diffTable shows ranges side by side.
type diffTable struct {
	out    io.Writer
	loc    *time.Location
	colour bool
	text   bytes.Buffer
	rows   *tabwriter.Writer

	part string   // which heading was written last
	say  []string // below the rows
}

func (t *diffTable) row(r query.Row) error {
	d := r.(*query.Difference)
	switch d.What {
	case query.DiffRange:
		t.head("", "A", "B", "")
		t.line("since", t.when(d.A.Since, d.A.Session), t.when(d.B.Since, d.B.Session))
		if d.A.Session == 0 || d.B.Session == 0 {
			t.line("until", t.when(d.A.Until, d.A.Session), t.when(d.B.Until, d.B.Session))
		}
		t.line("sessions", fmt.Sprint(*d.A.Sessions), fmt.Sprint(*d.B.Sessions))
		t.line("bandwidth known", knownCell(*d.A.Seconds), knownCell(*d.B.Seconds))
	case query.DiffVersion:
		t.line("tor", dash(printable(strings.Join(d.A.Versions, ", "))), dash(printable(strings.Join(d.B.Versions, ", "))), d.Verdict)
	case query.DiffFailures:
		t.line("circuits", fmt.Sprint(*d.A.Circuits), fmt.Sprint(*d.B.Circuits))
		t.compared(d, "failed", failedCell(&d.A), failedCell(&d.B))
	case query.DiffBuilds:
		t.compared(d, "build time, half below", spanCell(d.A.MedianMS), spanCell(d.B.MedianMS))
		t.line("build time, 90 % below", spanCell(d.A.P90MS), spanCell(d.B.P90MS))
	case query.DiffRead, query.DiffWritten:
		t.compared(d, d.What+"/s, mean", sizeCell(d.A.Mean), sizeCell(d.B.Mean))
		t.line(d.What+"/s, half of steps below", sizeCell(d.A.Median), sizeCell(d.B.Median))
		if d.What == query.DiffRead && d.Serial != nil {
			t.say = append(t.say, fmt.Sprintf("bandwidth: %d and %d steps of %s were compared; neighbours correlate by %.2f", *d.A.Steps, *d.B.Steps, formatStep(time.Duration(d.StepS)*time.Second), *d.Serial))
		}
	case query.DiffReason:
		t.head("REASON", "A", "B", "")
		t.compared(d, printable(d.Name), failedCell(&d.A), failedCell(&d.B))
	case query.DiffGuard:
		t.head("FIRST HOP, CIRCUITS", "A", "B", "")
		t.line(printable(relayName(d.Name)), fmt.Sprint(*d.A.Circuits), fmt.Sprint(*d.B.Circuits), d.Verdict)
	}
	return nil
}

// head begins another part of the table.
func (t *diffTable) head(words ...string) {
	if t.part == words[0] && t.part != "" {
		return
	}
	if t.part = words[0]; t.part != "" {
		t.line("")
	}
	t.line(words...)
}

// line writes a row. All have as many cells, or they would not stand below each
// other.
func (t *diffTable) line(cells ...string) {
	for len(cells) > 1 && len(cells) < 4 {
		cells = append(cells, "")
	}
	fmt.Fprintln(t.rows, strings.Join(cells, "\t"))
}

// compared writes a row that was tested.
func (t *diffTable) compared(d *query.Difference, name, a, b string) {
	verdict := d.Verdict
	if d.PAll != nil {
		verdict += fmt.Sprintf(" (p %s)", pCell(*d.PAll))
	}
	t.line(name, a, b, verdict)
}

func (t *diffTable) end() error {
	t.say = append(t.say, "rose, fell: chance makes so much of a difference in less than 1 of 20 such answers (p below 0.05);",
		"no sign does not say that nothing changed")
	return nil
}

func (t *diffTable) Flush() error {
	if err := t.rows.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.text.String()) {
		line = strings.TrimRight(line, " \n")
		colour := ""
		if strings.Contains(line, "  "+query.Rose+" (") || strings.Contains(line, "  "+query.Fell+" (") || strings.HasSuffix(line, "  "+query.Changed) {
			colour = yellow
		}
		if _, err := fmt.Fprintln(t.out, screen{colour: t.colour}.paint(colour, line)); err != nil {
			return err
		}
	}
	for i, line := range t.say {
		if i == 0 {
			fmt.Fprintln(t.out)
		}
		if _, err := fmt.Fprintln(t.out, screen{colour: t.colour}.paint(faint, line)); err != nil {
			return err
		}
	}
	return nil
}

// when names an end of a range.
func (t *diffTable) when(s query.Stamp, session uint64) string {
	switch {
	case session != 0:
		return fmt.Sprintf("session %d", session)
	case s.IsZero():
		return "-"
	}
	return s.In(t.loc).Format(shortTime)
}

func knownCell(seconds int64) string {
	if seconds == 0 {
		return "-"
	}
	return formatStep(time.Duration(seconds) * time.Second)
}

func failedCell(s *query.Side) string {
	if s.Rate == nil {
		return "-"
	}
	return fmt.Sprintf("%d: %s (%s to %s)", *s.Failed, percent(*s.Rate), percent(*s.RateLow), percent(*s.RateHigh))
}

// pCell writes how likely something is by chance.
func pCell(p float64) string {
	if p < 0.0001 {
		return "<0.0001"
	}
	return fmt.Sprintf("%.2g", p)
}
