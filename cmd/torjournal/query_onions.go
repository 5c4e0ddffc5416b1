package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryOnionsCommand() *cli.Command {
	return p.questionCommand("onions", "onion services, run or visited: availability, descriptors, introduction points, rendezvous",
		"torjournal query onions [--since 1h] [--role WORD] [--address ADDRESS] [--json]\n\n   torjournal query onions --since 1d --role service",
		"onion services", func(p program, c *cli.Context) table {
			return &onionTable{
				columns: columnsOf(p, c, "ONION|ROLE|AVAILABLE|OF|DESCRIPTORS|INTRODUCTIONS|RENDEZVOUS|LAST|MOST FAILURES", onionCells),
				details: c.IsSet("address"),
			}
		})
}

// onionTable shows onion services, and with details of each the directories and
// introduction points.
type onionTable struct {
	*columns
	details bool
	rows    []*query.Onion
}

func (t *onionTable) row(r query.Row) error {
	if t.details {
		t.rows = append(t.rows, r.(*query.Onion))
	}
	return t.columns.row(r)
}

func (t *onionTable) end() error {
	for _, o := range t.rows {
		for _, part := range []struct {
			head string
			rows [][]string
		}{
			{"DIRECTORY|ASKED|OK|FAILED|UNANSWERED|LAST|LAST REASON", directoryRows(o, t.loc)},
			{"INTRODUCTION POINT|CIRCUIT|ESTABLISHED|LIFE|OUTCOME|REASON", introRows(o, t.loc)},
		} {
			if len(part.rows) == 0 {
				continue
			}
			if err := t.Flush(); err != nil { // each table has widths of its own
				return err
			}
			fmt.Fprintf(t, "\n%s, %s\n%s\n", printable(dash(o.Address)), o.Role, strings.ReplaceAll(part.head, "|", "\t"))
			for _, cells := range part.rows {
				fmt.Fprintln(t, strings.Join(cells, "\t"))
			}
		}
	}
	return nil
}

// onionCells are an onion service's cells of the table for people.
func onionCells(o *query.Onion, loc *time.Location) []string {
	available, of := "-", "-"
	if o.Availability != nil {
		available = fmt.Sprintf("%.4g%%", *o.Availability)
	}
	if c := o.Connections; c != nil {
		if of = fmt.Sprintf("%d connections", c.OK+c.Failed+c.GivenUp); of == "1 connections" {
			of = "1 connection"
		}
	}
	if o.KnownMS != nil {
		of = spanCell(o.KnownMS)
	}
	return []string{
		onionName(o), o.Role, available, of, transferCell(cmp.Or(o.Uploads, o.Fetches)),
		onionCircuitsCell(o.Introductions), onionCircuitsCell(o.Rendezvous), stampCell(o.Last, loc), dash(mostFailures(o)),
	}
}

// onionName is as much of an address as tells it from others.
func onionName(o *query.Onion) string {
	const some = 16
	name := printable(dash(o.Address))
	if len(name) > some+len("…") {
		name = name[:some] + "…"
	}
	return name
}

func transferCell(t *query.OnionTransfers) string {
	if t == nil {
		return "-"
	}
	return fmt.Sprintf("%d of %d", t.OK, t.OK+t.Failed+t.Unanswered)
}

// onionCircuitsCell counts circuits that are decided.
func onionCircuitsCell(c *query.OnionCircuits) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprintf("%d of %d", c.OK, c.OK+c.Failed)
}

// mostFailures says what failed most often of each kind.
func mostFailures(o *query.Onion) string {
	var parts []string
	say := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d× %s", n, printable(what)))
		}
	}
	if t := cmp.Or(o.Uploads, o.Fetches); t != nil {
		say(mostOften(t.Reasons))
	}
	for _, c := range []*query.OnionCircuits{o.Introductions, o.Rendezvous} {
		if c != nil && len(c.FailedBy) > 0 {
			f := c.FailedBy[0]
			say(f.Count, strings.TrimSpace(f.State+" "+reasonCell(f.Reason, f.RemoteReason)))
		}
	}
	if c := o.Connections; c != nil {
		say(mostOften(c.Reasons))
	}
	return strings.Join(parts, ", ")
}

func mostOften(reasons map[string]int) (n int, reason string) {
	for r, m := range reasons {
		if m > n || m == n && r < reason {
			n, reason = m, r
		}
	}
	return n, reason
}

func directoryRows(o *query.Onion, loc *time.Location) (rows [][]string) {
	for _, d := range o.HSDirs {
		rows = append(rows, []string{
			printable(relayName(d.Relay)), fmt.Sprint(d.Asked), fmt.Sprint(d.OK), fmt.Sprint(d.Failed), fmt.Sprint(d.Unanswered),
			stampCell(d.Last, loc), dash(printable(d.LastReason)),
		})
	}
	return rows
}

// introRows are those of introduction points, newest last.
func introRows(o *query.Onion, loc *time.Location) (rows [][]string) {
	for _, i := range o.IntroPoints {
		rows = append(rows, []string{
			dash(printable(relayName(i.Relay))), fmt.Sprintf("%d/%s", i.Session, printable(i.Circuit)), stampCell(i.Established, loc), spanCell(i.LifeMS),
			i.Outcome, dash(printable(reasonCell(i.Reason, i.RemoteReason))),
		})
	}
	return rows
}
