package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/replay"
)

func (p program) replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "tell again what happened",
		UsageText: "torjournal replay [--since 1h] [--until TIME] [-e CIRC,BW] [--where EXPRESSION] [-n N] [-r | -f] [--speed 1x] [-o short|wire|json|torctl]\n\n   torjournal replay --since 1h -e CIRC --where 'Status == \"FAILED\"'",
		Flags: slices.Concat(rangeFlags(), pickFlags(), cursorFlags(), pagerFlags(), []cli.Flag{
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Usage: "only the last `N` records; lifts the default of one hour"},
			&cli.BoolFlag{Name: "reverse", Aliases: []string{"r"}, Usage: "newest first"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens now"},
			&cli.StringFlag{Name: "speed", Value: "max", Usage: "`SPEED` of the records' own times: 1x as they came, 10x ten times faster, max without waiting"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "short", Usage: "`FORM` of a record: short, wire (the journaled bytes), json, torctl (as OnionPerf logs)"},
		}),
		Action: p.paged(program.replay),
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
	at, err := newPlace(c)
	if err != nil {
		return err
	}
	opt, err := pacing(c)
	if err != nil {
		return err
	}
	collectLater(os.Getenv)
	return p.withReader(c, func(ctx context.Context, rd *daemon.Reader) error {
		r, err := p.selection(c, rd, c.IsSet("lines") || events.Bounded() || at.bounded())
		if err != nil {
			return err
		}
		if r, err = events.narrow(r); err != nil {
			return err
		}
		if r, err = at.narrow(r, opt.Reverse); err != nil {
			return err
		}
		if err := p.knows(ctx, rd, at); err != nil {
			return err
		}
		defer events.done()
		opt.Range, opt.Keep, opt.Last = r, events.keep, c.Int("lines")
		shown := false
		err = replay.Play(ctx, flushingReader{rd, out.w.Flush}, opt, func(r journal.Record) error {
			if err := out.print(r); err != nil {
				return err
			}
			at.last, shown = r.Seq, true
			if opt.Speed > 0 {
				return out.w.Flush() // before the pause that may follow
			}
			return nil
		}, p.printGap)
		if ferr := out.w.Flush(); ferr != nil {
			return cmp.Or(err, ferr) // nobody has seen the last ones
		}
		if err == nil && !shown {
			err = p.tellElsewhere(c, rd, r)
		}
		cerr := at.end(p) // also where the replay was interrupted: all up to there was shown
		return cmp.Or(err, cerr)
	})
}

// knows refuses a cursor behind the end of the journal: it is another one's.
func (p program) knows(ctx context.Context, rd journal.Reader, at *place) error {
	if !at.bounded() {
		return nil
	}
	b, err := rd.Bounds(ctx)
	if err == nil && at.from > b.Last {
		return usagef("the cursor %d is not of this journal, whose newest record is %d; leave it away to begin anew, or name the other one with --journal", at.from, b.Last)
	}
	return err
}

// pacing reads -r, -f and --speed.
func pacing(c *cli.Context) (replay.Options, error) {
	opt := replay.Options{Reverse: c.Bool("reverse"), Follow: c.Bool("follow")}
	if s := c.String("speed"); s != "max" {
		v, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			return opt, usagef("--speed %q: write 1x for the pace at which the records came, 10x for ten times faster, or max", s)
		}
		opt.Speed = v
	}
	switch {
	case opt.Reverse && opt.Follow:
		return opt, usagef("-r shows the newest first, -f goes on with what comes: leave one of the two away")
	case opt.Reverse && opt.Speed > 0:
		return opt, usagef("-r has no pace: leave it or --speed away")
	}
	return opt, nil
}

// printGap says between records, on standard error, that some are gone.
func (p program) printGap(g journal.Gap) error {
	_, err := fmt.Fprintf(p.stderr, "-- records %d to %d are gone: the ring evicted them, or they were lost to damage --\n", g.From, g.To)
	return err
}
