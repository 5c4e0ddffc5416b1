package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

func (p program) migrateCommand() *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "bring a journal of an older torjournal to the present form",
		UsageText: "torjournal migrate [--journal FILE] [--dry-run | --done]\n\n" +
			"   torjournal migrate --dry-run\n\n" +
			"`torjournal run` does it by itself when it starts. The old file stays beside the journal for 7 days\n" +
			"(of a relay or a bridge for 24 hours), or until `torjournal migrate --done`.",
		Flags: append(journalFlags(),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done and what room it takes, and change nothing"},
			&cli.BoolFlag{Name: "done", Usage: "all is well: remove the old file that a migration has left"},
			&cli.BoolFlag{Name: "utc", Usage: "times are UTC"},
		),
		Action: p.migrate,
	}
}

func (p program) migrate(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("migrate takes no argument, but there is %q; `torjournal migrate -h` shows its flags", c.Args().First())
	}
	if c.Bool("dry-run") && c.Bool("done") {
		return usagef("--dry-run and --done exclude each other")
	}
	path, err := journalPath(c)
	if err != nil {
		return err
	}
	if c.Bool("done") {
		return p.migrateDone(path)
	}
	do := journal.Migrate
	if c.Bool("dry-run") {
		do = journal.PlanMigration
	}
	m, err := do(path)
	switch {
	case errors.Is(err, journal.ErrLocked):
		return fmt.Errorf("%w; a recorder migrates when it starts, so there is nothing to do: `torjournal migrate` is for a journal that nobody holds, stop its holder first", err)
	case err != nil:
		return noJournal{err}
	}
	switch {
	case m.From == m.To:
		fmt.Fprintf(p.stdout, "%s has schema %d, the newest: nothing to do\n", path, m.To)
		return p.tellBackups(c, path)
	case c.Bool("dry-run"):
		return p.tellPlan(path, m)
	}
	fmt.Fprintf(p.stdout, "%s has schema %d now\n", path, m.To)
	return p.tellBackups(c, path)
}

func (p program) tellPlan(path string, m journal.Migration) error {
	fmt.Fprintf(p.stdout, "%s has schema %d, this torjournal writes schema %d:\n", path, m.From, m.To)
	for _, s := range m.Steps {
		fmt.Fprintf(p.stdout, "  %04d_%s  %s\n", s.Number, s.Name, s.About)
	}
	fmt.Fprintf(p.stdout, "the copy needs %s beside it, %s are free; the old file would stay as %s\n",
		formatSize(uint64(m.Need)), formatSize(uint64(m.Free)), m.Backup)
	if m.Free < m.Need {
		return fmt.Errorf("migrate: there is too little room for the copy: free %s, or move the journal", formatSize(uint64(m.Need-m.Free)))
	}
	return nil
}

func (p program) tellBackups(c *cli.Context, path string) error {
	backups, err := journal.Backups(path)
	if len(backups) == 0 {
		return err
	}
	file, err := keyFile(c)
	if err != nil {
		return err
	}
	key, err := file.Read()
	if err != nil {
		return err
	}
	f, err := journal.OpenFile(path, key)
	if err != nil {
		return err
	}
	defer f.Close()
	sessions, err := f.Sessions(context.Background())
	if err != nil {
		return err
	}
	keep := daemon.BackupAge(sessions)
	for _, b := range backups {
		fmt.Fprintf(p.stdout, "the old file is %s (%s); `torjournal migrate --done` removes it, a recorder from %s on\n",
			b.Path, formatSize(uint64(b.Size)), b.Made.Add(keep).In(p.location(c)).Format(shortTime))
	}
	return err
}

func (p program) migrateDone(path string) error {
	removed, err := journal.RemoveBackups(path, time.Time{})
	for _, b := range removed {
		fmt.Fprintf(p.stdout, "removed %s (%s)\n", b.Path, formatSize(uint64(b.Size)))
	}
	if len(removed) == 0 && err == nil {
		fmt.Fprintf(p.stdout, "no migration has left a file beside %s\n", path)
	}
	return err
}
