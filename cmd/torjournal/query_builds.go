package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryBuildsCommand() *cli.Command {
	return p.questionCommand("builds", "how long circuits took to build, and the timeout that tor computed",
		"torjournal query builds [--since 1h] [--json]\n\n   torjournal query builds --since 1d",
		"build times", func(p program, c *cli.Context) table {
			return &buildTable{out: p.stdout, loc: p.location(c), screen: screenOf(p.stdout)}
		})
}

// buildTable shows the distribution of build times, on a terminal with a bar for
// each part of it, and the timeouts, each when all of it is known.
type buildTable struct {
	screen
	out               io.Writer
	loc               *time.Location
	sum               *query.Build
	buckets, timeouts []*query.Build
}

func (t *buildTable) row(r query.Row) error {
	switch b := r.(*query.Build); b.What {
	case query.BuildSum:
		t.sum = b
	case query.BuildBucket:
		t.buckets = append(t.buckets, b)
	case query.BuildTimeout:
		t.timeouts = append(t.timeouts, b)
	}
	return nil
}

func (t *buildTable) Flush() error { return nil }

func (t *buildTable) end() error {
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	ms := func(n int64) string { return spanCell(&n) }
	if s := t.sum; s != nil {
		left := ""
		if *s.Learning > 0 {
			left = fmt.Sprintf(", and %d while tor learned its timeout or only measured", *s.Learning)
		}
		fmt.Fprintf(w, "%d circuits were built%s\n", *s.Circuits, left)
		if s.BuildTimes != nil {
			fmt.Fprintln(w, "\nMEAN\tLEAST\t10 %\tHALF\t80 %\t90 %\t95 %\t99 %\tMOST")
			fmt.Fprintln(w, strings.Join([]string{
				ms(s.MeanMS), ms(s.MinMS), ms(s.P10MS), ms(s.P50MS), ms(s.P80MS), ms(s.P90MS), ms(s.P95MS), ms(s.P99MS), ms(s.MaxMS),
			}, "\t"))
		}
	}
	t.histogram(w)
	if len(t.timeouts) > 0 {
		fmt.Fprintln(w, "\nTIME\tSESSION\tTIMEOUT\tWHAT\tTIMES KEPT\tTIMED OUT")
	}
	for _, b := range t.timeouts {
		fmt.Fprintln(w, strings.Join([]string{
			stampCell(b.Time, t.loc), fmt.Sprint(b.Session), ms(int64(b.TimeoutMS)), printable(b.Kind), fmt.Sprint(b.TotalTimes), percent(b.TimeoutRate),
		}, "\t"))
	}
	return w.Flush()
}

// histogram writes how many circuits each bucket has.
func (t *buildTable) histogram(w io.Writer) {
	const widest, cells = 50, 26 // of a bar, and of what stands before it
	most, room := 0, min(widest, t.width-cells)
	for _, b := range t.buckets {
		most = max(most, *b.Circuits)
	}
	if most == 0 {
		return
	}
	fmt.Fprintln(w, "\nFROM\tTO\tCIRCUITS\t")
	for _, b := range t.buckets {
		to := "-"
		if b.ToMS != nil {
			to = spanCell(b.ToMS)
		}
		bar := ""
		if room > 0 {
			bar = t.paint(green, t.marks.bar(*b.Circuits, most, room))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", spanCell(b.FromMS), to, *b.Circuits, bar)
	}
}
