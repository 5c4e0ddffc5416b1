package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryFailuresCommand() *cli.Command {
	return p.questionCommand("failures", "what the circuits that failed have in common",
		"torjournal query failures [--by "+strings.Join(query.FailureGroups(), "|")+"] [--since 1h] [--json]\n\n   torjournal query failures --since 7d --by link",
		"failed circuits", func(p program, c *cli.Context) table {
			return &failureTable{aligned: newAligned(p.stdout, 0), loc: p.location(c)}
		})
}

// failureTable shows groups of failed circuits.
type failureTable struct {
	*aligned
	loc  *time.Location
	rows int
}

func (t *failureTable) row(r query.Row) error {
	f := r.(*query.Failure)
	if t.rows++; t.rows == 1 {
		sure := ""
		if f.By == query.ByRelay {
			sure = "\tNEIGHBOURS\tIS IT THE RELAY"
		}
		fmt.Fprintf(t, "%s\tFAILED\tOF\tRATE\t95 %%%s\tLAST\tCIRCUIT\tREASON\n", strings.ToUpper(f.By), sure)
	}
	cells := []string{
		dash(printable(t.group(f))), fmt.Sprint(f.Failed), fmt.Sprint(f.Circuits), percent(f.Rate), percent(f.RateLow) + " to " + percent(f.RateHigh),
	}
	if f.By == query.ByRelay {
		cells = append(cells, fmt.Sprint(f.Neighbours), f.Sure)
	}
	example := "-"
	if f.LastID != "" {
		example = fmt.Sprintf("%d/%s", f.LastSession, f.LastID)
	}
	_, err := fmt.Fprintln(t, strings.Join(append(cells, stampCell(f.LastTime, t.loc), example, dash(f.LastReason)), "\t"))
	return err
}

func (t *failureTable) end() error { return nil }

// group names what the circuits of a row have in common.
func (t *failureTable) group(f *query.Failure) string {
	switch f.By {
	case query.ByLink:
		return relayName(f.Link[0]) + " > " + relayName(f.Link[1])
	case query.ByRelay, query.ByGuard:
		return relayName(f.Relay)
	case query.ByPosition:
		return fmt.Sprintf("hop %d", f.Position)
	case query.ByReason:
		return reasonCell(f.Reason, f.RemoteReason)
	case query.ByHour:
		return f.Hour.In(t.loc).Format("01-02 15:04")
	}
	return f.Purpose
}

func percent(rate float64) string { return fmt.Sprintf("%.1f%%", 100*rate) }
