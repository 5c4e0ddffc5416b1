package main

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query"
)

func (p program) queryBandwidthCommand() *cli.Command {
	return p.questionCommand("bandwidth", "bytes read and written, step by step",
		"torjournal query bandwidth [--since 1h] [--step 1m] [--json]\n\n   torjournal query bandwidth --since 1d --step 5m",
		"records", func(p program, c *cli.Context) table {
			return newBandwidthTable(p.stdout, p.location(c))
		})
}

// tellSums says on standard error which rows are kept sums, and what longer
// steps would show.
func (p program) tellSums(c *cli.Context, a query.BandwidthAnswer) {
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
	rows *tabwriter.Writer

	begun                 bool
	seconds               int64
	read, written         uint64
	peakRead, peakWritten uint64
}

func newBandwidthTable(out io.Writer, loc *time.Location) *bandwidthTable {
	t := &bandwidthTable{out: out, loc: loc, plot: bandwidthPlot{screen: screenOf(out), loc: loc}}
	t.rows = tabwriter.NewWriter(&t.text, 0, 8, 2, ' ', tabwriter.AlignRight)
	return t
}

func (t *bandwidthTable) row(r query.Row) error {
	row := r.(*query.Bandwidth)
	t.plot.add(row)
	if !t.begun {
		t.begun = true
		fmt.Fprintln(t.rows, "TIME\tSECONDS\tREAD\tWRITTEN\tPEAK READ/s\tPEAK WRITTEN/s\t")
	}
	t.seconds += row.Seconds
	for _, sum := range []struct {
		to   *uint64
		from *uint64
	}{{&t.read, row.ReadBytes}, {&t.written, row.WrittenBytes}} {
		if sum.from != nil {
			*sum.to += *sum.from
		}
	}
	if row.PeakRead != nil {
		t.peakRead = max(t.peakRead, *row.PeakRead)
	}
	if row.PeakWritten != nil {
		t.peakWritten = max(t.peakWritten, *row.PeakWritten)
	}
	_, err := fmt.Fprintf(t.rows, "%s\t%d\t%s\t%s\t%s\t%s\t\n", row.Time.In(t.loc).Format(shortTime), row.Seconds,
		sizeCell(row.ReadBytes), sizeCell(row.WrittenBytes), sizeCell(row.PeakRead), sizeCell(row.PeakWritten))
	return err
}

func (t *bandwidthTable) end() error {
	if t.seconds == 0 {
		return nil
	}
	_, err := fmt.Fprintf(t.rows, "total\t%d\t%s\t%s\t%s\t%s\t\n", t.seconds,
		formatSize(t.read), formatSize(t.written), formatSize(t.peakRead), formatSize(t.peakWritten))
	return err
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
