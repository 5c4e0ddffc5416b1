package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
)

// cursorFlags let a replay go on where another one ended.
func cursorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cursor", Usage: "go on behind record `N`, as --show-cursor told it; lifts the default of one hour"},
		&cli.BoolFlag{Name: "show-cursor", Usage: "say at the end, on standard error, which record was the last"},
		&cli.StringFlag{Name: "cursor-file", Usage: "go on where the last replay with this `FILE` ended, and remember in it where this one ends"},
	}
}

// place is where a replay goes on, and where it has come to: numbers of
// records, 0 for none.
type place struct {
	from, last uint64
	show       bool
	file       string
}

// newPlace reads --cursor, --show-cursor and --cursor-file.
func newPlace(c *cli.Context) (*place, error) {
	w := &place{show: c.Bool("show-cursor"), file: c.String("cursor-file")}
	text, name := c.String("cursor"), "--cursor"
	if c.IsSet("cursor-file") {
		if c.IsSet("cursor") {
			return nil, usagef("--cursor and --cursor-file both say where to go on: leave one of the two away")
		}
		if c.Bool("reverse") {
			return nil, usagef("--cursor-file goes forward: leave it or -r away")
		}
		b, err := os.ReadFile(w.file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return w, nil
		case err != nil:
			return nil, fmt.Errorf("reading the cursor: %w", err)
		}
		text, name = strings.TrimSpace(string(b)), "--cursor-file "+w.file
	} else if !c.IsSet("cursor") {
		return w, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return nil, usagef("%s: %q is not the number of a record; --show-cursor tells it at the end of a replay", name, text)
	}
	w.from = n
	return w, nil
}

// bounded reports whether the cursor bounds what is shown.
func (w *place) bounded() bool { return w.from > 0 }

// narrow makes r begin behind the cursor, or end before it.
func (w *place) narrow(r journal.Range, reverse bool) (journal.Range, error) {
	switch {
	case w.from == 0:
	case !reverse:
		r.From = max(r.From, w.from+1)
	case w.from == 1:
		return r, usagef("--cursor 1: nothing comes before the first record")
	case r.To == 0 || r.To >= w.from:
		r.To = w.from - 1
	}
	return r, nil
}

// end tells and keeps where the replay has come to.
func (w *place) end(p program) error {
	last := w.last
	if last == 0 {
		last = w.from
	}
	if last == 0 {
		return nil
	}
	if w.show {
		fmt.Fprintf(p.stderr, "-- cursor: %d --\n", last)
	}
	if w.file == "" {
		return nil
	}
	if err := keep(w.file, fmt.Appendf(nil, "%d\n", last)); err != nil {
		return fmt.Errorf("keeping the cursor: %w", err)
	}
	return nil
}

// keep puts content into a file that holds either what it held or all of it.
func keep(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails where it has been renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
