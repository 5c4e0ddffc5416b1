package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/replay"
)

func (p program) replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "tell again what happened",
		UsageText: "torjournal replay [--since 1h] [--until TIME] [-e CIRC,BW] [--where EXPRESSION] [-n N] [-f] [-o short|wire|json|torctl]\n\n   torjournal replay --since 1h -e CIRC --where 'Status == \"FAILED\"'",
		Flags: append(append(rangeFlags(), pickFlags()...),
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Usage: "only the last `N` records; lifts the default of one hour"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens now"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "short", Usage: "`FORM` of a record: short, wire (the journaled bytes), json, torctl (as OnionPerf logs)"},
		),
		Action: p.replay,
	}
}

func (p program) replay(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("replay takes no argument, but there is %q; `torjournal replay -h` shows its flags", c.Args().First())
	}
	out, err := newRecordPrinter(p.stdout, c.String("output"), p.location(c))
	if err != nil {
		return err
	}
	if done, err := p.whereHelp(c); done {
		return err
	}
	events, err := p.newPick(c)
	if err != nil {
		return err
	}
	if c.IsSet("lines") && c.Int("lines") < 1 {
		return usagef("-n %d: a number from 1 up is wanted", c.Int("lines"))
	}
	if _, err := p.timeRange(c); err != nil {
		return err
	}
	collectLater(os.Getenv)
	return p.withReader(c, func(ctx context.Context, rd *daemon.Reader) error {
		r, err := p.selection(c, rd, c.IsSet("lines") || events.bounded())
		if err != nil {
			return err
		}
		if r, err = events.narrow(r); err != nil {
			return err
		}
		defer events.done()
		opt := replay.Options{Range: r, Keep: events.keep, Last: c.Int("lines"), Follow: c.Bool("follow")}
		err = replay.Play(ctx, flushingReader{rd, out.w.Flush}, opt, out.print, p.printGap)
		if ferr := out.w.Flush(); err == nil {
			err = ferr
		}
		return err
	})
}

// printGap says between records, on standard error, that some are gone.
func (p program) printGap(g journal.Gap) error {
	_, err := fmt.Fprintf(p.stderr, "-- records %d to %d are gone: the ring evicted them, or they were lost to damage --\n", g.From, g.To)
	return err
}
