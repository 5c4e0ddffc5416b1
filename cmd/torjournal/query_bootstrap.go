package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryBootstrapCommand() *cli.Command {
	return p.questionCommand("bootstrap", "how tor started: each phase, how long it took, what was in the way",
		"torjournal query bootstrap [--since 1h] [--json]\n\n   torjournal query bootstrap --session 0",
		"BOOTSTRAP events", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "TIME|SESSION|PROGRESS|STEP|AFTER|PHASE|WHAT IS IN THE WAY", bootstrapCells)
		})
}

// bootstrapCells are the cells of a phase in the table for people.
func bootstrapCells(b *query.Bootstrap, loc *time.Location) []string {
	phase := b.Summary
	if phase == "" {
		phase = b.Tag
	}
	if b.Snapshot {
		phase += " (when the recorder attached)"
	}
	return []string{
		stampCell(b.Time, loc), fmt.Sprint(b.Session), fmt.Sprintf("%d%%", b.Progress), spanCell(b.StepMS), spanCell(b.AfterMS),
		dash(printable(phase)), dash(printable(reasonCell(b.Warning, b.Reason))),
	}
}
