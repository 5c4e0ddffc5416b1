package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

func (p program) queryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "answer a question about the past",
		UsageText: "torjournal query circuits|bandwidth|commands [flags]\n\n   torjournal query circuits --since 1h",
		Subcommands: []*cli.Command{
			p.queryCircuitsCommand(),
			p.queryBandwidthCommand(),
			p.queryCommandsCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("query: there is no question %q; `torjournal query -h` lists them", c.Args().First())
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

// queryFlags are the flags every question has.
func queryFlags(more ...cli.Flag) []cli.Flag {
	return append(append(rangeFlags(), &cli.BoolFlag{Name: "json", Usage: "one JSON object a line, times in UTC"}), more...)
}

// ask runs a question on the selected range, flushes out, and says on
// standard error what the answer lacks.
func (p program) ask(c *cli.Context, out flusher, question func(context.Context, journal.Reader, journal.Range) ([]journal.Gap, error)) error {
	if c.Args().Present() {
		return usagef("query %s takes no argument, but there is %q; `%s -h` shows its flags", c.Command.Name, c.Args().First(), c.Command.HelpName)
	}
	if _, err := p.timeRange(c); err != nil {
		return err
	}
	return p.withReader(c, func(ctx context.Context, rd *daemon.Reader) error {
		r, err := p.selection(c, rd, false)
		if err != nil {
			return err
		}
		gaps, err := question(ctx, rd, r)
		if ferr := out.Flush(); err == nil {
			err = ferr
		}
		for _, g := range gaps {
			if gerr := p.printGap(g); err == nil {
				err = gerr
			}
		}
		return err
	})
}

// flusher is a writer that gathers what is written.
type flusher interface{ Flush() error }

// nothing tells on standard error that an answer has no rows.
func (p program) nothing(what string, r journal.Range) {
	when := ""
	if !r.Since.IsZero() {
		when = " since " + r.Since.In(p.loc).Format(shortTime)
	}
	fmt.Fprintf(p.stderr, "-- no %s%s --\n", what, when)
}
