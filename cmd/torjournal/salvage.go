package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
)

func (p program) salvageCommand() *cli.Command {
	return &cli.Command{
		Name:  "salvage",
		Usage: "save every intact block of a damaged journal into a new one",
		UsageText: "torjournal salvage [--evicted] [--key-file FILE] OLD NEW; OLD is only read, NEW must not exist\n\n   torjournal salvage journal.db saved.db\n\n" +
			"   Records keep their numbers. What could not be found is told, here and by whatever reads NEW.\n" +
			"   Exits 0 if nothing is missing, 1 if something is or may be: NEW is a good journal all the same.",
		Flags: []cli.Flag{
			keyFlag(),
			&cli.BoolFlag{Name: "evicted", Usage: "also take records that the ring had given up and that are still in the file"},
			&cli.BoolFlag{Name: "utc", Usage: "times are UTC"},
		},
		Action: p.salvage,
	}
}

func (p program) salvage(c *cli.Context) error {
	if c.NArg() != 2 {
		return usagef("salvage takes the damaged journal and the name of a new one: `torjournal salvage OLD NEW`")
	}
	from, to := c.Args().Get(0), c.Args().Get(1)
	key, err := readKey(c)
	if err != nil {
		return err
	}
	s, err := journal.Salvage(c.Context, from, to, journal.SalvageOptions{Evicted: c.Bool("evicted"), Key: key})
	if s.Leftover != nil {
		fmt.Fprintf(p.stderr, "torjournal: what an earlier salvage has left beside %s cannot be removed, and holds records: remove it: %v\n", to, s.Leftover)
	}
	switch {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w; name a file that does not exist", err)
	case errors.Is(err, journal.ErrLocked):
		return fmt.Errorf("%w; stop it first", err)
	case errors.Is(err, journal.ErrNothing) && !c.Bool("evicted"):
		return fmt.Errorf("%w; nothing was made: see whether it is the right file, and whether --evicted finds what the ring had given up", err)
	case errors.Is(err, journal.ErrNothing):
		return fmt.Errorf("%w; nothing was made: see whether it is the right file, or take an older copy of it", err)
	case err != nil:
		return err
	}
	if err := printSalvaged(p.stdout, from, to, s, p.location(c), c.Bool("evicted")); err != nil {
		return err
	}
	return incomplete(to, s)
}

// incomplete is the error of a salvage that has not saved all, or does not know
// whether it has.
func incomplete(path string, s journal.Salvaged) error {
	missing := 0
	for _, m := range s.Missing {
		missing += int(m.To - m.From + 1)
	}
	switch {
	case missing > 0:
		return fmt.Errorf("%s is a good journal, but %s could not be saved", path, count(missing, "record"))
	case !s.Whole:
		return fmt.Errorf("%s is a good journal, but whether records after %d are missing is not known", path, s.Last)
	}
	return nil
}

func printSalvaged(w io.Writer, old, path string, s journal.Salvaged, loc *time.Location, evicted bool) error {
	fmt.Fprintf(w, "%s: %s saved, %d to %d, %s, of %s\n", path, count(int(s.Records), "record"),
		s.First, s.Last, spanText(s.Since, s.Until, loc), count(s.Sessions+s.Remade, "session"))
	for _, m := range s.Missing {
		when := ""
		if !m.Since.IsZero() || !m.Until.IsZero() {
			when = " (" + spanText(m.Since, m.Until, loc) + ")"
		}
		fmt.Fprintf(w, "missing: records %d to %d%s\n", m.From, m.To, when)
	}
	if len(s.Missing) == 0 && s.Marked && s.Whole {
		fmt.Fprintf(w, "nothing is missing\n")
	}
	if s.Remade > 0 {
		fmt.Fprintf(w, "of %s nothing but the records was found: the source is not known\n", count(s.Remade, "session"))
	}
	if !s.Sums {
		fmt.Fprintf(w, "the sums of the bandwidth are those of these records: older ones were not found\n")
	}
	if s.Left > 0 {
		fmt.Fprintf(w, "left out: %s that the ring had given up; --evicted takes them\n", count(int(s.Left), "record"))
	}
	if !s.Marked && !evicted {
		fmt.Fprintf(w, "what the ring had given up cannot be told any more: records that it had may be among the first\n")
	}
	if !s.Whole {
		fmt.Fprintf(w, "the old file does not say where it ended: records after %d may be missing\n", s.Last)
	}
	if s.Unreadable > 0 {
		fmt.Fprintf(w, "%s of the old file could not be read from the disk\n", formatSize(uint64(s.Unreadable)))
	}
	_, err := fmt.Fprintf(w, "to record on in it, move %s away and %s into its place\n", old, path)
	return err
}
