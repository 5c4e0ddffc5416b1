package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryORConnsCommand() *cli.Command {
	return p.questionCommand("orconns", "connections to other relays: how long they took and lasted, why they ended",
		"torjournal query orconns [--since 1h] [--status WORD] [--relay NAME] [--json]\n\n   torjournal query orconns --since 1d --status failed",
		"OR connections", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "CONNECTION|LAUNCHED|OUTCOME|CONNECT|LIFE|CIRCUITS|REASON|RELAY", orConnCells)
		})
}

// orConnCells are an OR connection's cells of the table for people.
func orConnCells(o *query.ORConn, loc *time.Location) []string {
	circuits, relay := "-", printable(relayOrAddress(o.Relay))
	if o.Circuits > 0 {
		circuits = fmt.Sprint(o.Circuits)
	}
	if o.Incoming {
		relay = "from " + relay
	}
	return []string{
		fmt.Sprintf("%d/%s", o.Session, dash(printable(o.ID))), stampCell(o.Launched, loc), o.Outcome, spanCell(o.ConnectMS), spanCell(o.LifeMS),
		circuits, dash(printable(o.Reason)), dash(relay),
	}
}

// relayOrAddress is relayName of what may be an address:port.
func relayOrAddress(s string) string {
	if len(s) > 0 && s[0] == '$' {
		return relayName(s)
	}
	return s
}
