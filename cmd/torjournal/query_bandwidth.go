package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query"
	"torjournal/query/filter"
)

func (p program) queryBandwidthCommand() *cli.Command {
	return &cli.Command{
		Name:      "bandwidth",
		Usage:     "bytes read and written, step by step",
		UsageText: "torjournal query bandwidth [--since 1h] [--step 1m] [--json]\n\n   torjournal query bandwidth --since 1d --step 5m",
		Flags: queryFlags(
			&cli.StringFlag{Name: "step", Value: "1m", Usage: "`LENGTH` of a step, whole seconds: 10s, 5m, 1h"},
		),
		Action: p.queryBandwidth,
	}
}

func (p program) queryBandwidth(c *cli.Context) error {
	step, err := filter.Duration(c.String("step"))
	if err == nil && (step < time.Second || step%time.Second != 0) {
		err = fmt.Errorf("%q: write whole seconds, at least 1s, for example 5m", c.String("step"))
	}
	if err != nil {
		return usagef("--step: %w", err)
	}
	if c.Bool("json") {
		w := bufio.NewWriter(p.stdout)
		enc := json.NewEncoder(w)
		return p.ask(c, w, func(ctx context.Context, rd journal.Reader, r journal.Range) ([]journal.Gap, error) {
			answer, err := query.Bandwidths(ctx, rd, r, step, func(row *query.Bandwidth) error { return enc.Encode(row) })
			p.tellSums(c, answer)
			return answer.Gaps, err
		})
	}
	loc := p.location(c)
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	return p.ask(c, w, func(ctx context.Context, rd journal.Reader, r journal.Range) ([]journal.Gap, error) {
		t := bandwidthTable{w: w, loc: loc}
		answer, err := query.Bandwidths(ctx, rd, r, step, t.row)
		if err == nil {
			err = t.total()
		}
		if t.rows == 0 && err == nil {
			p.nothing("records", r)
		}
		p.tellSums(c, answer)
		return answer.Gaps, err
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

// bandwidthTable writes rows for people and sums them up.
type bandwidthTable struct {
	w   *tabwriter.Writer
	loc *time.Location

	rows                  int
	seconds               int64
	read, written         uint64
	peakRead, peakWritten uint64
}

func (t *bandwidthTable) row(row *query.Bandwidth) error {
	if t.rows++; t.rows == 1 {
		fmt.Fprintln(t.w, "TIME\tSECONDS\tREAD\tWRITTEN\tPEAK READ/s\tPEAK WRITTEN/s\t")
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
	_, err := fmt.Fprintf(t.w, "%s\t%d\t%s\t%s\t%s\t%s\t\n", row.Time.In(t.loc).Format(shortTime), row.Seconds,
		sizeCell(row.ReadBytes), sizeCell(row.WrittenBytes), sizeCell(row.PeakRead), sizeCell(row.PeakWritten))
	return err
}

func (t *bandwidthTable) total() error {
	if t.rows == 0 || t.seconds == 0 {
		return nil
	}
	_, err := fmt.Fprintf(t.w, "total\t%d\t%s\t%s\t%s\t%s\t\n", t.seconds,
		formatSize(t.read), formatSize(t.written), formatSize(t.peakRead), formatSize(t.peakWritten))
	return err
}
