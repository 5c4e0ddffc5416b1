package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/query"
	"torjournal/query/filter"
)

// rangeFlags select records; replay and every query have them.
func rangeFlags() []cli.Flag { return rangeFlagsFrom("1h") }

// rangeFlagsFrom are those of a command that begins elsewhere if nothing says
// where.
func rangeFlagsFrom(begin string) []cli.Flag {
	return append(journalFlags(),
		&cli.StringFlag{Name: "since", Usage: "from `TIME` on: 1h, 2h30m, 3d, today, \"2026-11-23 08:15\", RFC 3339, @unix (default: " + begin + ")"},
		&cli.StringFlag{Name: "until", Usage: "before `TIME` (default: no end)"},
		&cli.StringFlag{Name: "session", Aliases: []string{"b"}, Usage: "only session `N`: its number, 0 for the newest, -1 for the one before"},
		utcFlag(),
	)
}

func utcFlag() cli.Flag {
	return &cli.BoolFlag{Name: "utc", Usage: "times without a zone, in and out, are UTC"}
}

// location returns the zone that times without one are in.
func (p program) location(c *cli.Context) *time.Location {
	if c.Bool("utc") {
		return time.UTC
	}
	return p.loc
}

// selection reads --since, --until and --session. Where none of them is
// given, and nothing else bounds the answer, it is the last hour.
func (p program) selection(c *cli.Context, rd journal.Reader, bounded bool) (journal.Range, error) {
	r, err := p.timeRange(c)
	if err != nil {
		return r, err
	}
	if s := c.String("session"); c.IsSet("session") {
		if s == "" {
			return r, usagef("--session is empty: write a session's number, 0 for the newest or -1 for the one before")
		}
		sessions, err := rd.Sessions(c.Context)
		if err != nil {
			return r, err
		}
		if r.Session, err = filter.Session(s, sessions); err != nil {
			return r, usagef("--session: %w", err)
		}
		bounded = true
	}
	if !bounded && r.Since.IsZero() {
		r = filter.LastHour(r, p.now())
	}
	return r, p.tellBeginning(c, rd, r)
}

// tellElsewhere says on standard error, where nothing was found in r and that
// begins with the default hour, from when on the journal has records: those of
// an imported log are older.
func (p program) tellElsewhere(c *cli.Context, rd journal.Reader, r journal.Range) error {
	if c.IsSet("since") || c.IsSet("session") || r.Since.IsZero() {
		return nil
	}
	b, err := rd.Bounds(c.Context)
	if err != nil || b.Last == 0 || !b.FirstTime.Before(r.Since) {
		return err
	}
	from := b.FirstTime.UTC().Truncate(time.Second).Format(time.RFC3339)
	_, err = fmt.Fprintf(p.stderr, "-- without --since only one hour is looked at; --since %s takes all that the journal has --\n", from)
	return err
}

// tellBeginning says on standard error that the ring has evicted a part of
// what was asked for: what is missing is said.
func (p program) tellBeginning(c *cli.Context, rd journal.Reader, r journal.Range) error {
	b, gone, err := query.Evicted(c.Context, rd, r)
	if gone {
		p.tellFirst(c, b, "")
	}
	return err
}

// tellSides is tellBeginning of the two ranges that a comparison is of.
func (p program) tellSides(c *cli.Context, rd journal.Reader, o *query.Options) error {
	b, sides, err := o.Evicted(c.Context, rd, 0)
	if len(sides) > 0 {
		p.tellFirst(c, b, "of "+strings.Join(sides, " and ")+", ")
	}
	return err
}

// tellFirst says on standard error with what the journal begins, if that is
// not its first record, and of what that is missing, if there are words for it.
func (p program) tellFirst(c *cli.Context, b journal.Bounds, of string) {
	if b.First > 1 {
		fmt.Fprintf(p.stderr, "-- %srecords before %d (%s) are gone: the ring evicted them, or they were lost to damage --\n",
			of, b.First, b.FirstTime.In(p.location(c)).Format(shortTime))
	}
}

// timeRange reads --since and --until alone: bad words are told before a
// journal is looked for.
func (p program) timeRange(c *cli.Context) (r journal.Range, err error) {
	now, loc := p.now(), p.location(c)
	if s := c.String("since"); c.IsSet("since") {
		if r.Since, err = filter.Time(s, now, loc); err != nil {
			return r, usagef("--since: %w", err)
		}
	}
	if s := c.String("until"); c.IsSet("until") {
		if r.Until, err = filter.Time(s, now, loc); err != nil {
			return r, usagef("--until: %w", err)
		}
	}
	if !r.Since.IsZero() && !r.Until.IsZero() && !r.Since.Before(r.Until) {
		return r, usagef("--since %s is not before --until %s: nothing can lie between", c.String("since"), c.String("until"))
	}
	return r, nil
}

// withReader calls do with the daemon or the file, at the lowest priority:
// reading history must not hurt what records it.
func (p program) withReader(c *cli.Context, do func(ctx context.Context, rd *daemon.Reader) error) error {
	path, err := journalPath(c)
	if err != nil {
		return err
	}
	key, err := keyFile(c)
	if err != nil {
		return err
	}
	lowerPriority()
	rd, err := daemon.OpenReader(c.Context, path, key)
	if err != nil {
		return noJournal{err}
	}
	defer rd.Close()
	if rd.Daemon() {
		leaveProcessor(os.Getenv)
	}
	return do(c.Context, rd)
}
