package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

func (p program) vacuumCommand() *cli.Command {
	return &cli.Command{
		Name:  "vacuum",
		Usage: "make the journal's file as small as its records allow, and leave nothing else in it",
		UsageText: "torjournal vacuum [--journal FILE] [--max-size SIZE] [--max-age AGE]; a recorder goes on recording meanwhile\n\n" +
			"   torjournal vacuum --max-age 7d\n" +
			"   torjournal vacuum --scrub        what it tells is then fit to be shown: not with whom",
		Flags: slices.Concat(journalFlags(), []cli.Flag{
			&cli.StringFlag{Name: "max-size", Usage: "first remove the oldest records until the file has at most `SIZE`"},
			&cli.StringFlag{Name: "max-age", Usage: "first remove records older than `AGE`, 7d for instance"},
			&cli.BoolFlag{Name: "encrypt", Usage: "encrypt the journal with the key of --key-file, which is made if it is not there; no recorder may run"},
			&cli.BoolFlag{Name: "decrypt", Usage: "undo --encrypt"},
			&cli.BoolFlag{Name: "json", Usage: "one JSON object"},
		}, scrubFlags()),
		Action: p.vacuum,
	}
}

// vacuumed is what vacuum prints as JSON; its names are stable.
type vacuumed struct {
	Before  int64  `json:"size_bytes_before"`
	After   int64  `json:"size_bytes"`
	Evicted uint64 `json:"evicted"`
	First   uint64 `json:"first,omitempty"`
	Last    uint64 `json:"last,omitempty"`

	Scrub    string  `json:"scrub,omitempty"`    // names the key
	Replaced *uint64 `json:"replaced,omitempty"` // records that --scrub has changed
}

func (p program) vacuum(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("vacuum takes no argument, but there is %q; --journal names the file", c.Args().First())
	}
	path, err := journalPath(c)
	if err != nil {
		return err
	}
	limits, err := vacuumLimits(c)
	if err != nil {
		return err
	}
	hashing, err := p.scrubbing(c, path)
	if err != nil {
		return err
	}
	tellMigrated := p.tellMigrated(path)
	v, err := p.vacuumHow(c, path, limits, hashing)
	tellMigrated()
	if err != nil {
		return err
	}
	out := vacuumed{Before: v.Before, After: v.After, Evicted: v.Evicted}
	if v.First <= v.Last {
		out.First, out.Last = v.First, v.Last
	}
	if hashing != nil {
		out.Scrub, out.Replaced = hashing.hasher.ID(), &v.Rewritten
		if err := hashing.tell(p.stderr, path); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return printJSON(p.stdout, out)
	}
	return p.printVacuumed(path, out)
}

// vacuumHow vacuums the journal, and changes how it is encrypted, or what its
// records say, if that is asked for.
func (p program) vacuumHow(c *cli.Context, path string, l journal.Limits, hashing *scrubbing) (journal.Vacuumed, error) {
	key, err := keyFile(c)
	if err != nil {
		return journal.Vacuumed{}, err
	}
	rekeys := c.Bool("encrypt") || c.Bool("decrypt")
	switch {
	case rekeys && hashing != nil:
		return journal.Vacuumed{}, usagef("--scrub and --encrypt or --decrypt are two vacuums: run one after the other")
	case rekeys:
		return p.rekey(c, path, key, l)
	case hashing != nil:
		return hashing.run(c.Context, path, key, l)
	}
	return vacuum(c.Context, path, key, l)
}

func vacuumLimits(c *cli.Context) (l journal.Limits, err error) {
	if s := c.String("max-size"); s != "" {
		if l.MaxSize, err = parseSize(s); err != nil {
			return l, usagef("--max-size: %w", err)
		}
		if l.MaxSize < journal.MinMaxSize {
			return l, usagef("--max-size %s: a journal needs at least %s", s, formatSize(journal.MinMaxSize))
		}
	}
	if s := c.String("max-age"); s != "" {
		if l.MaxAge, err = parseAge(s); err != nil {
			return l, usagef("--max-age: %w", err)
		}
	}
	return l, nil
}

// vacuum asks the recorder that runs on the journal, or does it itself.
func vacuum(ctx context.Context, path string, f daemon.KeyFile, l journal.Limits) (journal.Vacuumed, error) {
	client, err := daemon.Dial(ctx, path)
	if err == nil {
		defer client.Close()
		return client.Vacuum(ctx, l)
	}
	if errors.Is(err, os.ErrPermission) {
		return journal.Vacuumed{}, fmt.Errorf("%w; run as the user of the recorder", err)
	}
	key, err := f.Read()
	if err != nil {
		return journal.Vacuumed{}, err
	}
	v, err := journal.Vacuum(ctx, path, key, l)
	if err != nil {
		err = noJournal{err}
	}
	return v, err
}

func (p program) printVacuumed(path string, v vacuumed) error {
	left := "no records are left"
	if v.Last != 0 {
		left = fmt.Sprintf("records %d to %d are left", v.First, v.Last)
	}
	fmt.Fprintf(p.stdout, "%s: %s before, %s now; %s, %d were removed\n",
		path, formatSize(uint64(v.Before)), formatSize(uint64(v.After)), left, v.Evicted)
	if v.Replaced != nil {
		fmt.Fprintf(p.stdout, "changed by --scrub, with the key %s: %s\n", v.Scrub, count(int(*v.Replaced), "record"))
	}
	return nil
}
