package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryStreamsCommand() *cli.Command {
	return p.questionCommand("streams", "each stream's life: target, circuits, time to connect, bytes, how it ended",
		"torjournal query streams [--since 1h] [--status WORD] [--target TEXT] [--circuit N] [--json]\n\n   torjournal query streams --since 1d --status failed",
		"streams", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "STREAM|OPENED|OUTCOME|PURPOSE|CONNECT|READ|WRITTEN|CIRCUITS|REASON|TARGET", streamCells)
		})
}

// streamCells are a stream's cells of the table for people.
func streamCells(row *query.Stream, loc *time.Location) []string {
	return []string{
		fmt.Sprintf("%d/%s", row.Session, row.ID),
		stampCell(row.Opened, loc),
		row.Outcome,
		dash(row.Purpose),
		spanCell(row.ConnectMS),
		sizeCell(row.ReadBytes),
		sizeCell(row.WrittenBytes),
		dash(strings.Join(row.Circuits, ",")),
		dash(reasonCell(row.Reason, row.RemoteReason)),
		dash(printable(row.Target)),
	}
}
