package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query"
)

func (p program) queryBandwidthCommand() *cli.Command {
	return p.questionCommand("bandwidth", "bytes read and written, step by step",
		"torjournal query bandwidth [--since 1h] [--step 1m] [--total] [--json]\n\n   torjournal query bandwidth --since 1d --step 5m",
		"records", func(p program, c *cli.Context) table {
			return newBandwidthTable(p.stdout, p.location(c))
		})
}

// tellSums says on standard error what went through while nobody recorded, which
// rows are kept sums, and what longer steps would show.
func (p program) tellSums(c *cli.Context, a query.BandwidthAnswer) {
	for _, u := range a.Unrecorded {
		fmt.Fprintf(p.stderr, "-- %s: in %s that were not recorded tor read about %s and wrote about %s --\n",
			spanText(u.From.Time, u.To.Time, p.location(c)), formatStep(time.Duration(u.Seconds)*time.Second), formatSize(u.ReadBytes), formatSize(u.WrittenBytes))
	}
	if !a.SumsBefore.IsZero() {
		fmt.Fprintf(p.stderr, "-- the rows before %s are sums that were kept: those records are gone --\n", a.SumsBefore.In(p.location(c)).Format(shortTime))
	}
	for _, h := range a.Holes {
		fmt.Fprintf(p.stderr, "-- %s were damaged: rows there tell what is left --\n", holeText(h, p.location(c)))
	}
	if a.Longer != 0 {
		step := "1m"
		if a.Longer == time.Hour {
			step = "1h"
		}
		fmt.Fprintf(p.stderr, "-- before %s there are sums of longer steps only: --step %s shows them --\n", a.LongerBefore.In(p.location(c)).Format(shortTime), step)
	}
}

// holeText says which kept sums were damaged.
func holeText(h journal.RollupHole, loc *time.Location) string {
	switch h.Step {
	case 0:
		return "the kept sums of the bandwidth of before " + h.To.In(loc).Format(shortTime)
	case time.Hour:
		return "the kept sums of the bandwidth by the hour, " + spanText(h.From, h.To, loc) + ","
	}
	return "the kept sums of the bandwidth by the minute, " + spanText(h.From, h.To, loc) + ","
}

// bandwidthTable shows rows to people and sums them up; on a terminal there is
// a plot above them.
type bandwidthTable struct {
	out  io.Writer
	loc  *time.Location
	plot bandwidthPlot
	text bytes.Buffer // the table, which follows the plot
	rows *aligned
	head bool // it is written
	sum  query.BandwidthSum
}

func newBandwidthTable(out io.Writer, loc *time.Location) *bandwidthTable {
	t := &bandwidthTable{out: out, loc: loc, plot: bandwidthPlot{screen: screenOf(out), loc: loc}}
	t.rows = newAligned(&t.text, tabwriter.AlignRight)
	return t
}

func (t *bandwidthTable) row(r query.Row) error {
	if total, ok := r.(*query.BandwidthTotal); ok {
		return t.total(total)
	}
	row := r.(*query.Bandwidth)
	t.plot.add(row)
	t.sum.Add(row)
	return t.line(row.Time.In(t.loc).Format(shortTime), fmt.Sprint(row.Seconds),
		sizeCell(row.ReadBytes), sizeCell(row.WrittenBytes), sizeCell(row.PeakRead), sizeCell(row.PeakWritten))
}

func (t *bandwidthTable) line(cells ...string) error {
	if !t.head {
		t.head = true
		fmt.Fprintln(t.rows, "TIME\tSECONDS\tREAD\tWRITTEN\tPEAK READ/s\tPEAK WRITTEN/s\t")
	}
	_, err := fmt.Fprintln(t.rows, strings.Join(cells, "\t")+"\t")
	return err
}

// total writes what all steps come to.
func (t *bandwidthTable) total(sum *query.BandwidthTotal) error {
	r := sum.BandwidthRates
	switch {
	case sum.Steps == 0:
		return nil
	case r == nil:
		return t.line("total", "0", "-", "-", "-", "-")
	}
	return errors.Join(
		t.line("total", fmt.Sprint(sum.Seconds), formatSize(sum.ReadBytes), formatSize(sum.WrittenBytes), formatSize(r.PeakRead), formatSize(r.PeakWritten)),
		t.line("mean/s", "", formatSize(r.MeanRead), formatSize(r.MeanWritten), "", ""),
		t.line("p95/s", "", formatSize(r.P95Read), formatSize(r.P95Written), "", ""),
	)
}

func (t *bandwidthTable) end() error {
	sum, _ := t.sum.Total()
	return t.total(&sum)
}

func (t *bandwidthTable) Flush() error {
	if err := t.plot.draw(t.out); err != nil {
		return err
	}
	if err := t.rows.Flush(); err != nil {
		return err
	}
	_, err := t.text.WriteTo(t.out)
	return err
}
