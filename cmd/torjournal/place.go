package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

// journalFlags say which journal a command is about; every leaf command has
// them.
func journalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "journal", Usage: "the journal's `FILE` (default: $TORJOURNAL, else journal.db in torjournal's state folder)"},
		keyFlag(),
		&cli.StringFlag{Name: "name", Usage: "the journal of a second tor, `N`.db in the same folder"},
		&cli.StringFlag{Name: "config", Usage: "`FILE` of run's flags, a flag and its value a line; other commands take from it which journal it is"},
	}
}

func keyFlag() cli.Flag {
	return &cli.StringFlag{Name: "key-file", EnvVars: []string{"TORJOURNAL_KEY_FILE"}, Usage: "`FILE` of the journal's key, if it is encrypted"}
}

// keyFile returns where the journal's key lies; nowhere if it is not encrypted.
func keyFile(c *cli.Context) (f daemon.KeyFile, err error) {
	if f.Path = c.String("key-file"); f.Path != "" {
		f.Path, err = filepath.Abs(f.Path)
	}
	return f, err
}

// readKey returns the journal's key, nil if it is not encrypted.
func readKey(c *cli.Context) (*journal.Key, error) {
	f, err := keyFile(c)
	if err != nil {
		return nil, err
	}
	return f.Read()
}

// journalPath returns the place of the journal: --journal, $TORJOURNAL, else
// journal.db (or --name's) in /var/lib/torjournal for root and in the XDG
// state folder for everybody else.
func journalPath(c *cli.Context) (string, error) {
	if path := c.String("journal"); path != "" {
		if c.String("name") != "" {
			return "", usagef("--journal and --name both say which journal: give one of them")
		}
		return realPath(path)
	}
	name := c.String("name")
	if name == "" {
		if path := os.Getenv("TORJOURNAL"); path != "" {
			return realPath(path)
		}
		name = "journal"
	}
	if name != filepath.Base(name) || name == "." || name == ".." {
		return "", usagef("--name %q: a name is wanted, not a path; --journal takes a path", name)
	}
	folder, err := stateFolder()
	return filepath.Join(folder, name+".db"), err
}

// realPath makes path absolute and follows a link to a journal: its socket and
// cookie lie beside the file itself.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, nil
	}
	return path, nil // not there yet
}

func stateFolder() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/torjournal", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "torjournal"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state folder: %w; --journal FILE names a place", err)
	}
	return filepath.Join(home, ".local", "state", "torjournal"), nil
}
