package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryRelaysCommand() *cli.Command {
	return p.questionCommand("relays", "the relays that circuits went over: how often, how fast, where it broke",
		"torjournal query relays [--since 1h] [--json]\n\n   torjournal query relays --since 7d",
		"relays", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "RELAY|CIRCUITS|FIRST HOP|LAST HOP|BUILT|FAILED THERE|EXTENDED|HALF WITHIN|90 % WITHIN", relayCells)
		})
}

// relayCells are a relay's cells of the table for people.
func relayCells(r *query.Relay, _ *time.Location) []string {
	return []string{
		printable(relayName(r.Relay)), fmt.Sprint(r.Circuits), fmt.Sprint(r.First), fmt.Sprint(r.Last), fmt.Sprint(r.Built), fmt.Sprint(r.Failed),
		fmt.Sprint(r.Extended), spanCell(r.P50MS), spanCell(r.P90MS),
	}
}
