package main

import (
	"errors"
	"log/slog"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

// What --max-size and --max-age are where nobody says.
const (
	defaultMaxSize = "1GiB"
	defaultMaxAge  = "role"
)

// runLimits reads the flags of `torjournal run` that a SIGHUP reads again.
func runLimits(flag func(name string) string) (l daemon.Limits, err error) {
	if l.MaxSize, err = parseSize(flag("max-size")); err != nil {
		return l, usagef("--max-size: %w", err)
	}
	if l.MaxSize < journal.MinMaxSize {
		return l, usagef("--max-size %s: a journal needs at least %s", flag("max-size"), formatSize(journal.MinMaxSize))
	}
	switch age := flag("max-age"); age {
	case "role":
		l.AgeByRole, l.MaxAge = true, daemon.OwnAge
	case "none":
	default:
		if l.MaxAge, err = parseAge(age); err != nil {
			return l, usagef("--max-age: %w, or none, or role", err)
		}
	}
	return l, nil
}

// errNoConfig says that there is nothing to read again.
var errNoConfig = errors.New("they are those of the command line: give them in a file, --config FILE, so that they can be read again")

// limitsReader returns what reads the limits again, from the file that
// --config names. What the command line says goes on to hold.
func (p program) limitsReader(c *cli.Context, log *slog.Logger) func() (daemon.Limits, error) {
	file, usual := *p.file, map[string]string{"max-size": defaultMaxSize, "max-age": defaultMaxAge}
	return func() (daemon.Limits, error) {
		if file.path == "" {
			return daemon.Limits{}, errNoConfig
		}
		lines, err := readConfig(file.path, file.flags)
		if err != nil {
			return daemon.Limits{}, err
		}
		now := file
		now.lines = lines
		limits, err := runLimits(func(name string) string {
			for i := range lines {
				if l := &lines[i]; l.name == name && now.counts(l) {
					return l.value
				}
			}
			if file.given[name] {
				return c.String(name)
			}
			return usual[name]
		})
		if err != nil {
			return daemon.Limits{}, now.place(err)
		}
		var later []string
		for _, name := range differing(file.lines, lines) {
			if _, now := usual[name]; !now && !file.given[name] {
				later = append(later, name)
			}
		}
		if len(later) > 0 {
			log.Warn("flags in the file have changed that hold from the next start on only: start again if they shall hold now", "file", file.path, "flags", later)
		}
		file.lines = lines
		return limits, nil
	}
}
