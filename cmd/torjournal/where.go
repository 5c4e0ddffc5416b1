package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"torjournal/journal"
	"torjournal/query"
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
	filter.Choice
	tell   io.Writer // what went wrong
	failed int       // events of which an expression is neither true nor false
}

func (p program) newPick(c *cli.Context) (*pick, error) {
	k := &pick{tell: p.stderr}
	var err error
	if k.Types, err = filter.Types(c.String("events")); err != nil {
		return nil, usagef("-e: %w", err)
	}
	if c.IsSet("where") {
		if err := k.Where(c.String("where"), p.now(), p.location(c)); err != nil {
			return nil, usagef("--where: %w\n  `torjournal %s --where help` lists the fields", err, c.Command.Name)
		}
	}
	for flag, add := range map[string]func(string) error{"circuit": k.Circuit, "stream": k.Stream} {
		if !c.IsSet(flag) {
			continue
		}
		if err := add(c.String(flag)); err != nil {
			return nil, usagef("--%s %q: %w", flag, c.String(flag), err)
		}
	}
	if _, err := k.chosen(); err != nil {
		return nil, err
	}
	return k, nil
}

// narrow returns what of r can hold events that are chosen.
func (k *pick) narrow(r journal.Range) (journal.Range, error) {
	r, some := k.Narrow(r)
	if !some {
		return r, usagef("no event can be all of what is asked for: -e, --where, --circuit, --stream and the range have nothing in common")
	}
	return r, nil
}

// chosen returns what can hold events that are chosen.
func (k *pick) chosen() (journal.Range, error) { return k.narrow(journal.Range{}) }

// keep reports whether r is chosen. The first event of which that cannot be
// said is told about; done tells how many there were.
func (k *pick) keep(r *journal.Record) bool {
	return k.Match(r, func(err error) {
		if k.failed++; k.failed == 1 {
			fmt.Fprintf(k.tell, "-- --where fails on record %d, which is not shown: %s --\n", r.Seq, printable(err.Error()))
		}
	})
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
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, kindCell(f), of)
	}
	return true, w.Flush()
}

// rowFields lists what --where can name of the rows of a question.
func (p program) rowFields(q query.Question) error {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tIS A")
	for _, f := range q.RowFields() {
		fmt.Fprintf(w, "%s\t%s\n", f.Name, kindCell(f))
	}
	return w.Flush()
}

// kindCell says what a field is, and what the elements of a list have.
func kindCell(f filter.Field) string {
	if len(f.Parts) == 0 {
		return f.Kind
	}
	return f.Kind + ": ." + strings.Join(f.Parts, " .")
}
