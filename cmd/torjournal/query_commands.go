package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) queryCommandsCommand() *cli.Command {
	return p.questionCommand("commands", "what controllers did to tor: who sent which command, and the answer",
		"torjournal query commands [--since 1h] [--counts] [--json]\n\n   torjournal query commands --since 1d",
		"commands that change something", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "TIME|CONN|PEER|COMMAND|ANSWER|TOOK|ARGUMENTS", commandCells)
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
		if row.Conns != nil {
			verb = "(left out)"
			if *row.Conns > 1 {
				args += fmt.Sprintf("; of %d connections", *row.Conns)
			}
		}
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
