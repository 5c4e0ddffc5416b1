package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// pickFlags choose events; replay and tail have them.
func pickFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "events", Aliases: []string{"e"}, Usage: "only these `TYPES`, for example CIRC,BW"},
		&cli.StringFlag{Name: "where", Usage: "only events of which `EXPRESSION` is true, for example 'Status == \"FAILED\"'; help lists the fields"},
		&cli.StringFlag{Name: "circuit", Usage: "only events that name circuit `N`"},
		&cli.StringFlag{Name: "stream", Usage: "only events that name stream `N`"},
	}
}

// pick is what those flags choose.
type pick struct {
	types   event.Set // empty: all
	wheres  []*filter.Where
	matcher *filter.Matcher
	tell    io.Writer // what went wrong
	failed  int       // events of which an expression is neither true nor false
}

func (p program) newPick(c *cli.Context) (*pick, error) {
	k := &pick{tell: p.stderr}
	var err error
	if k.types, err = filter.Types(c.String("events")); err != nil {
		return nil, usagef("-e: %w", err)
	}
	if err := k.add("--where", c.String("where"), c, p); err != nil {
		return nil, err
	}
	for flag, field := range map[string]string{"circuit": "CircID", "stream": "StreamID"} {
		id := c.String(flag)
		if !c.IsSet(flag) {
			continue
		}
		if !isID(id) {
			return nil, usagef("--%s %q: the number of a %s is wanted, for example 42", flag, id, flag)
		}
		if err := k.add("--"+flag, fmt.Sprintf("%s == %q", field, id), c, p); err != nil {
			return nil, err
		}
	}
	if _, err := k.chosen(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *pick) add(flag, expression string, c *cli.Context, p program) error {
	if expression == "" && !c.IsSet(strings.TrimLeft(flag, "-")) {
		return nil
	}
	w, err := filter.CompileWhere(expression, p.now(), p.location(c))
	if err != nil {
		return usagef("%s: %w\n  `torjournal %s --where help` lists the fields", flag, err, c.Command.Name)
	}
	k.wheres, k.matcher = append(k.wheres, w), filter.NewMatcher()
	return nil
}

// isID reports whether s can be the ID of a circuit or a stream (control-spec,
// section 2.4).
func isID(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 16
}

// narrow returns what of r can hold events that are chosen.
func (k *pick) narrow(r journal.Range) (journal.Range, error) {
	r.Types = k.types
	for _, w := range k.wheres {
		var some bool
		if r, some = w.Narrow(r); !some {
			return r, usagef("no event can be all of what is asked for: -e, --where, --circuit, --stream and the range have nothing in common")
		}
	}
	return r, nil
}

// chosen returns what can hold events that are chosen.
func (k *pick) chosen() (journal.Range, error) { return k.narrow(journal.Range{}) }

// bounded reports whether the expression itself says from when on, so that
// the default of one hour does not stand in its way.
func (k *pick) bounded() bool {
	r, err := k.chosen()
	return err == nil && (!r.Since.IsZero() || r.From > 0 || r.Session > 0)
}

// keep reports whether r is chosen. The first event of which that cannot be
// said is told about; done tells how many there were.
func (k *pick) keep(r *journal.Record) bool {
	for _, w := range k.wheres {
		ok, err := k.matcher.Match(w, r)
		if err != nil {
			if k.failed++; k.failed == 1 {
				fmt.Fprintf(k.tell, "-- --where fails on record %d, which is not shown: %s --\n", r.Seq, printable(err.Error()))
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// done tells of further failures.
func (k *pick) done() {
	if k.failed > 1 {
		fmt.Fprintf(k.tell, "-- --where failed on %d records, which are not shown --\n", k.failed)
	}
}

// whereHelp lists the fields of events if that is what --where asks for.
func (p program) whereHelp(c *cli.Context) (bool, error) {
	if c.String("where") != "help" {
		return false, nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FIELD\tIS A\tOF")
	for _, f := range filter.Fields() {
		of := "every event"
		if len(f.Types) > 0 {
			of = event.NewSet(f.Types...).String()
		}
		kind := f.Kind
		if len(f.Parts) > 0 {
			kind += ": ." + strings.Join(f.Parts, " .")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, kind, of)
	}
	return true, w.Flush()
}
