package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryDoctorCommand() *cli.Command {
	return p.questionCommand("doctor", "what is wrong, in plain words, and what to look at next",
		"torjournal query doctor [--since 1h] [--json]\n\n   torjournal query doctor --since today",
		"findings", func(p program, c *cli.Context) table {
			return &doctorPage{out: p.stdout, loc: p.location(c), screen: screenOf(p.stdout)}
		})
}

// doctorPage shows findings, each with its evidence and what to look at next.
type doctorPage struct {
	out    io.Writer
	loc    *time.Location
	screen screen
	rows   int
}

func (d *doctorPage) row(r query.Row) error {
	f := r.(*query.Finding)
	var b strings.Builder
	if d.rows++; d.rows > 1 {
		b.WriteByte('\n')
	}
	severity := strings.ToUpper(f.Severity)
	text := wrapped(fmt.Sprintf("%s %s (%s)", severity, printable(f.What), f.Rule), d.screen.width)
	fmt.Fprintf(&b, "%s%s\n", d.screen.paint(severityColours[f.Severity], severity), text[len(severity):])
	fmt.Fprintf(&b, "  %s\n", d.evidence(f))
	for _, w := range f.Words {
		fmt.Fprintf(&b, "    %s\n", printable(strings.TrimPrefix(w, "650 ")))
	}
	for _, n := range f.Next {
		fmt.Fprintf(&b, "  > %s\n", printable(n))
	}
	_, err := io.WriteString(d.out, b.String())
	return err
}

var severityColours = map[string]string{query.FindingError: bold, query.FindingWarning: yellow, query.FindingNotice: ""}

// evidence says how often, when and in which records.
func (d *doctorPage) evidence(f *query.Finding) string {
	var parts []string
	switch {
	case f.Of > 0:
		parts = append(parts, fmt.Sprintf("%d of %d", f.Count, f.Of))
	case f.Count > 1:
		parts = append(parts, fmt.Sprintf("%d times", f.Count))
	}
	switch first, last := stampCell(f.First, d.loc), stampCell(f.Last, d.loc); {
	case f.First.IsZero() && f.Last.IsZero():
	case f.First.IsZero() || f.First == f.Last:
		parts = append(parts, "at "+last)
	case f.Last.IsZero():
		parts = append(parts, "from "+first)
	default:
		parts = append(parts, first+" to "+last)
	}
	if len(f.Records) > 0 {
		numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint(f.Records), " ", ", "), "[]")
		word := "records "
		if len(f.Records) == 1 {
			word = "record "
		}
		parts = append(parts, word+numbers)
	}
	return strings.Join(parts, ", ")
}

// wrapped breaks a line at blanks where it is wider than the screen; the lines
// that follow are indented. It has at least the first word as it is.
func wrapped(line string, width int) string {
	var b strings.Builder
	used := 0
	for word := range strings.SplitSeq(line, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case b.Len() == 0:
		case width > 0 && used+1+n > width:
			b.WriteString("\n ")
			used = 1
			fallthrough
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

func (d *doctorPage) Flush() error { return nil }
func (d *doctorPage) end() error   { return nil }
