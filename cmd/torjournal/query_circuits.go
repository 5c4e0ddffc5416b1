package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryCircuitsCommand() *cli.Command {
	return p.questionCommand("circuits", "each circuit's life: path, build time, bytes, why it ended",
		"torjournal query circuits [--since 1h] [--status WORD] [--relay NAME] [--slower 5s] [--json]\n\n   torjournal query circuits --since 1d --status failed",
		"circuits", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "CIRCUIT|LAUNCHED|OUTCOME|PURPOSE|BUILD|LIFE|READ|WRITTEN|REASON|PATH", circuitCells)
		})
}

// circuitCells are a circuit's cells of the table for people.
func circuitCells(row *query.Circuit, loc *time.Location) []string {
	return []string{
		fmt.Sprintf("%d/%s", row.Session, row.ID),
		stampCell(row.Launched, loc),
		row.Outcome,
		dash(row.Purpose),
		spanCell(row.BuildMS),
		spanCell(row.LifeMS),
		sizeCell(row.ReadBytes),
		sizeCell(row.WrittenBytes),
		dash(reasonCell(row.Reason, row.RemoteReason)),
		dash(printable(pathCell(row.Path))),
	}
}

// reasonCell is a reason and what the other end said: DESTROYED/CONNECTFAILED.
func reasonCell(reason, remote string) string {
	if remote != "" {
		reason += "/" + remote
	}
	return reason
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
