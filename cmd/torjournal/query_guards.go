package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryGuardsCommand() *cli.Command {
	return p.questionCommand("guards", "the guards: since when, up and down, circuits over them",
		"torjournal query guards [--since 1h] [--json]\n\n   torjournal query guards --since 30d",
		"guards", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "GUARD|SESSION|LAYER|FIRST SEEN|STATUS|SINCE|UP|DOWN|TIME DOWN|CIRCUITS|FAILED", guardCells)
		})
}

// guardCells are a guard's cells of the table for people.
func guardCells(g *query.Guard, loc *time.Location) []string {
	down := formatSpan(float64(g.DownMS))
	if !g.DownSince.IsZero() {
		down += " and since " + stampCell(g.DownSince, loc)
	}
	circuits, failed := fmt.Sprint(g.Circuits), fmt.Sprint(g.Failed)
	if g.Layer != 1 {
		circuits, failed = "-", "-"
	}
	return []string{
		printable(relayName(g.Relay)), fmt.Sprint(g.Session), fmt.Sprint(g.Layer), stampCell(g.First, loc), printable(g.Status), stampCell(g.Last, loc),
		fmt.Sprint(g.Ups), fmt.Sprint(g.Downs), down, circuits, failed,
	}
}
