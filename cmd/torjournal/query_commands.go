package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query"
)

func (p program) queryCommandsCommand() *cli.Command {
	return &cli.Command{
		Name:      "commands",
		Usage:     "what controllers did to tor: who sent which command, and the answer",
		UsageText: "torjournal query commands [--since 1h] [--counts] [--json]\n\n   torjournal query commands --since 1d",
		Flags: queryFlags(
			&cli.BoolFlag{Name: "counts", Usage: "also how many other commands each connection sent in each minute"},
		),
		Action: p.queryCommands,
	}
}

func (p program) queryCommands(c *cli.Context) error {
	wanted := func(row *query.Command) bool { return row.Count == nil || c.Bool("counts") }
	if c.Bool("json") {
		w := bufio.NewWriter(p.stdout)
		enc := json.NewEncoder(w)
		return p.ask(c, w, func(ctx context.Context, rd journal.Reader, r journal.Range) ([]journal.Gap, error) {
			return query.Commands(ctx, rd, r, func(row *query.Command) error {
				if !wanted(row) {
					return nil
				}
				return enc.Encode(row)
			})
		})
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	return p.ask(c, w, func(ctx context.Context, rd journal.Reader, r journal.Range) ([]journal.Gap, error) {
		rows := 0
		gaps, err := query.Commands(ctx, rd, r, func(row *query.Command) error {
			if !wanted(row) {
				return nil
			}
			if rows++; rows == 1 {
				fmt.Fprintln(w, "TIME\tCONN\tPEER\tCOMMAND\tANSWER\tTOOK\tARGUMENTS")
			}
			_, err := fmt.Fprintln(w, strings.Join(commandCells(row, p.loc), "\t"))
			return err
		})
		if rows == 0 && err == nil {
			p.nothing("commands that change something", r)
		}
		return gaps, err
	})
}

// commandCells are a command's cells of the table for people.
func commandCells(row *query.Command, loc *time.Location) []string {
	verb, answer, took, args := row.Verb, "none", "-", row.Args
	switch {
	case row.Count != nil:
		var verbs []string
		for _, v := range slices.Sorted(maps.Keys(row.Verbs)) {
			verbs = append(verbs, fmt.Sprintf("%s %d", v, row.Verbs[v]))
		}
		verb, answer, args = "(counted)", "-", strings.Join(verbs, ", ")
	case row.Code != nil:
		answer = strconv.FormatInt(*row.Code, 10)
	}
	if row.MS != nil {
		took = strconv.FormatFloat(*row.MS, 'f', 1, 64) + "ms"
	}
	peer := row.Peer
	if row.PID != nil {
		peer += fmt.Sprintf(" pid %d", *row.PID)
	}
	if row.UID != nil {
		peer += fmt.Sprintf(" uid %d", *row.UID)
	}
	return []string{
		stampCell(row.Time, loc), dash(printable(row.Conn)), dash(printable(peer)), dash(printable(verb)), answer, took, dash(printable(args)),
	}
}
