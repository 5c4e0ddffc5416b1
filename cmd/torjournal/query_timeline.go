package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/query"
	"torjournal/tor/event"
)

func (p program) queryCircuitCommand() *cli.Command {
	return p.timelineCommand("circuit", "one circuit's whole life: hops, OR connection, streams, bytes, commands, log lines around it")
}

func (p program) queryStreamCommand() *cli.Command {
	return p.timelineCommand("stream", "one stream's whole life: circuits, bytes, commands, log lines around it")
}

func (p program) timelineCommand(name, usage string) *cli.Command {
	q, _ := query.FindQuestion(name)
	return &cli.Command{
		Name:      q.Name,
		Usage:     usage,
		ArgsUsage: "ID",
		UsageText: fmt.Sprintf("torjournal query %s ID [--session N] [--since TIME] [--json]\n\n   torjournal query %s 42 --session -1", name, name),
		Flags:     questionFlags(q),
		Action: p.paged(func(p program, c *cli.Context) error {
			t := &timelineTable{aligned: newAligned(p.stdout, 0), loc: p.location(c)}
			return p.question(c, q, name+" "+printable(c.Args().First()), t)
		}),
	}
}

// timelineTable shows what a circuit or a stream met with, a line each.
type timelineTable struct {
	*aligned
	loc  *time.Location
	rows int
}

func (t *timelineTable) row(r query.Row) error {
	s := r.(*query.Step)
	if t.rows++; t.rows == 1 {
		fmt.Fprintf(t, "SESSION %d\tAFTER\tEVENT\t\t\n", s.Session)
	}
	_, err := fmt.Fprintln(t, strings.Join([]string{
		stampCell(s.Time, t.loc), spanCell(s.AfterMS), s.Type, dash(s.What), printable(stepDetails(s)),
	}, "\t"))
	return err
}

func (t *timelineTable) end() error { return nil }

// stepDetails says the rest of a row in words.
func stepDetails(s *query.Step) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case s.Hop > 0 && s.HopMS != nil:
		add("hop %d %s in %s", s.Hop, relayName(s.Relay), spanCell(s.HopMS))
	case s.Hop > 0 && s.Relay != "":
		add("hop %d %s", s.Hop, relayName(s.Relay))
	case s.Hop > 0:
		add("%d hops", s.Hop)
	case s.Relay != "":
		add("to %s", relayName(s.Relay))
	}
	if s.Type != string(event.CIRC) && s.Circuit != "" && s.Stream != "" {
		add("stream %s on circuit %s", s.Stream, s.Circuit)
	} else if s.Stream != "" && s.What != "bytes" {
		add("stream %s", s.Stream)
	} else if s.Circuit != "" && s.What != "bytes" {
		add("circuit %s", s.Circuit)
	}
	for _, word := range []string{s.Target, s.Purpose, s.HSState, s.Verb, s.Text} {
		if word != "" {
			parts = append(parts, word)
		}
	}
	if s.Reason != "" {
		add("(%s)", reasonCell(s.Reason, s.RemoteReason))
	}
	if s.ReadBytes != nil {
		add("read %s, written %s", sizeCell(s.ReadBytes), sizeCell(s.WrittenBytes))
	}
	return strings.Join(parts, "  ")
}

// relayName is a relay's nickname, or the beginning of its fingerprint.
func relayName(relay string) string { return pathCell([]string{relay}) }
