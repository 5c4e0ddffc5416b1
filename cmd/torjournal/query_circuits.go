package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query"
)

func (p program) queryCircuitsCommand() *cli.Command {
	return &cli.Command{
		Name:      "circuits",
		Usage:     "each circuit's life: path, build time, bytes, why it ended",
		UsageText: "torjournal query circuits [--since 1h] [--status WORD] [--json]\n\n   torjournal query circuits --since 1d --status failed",
		Flags: queryFlags(
			&cli.StringFlag{Name: "status", Usage: "only circuits of that `WORD`: tor's last status or the outcome (built, failed, open, lost …)"},
		),
		Action: p.queryCircuits,
	}
}

func (p program) queryCircuits(c *cli.Context) error {
	status := c.String("status")
	if status != "" && !knownWord(status) {
		return usagef("--status %q: there are %s", status, strings.Join(query.CircuitWords(), ", "))
	}
	wanted := func(row *query.Circuit) bool { return status == "" || row.Is(status) }
	if c.Bool("json") {
		w := bufio.NewWriter(p.stdout)
		enc := json.NewEncoder(w)
		return p.ask(c, w, func(ctx context.Context, rd journal.Reader, r journal.Range) ([]journal.Gap, error) {
			return query.Circuits(ctx, rd, r, func(row *query.Circuit) error {
				if !wanted(row) {
					return nil
				}
				return enc.Encode(row)
			})
		})
	}
	loc := p.location(c)
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	return p.ask(c, w, func(ctx context.Context, rd journal.Reader, r journal.Range) ([]journal.Gap, error) {
		rows := 0
		gaps, err := query.Circuits(ctx, rd, r, func(row *query.Circuit) error {
			if !wanted(row) {
				return nil
			}
			if rows++; rows == 1 {
				fmt.Fprintln(w, "CIRCUIT\tLAUNCHED\tOUTCOME\tPURPOSE\tBUILD\tLIFE\tREAD\tWRITTEN\tREASON\tPATH")
			}
			_, err := fmt.Fprintln(w, strings.Join(circuitCells(row, loc), "\t"))
			return err
		})
		if rows == 0 && err == nil {
			p.nothing("circuits", r)
		}
		return gaps, err
	})
}

func knownWord(word string) bool {
	for _, w := range query.CircuitWords() {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// circuitCells are a circuit's cells of the table for people.
func circuitCells(row *query.Circuit, loc *time.Location) []string {
	reason := row.Reason
	if row.RemoteReason != "" {
		reason += "/" + row.RemoteReason
	}
	return []string{
		fmt.Sprintf("%d/%s", row.Session, row.ID),
		stampCell(row.Launched, loc),
		row.Outcome,
		dash(row.Purpose),
		spanCell(row.BuildMS),
		spanCell(row.LifeMS),
		sizeCell(row.ReadBytes),
		sizeCell(row.WrittenBytes),
		dash(reason),
		dash(printable(pathCell(row.Path))),
	}
}

// pathCell names the hops by nickname, as people know their relays; a hop
// without one by the first digits of its fingerprint.
func pathCell(path []string) string {
	hops := make([]string, len(path))
	for i, hop := range path {
		fp, nick, named := strings.Cut(hop, "~")
		if named && nick != "" {
			hops[i] = nick
		} else {
			hops[i] = fp[:min(len(fp), 9)]
		}
	}
	return strings.Join(hops, ",")
}

func stampCell(s query.Stamp, loc *time.Location) string {
	if s.IsZero() {
		return "-"
	}
	return s.In(loc).Format("01-02 15:04:05.000")
}

func spanCell(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return formatSpan(float64(*ms))
}

func sizeCell(n *uint64) string {
	if n == nil {
		return "-"
	}
	return formatSize(*n)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
