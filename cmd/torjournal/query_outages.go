package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryOutagesCommand() *cli.Command {
	return p.questionCommand("outages", "when tor could not build circuits, or an onion service could not be reached, and why",
		"torjournal query outages [--since 1h] [--json]\n\n   torjournal query outages --since 7d",
		"outages", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "BEGIN|END|LENGTH|SESSION|WHOSE|CAUSE|FAILED|WHAT THE RECORD SHOWS", outageCells)
		})
}

// outageCells are an outage's cells of the table for people.
func outageCells(o *query.Outage, loc *time.Location) []string {
	whose := o.What
	if o.Onion != "" {
		whose = o.Onion + ", no " + o.Without
	}
	end := "it lasts"
	if !o.End.IsZero() {
		end = stampCell(o.End, loc)
	}
	cause := o.Cause
	if cause == "" {
		cause = "unknown"
	}
	shows := []string{o.Detail}
	if len(o.Relays) > 0 {
		names := make([]string, len(o.Relays))
		for i, r := range o.Relays {
			names[i] = relayName(r)
		}
		shows = append(shows, "of "+strings.Join(names, " "))
	}
	if len(o.Purposes) > 0 {
		shows = append(shows, "("+strings.Join(o.Purposes, ", ")+")")
	}
	if len(o.Onions) > 0 {
		shows = append(shows, "onion services: "+strings.Join(o.Onions, ", "))
	}
	return []string{
		stampCell(o.Begin, loc), end, spanCell(o.LengthMS), fmt.Sprint(o.Session), printable(whose), cause, fmt.Sprint(o.Failed),
		dash(printable(strings.TrimSpace(strings.Join(shows, " ")))),
	}
}
