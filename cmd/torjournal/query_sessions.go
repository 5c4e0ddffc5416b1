package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
)

func (p program) querySessionsCommand() *cli.Command {
	return p.questionCommand("sessions", "the tor processes that were recorded: when, which version, how many records",
		"torjournal query sessions [--since 1h] [--json]\n\n   torjournal query sessions --since 2020-01-01",
		"sessions", func(p program, c *cli.Context) table {
			return columnsOf(p, c, "SESSION|BEGUN|ENDED|RECORDS|FIRST|LAST|ROLE|VERSION|PID|SOURCE", sessionCells)
		})
}

// sessionCells are a session's cells of the table for people.
func sessionCells(s *query.Session, loc *time.Location) []string {
	pid := "-"
	if s.PID != 0 {
		pid = strconv.Itoa(s.PID)
	}
	return []string{
		fmt.Sprint(s.Session), stampCell(s.Begun, loc), stampCell(s.Ended, loc), fmt.Sprint(s.Records), fmt.Sprint(s.First), fmt.Sprint(s.Last),
		dash(s.Role), dash(printable(s.Version)), pid, dash(printable(s.Name)),
	}
}
