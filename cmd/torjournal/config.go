package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Flags may stand in a file, one `flag value` a line:
//
//	# tor of the house
//	attach   unix:/run/tor/control
//	control  127.0.0.1:9151
//	max-size 500MiB
//	scrub
//
// They are those of `torjournal run`. A flag on the command line is taken
// instead of those of its name in the file. The other commands take from the
// file which journal it is and nothing else: what bounds a recorder must not
// make vacuum remove records.

// config is what --config named, once the command line is read.
type config struct {
	path  string // "": there is none
	flags []cli.Flag
	given map[string]bool // flags of the command line, by their first name
	lines []configLine
}

// configLine is one flag of a file.
type configLine struct {
	file        string
	number      int
	name, value string
}

func (l *configLine) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", l.file, l.number, fmt.Errorf(format, args...))
}

// elsewhere are the flags that commands other than run take from the file.
var elsewhere = []string{"journal", "name"}

// merge reads the file that the flags of a command line name, if they do, and
// returns them with those of the file. run are the flags of `torjournal run`.
func (f *config) merge(cmd *cli.Command, flags []string, run []cli.Flag) (all []string, err error) {
	f.given, f.flags = map[string]bool{}, run
	for i := 0; i < len(flags); i++ {
		name, value, joined := strings.Cut(strings.TrimLeft(flags[i], "-"), "=")
		if !joined && takesValue(cmd, nil, flags[i]) && i+1 < len(flags) {
			i++
			value = flags[i]
		}
		if name = firstName(cmd.Flags, name); name == "config" {
			f.path = value
		}
		f.given[name] = true
	}
	if !f.given["config"] {
		return flags, nil
	}
	if f.path, err = filepath.Abs(f.path); err != nil {
		return nil, err
	}
	if f.lines, err = readConfig(f.path, run); err != nil {
		return nil, usagef("--config: %w", err)
	}
	for i := range f.lines {
		if l := &f.lines[i]; f.counts(l) && (cmd.Name == "run" || slices.Contains(elsewhere, l.name)) {
			flags = append(flags, "--"+l.name+"="+l.value)
		}
	}
	return flags, nil
}

// counts reports whether a line is not replaced by the command line, where
// --journal and --name replace each other too.
func (f *config) counts(l *configLine) bool {
	if slices.Contains(elsewhere, l.name) {
		return !f.given["journal"] && !f.given["name"]
	}
	return !f.given[l.name]
}

// place adds the line to an error about a flag's value that the file gave:
// messages about flags begin with the flag.
func (f *config) place(err error) error {
	if err == nil {
		return nil
	}
	var about []*configLine
	for i := range f.lines {
		l := &f.lines[i]
		rest, ok := strings.CutPrefix(err.Error(), "--"+l.name)
		if ok && f.counts(l) && rest != "" && (rest[0] == ':' || rest[0] == ' ') {
			about = append(about, l)
		}
	}
	for _, l := range about {
		if len(about) == 1 || strings.Contains(err.Error(), l.value) {
			return usagef("%w", l.errorf("%w", err))
		}
	}
	return err
}

// firstName returns the first name of the flag that is also called name.
func firstName(flags []cli.Flag, name string) string {
	if f := findFlag(flags, name); f != nil {
		return f.Names()[0]
	}
	return name
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// maxConfig bounds a file of flags in bytes.
const maxConfig = 1 << 20

// readConfig reads a file of flags and checks that each exists and can have
// its value, as far as the kind of the flag says.
func readConfig(path string, flags []cli.Flag) (lines []configLine, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case len(all) > maxConfig:
		return nil, fmt.Errorf("%s has more than %d MiB: it is no file of flags", path, maxConfig>>20)
	}
	sc := bufio.NewScanner(bytes.NewReader(all))
	for n := 1; sc.Scan(); n++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		l := configLine{file: path, number: n}
		if i := strings.IndexAny(text, " \t"); i >= 0 {
			text, l.value = text[:i], strings.TrimSpace(text[i:])
		}
		l.name = strings.TrimPrefix(text, "--")
		if err := l.check(flags, lines); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return lines, nil
}

// check makes sure that the line is a flag with a value of its kind, and
// that no line before says otherwise. It gives the flag its first name.
func (l *configLine) check(flags []cli.Flag, before []configLine) error {
	f := findFlag(flags, l.name)
	if f == nil || l.name == "config" {
		return l.errorf("%q is no flag that can stand here: `torjournal run -h` lists them", l.name)
	}
	l.name = f.Names()[0]
	_, isBool := f.(*cli.BoolFlag)
	switch {
	case isBool && l.value == "":
		l.value = "true"
	case l.value == "":
		return l.errorf("%s has no value: write `%s VALUE`", l.name, l.name)
	}
	switch f.(type) {
	case *cli.StringFlag:
	case *cli.StringSliceFlag:
		return nil // may stand several times
	default:
		scratch := flag.NewFlagSet("", flag.ContinueOnError)
		if err := f.Apply(scratch); err != nil {
			return err
		}
		if scratch.Set(l.name, l.value) != nil {
			return l.errorf("%s cannot be %q", l.name, l.value)
		}
	}
	for i := range before {
		if before[i].name == l.name {
			return l.errorf("%s stands in line %d already", l.name, before[i].number)
		}
	}
	return nil
}

// differing names the flags whose lines are not the same in two readings of a
// file, in order.
func differing(a, b []configLine) (names []string) {
	for _, pair := range [][2][]configLine{{a, b}, {b, a}} {
		for _, l := range pair[0] {
			same := func(o configLine) bool { return o.name == l.name && o.value == l.value }
			if !slices.ContainsFunc(pair[1], same) && !slices.Contains(names, l.name) {
				names = append(names, l.name)
			}
		}
	}
	slices.Sort(names)
	return names
}
