package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/query"
	"torjournal/query/filter"
)

// atKinds are the words by which `query at` is asked for a part of its answer.
var atKinds = []struct {
	word string
	kind query.Kind
	head string // of the table
	row  func(*query.Standing, *time.Location) []string
}{
	{"circuits", query.CircuitStatus, "CIRCUIT\tCREATED\tSTATUS\tPURPOSE\tFLAGS\tPATH", circuitThen},
	{"streams", query.StreamStatus, "STREAM\tSTATUS\tCIRCUIT\tTARGET", streamThen},
	{"orconns", query.ORConnStatus, "CONNECTION\tSTATUS", relayThen},
	{"guards", query.EntryGuards, "GUARD\tSTATUS", relayThen},
}

func (p program) queryAtCommand() *cli.Command {
	return &cli.Command{
		Name:  "at",
		Usage: "how tor stood at a moment: circuits, streams, OR connections, guards",
		UsageText: "torjournal query at TIME [circuits] [streams] [orconns] [guards] [--json | -o wire]\n\n" +
			"   torjournal query at \"2026-11-23 08:15:30\" circuits streams",
		Flags: append(append(journalFlags(), pagerFlags()...),
			&cli.BoolFlag{Name: "json", Usage: "one JSON object a line, times in UTC"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "short", Usage: "`FORM`: short, json, or wire, which is what tor would have answered to GETINFO"},
			&cli.BoolFlag{Name: "utc", Usage: "times without a zone, in and out, are UTC"},
		),
		Action: p.paged(program.queryAt),
	}
}

// atForms are the values of -o.
var atForms = []string{"short", "wire", "json"}

func (p program) queryAt(c *cli.Context) error {
	form := c.String("output")
	if c.Bool("json") {
		if c.IsSet("output") && form != "json" {
			return usagef("query at: --json and -o %s exclude each other", form)
		}
		form = "json"
	}
	if !slices.Contains(atForms, form) {
		return usagef("-o %q: there are the forms %s", form, strings.Join(atForms, ", "))
	}
	if !c.Args().Present() {
		return usagef("query at: say when, for example `torjournal query at 1h` or `torjournal query at \"2026-11-23 08:15:30\"`")
	}
	t, err := filter.Time(c.Args().First(), p.now(), p.location(c))
	if err != nil {
		return usagef("query at: %w", err)
	}
	kinds, err := kindsNamed(c.Args().Tail())
	if err != nil {
		return err
	}
	return p.withReader(c, func(ctx context.Context, rd *daemon.Reader) error {
		m, err := query.At(ctx, rd, t, p.now(), kinds...)
		var unknown *query.UnknownState
		if errors.As(err, &unknown) {
			return fmt.Errorf("%w; `torjournal replay -e JOURNAL` shows when it was recorded", err)
		}
		if err != nil {
			return err
		}
		w := bufio.NewWriter(p.stdout)
		if err := p.printMoment(w, m, kinds, form, p.location(c)); err != nil {
			return err
		}
		return w.Flush()
	})
}

// kindsNamed returns the kinds that words name; none names all.
func kindsNamed(words []string) (kinds []query.Kind, err error) {
	if len(words) == 0 {
		return query.Kinds(), nil
	}
	for _, k := range atKinds {
		if slices.Contains(words, k.word) {
			kinds = append(kinds, k.kind)
		}
	}
	for _, w := range words {
		known := false
		for _, k := range atKinds {
			known = known || k.word == w
		}
		if !known {
			return nil, usagef("query at: %q is nothing that stood; there are circuits, streams, orconns, guards (a time with blanks stands in quotes)", w)
		}
	}
	return kinds, nil
}

func (p program) printMoment(w io.Writer, m *query.Moment, kinds []query.Kind, form string, loc *time.Location) error {
	switch form {
	case "wire":
		for _, k := range kinds {
			if _, err := w.Write(m.Answer(k, string(k))); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, "250 OK\r\n")
		return err
	case "json":
		encode := query.NewEncoder(w).Encode
		for _, k := range kinds {
			for row := range m.Rows(k) {
				if err := encode(row); err != nil {
					return err
				}
			}
		}
		return nil
	}
	fmt.Fprintf(w, "%s, session %d, as of record %d of %s\n",
		m.Time.In(loc).Format(shortTime), m.Session, m.Seq, m.At.In(loc).Format("01-02 15:04:05.000"))
	for _, k := range atKinds {
		if slices.Contains(kinds, k.kind) {
			if err := printStanding(w, m, k.kind, k.word, k.head, k.row, loc); err != nil {
				return err
			}
		}
	}
	return nil
}

// printStanding is one table of `query at`.
func printStanding(w io.Writer, m *query.Moment, k query.Kind, word, head string, cells func(*query.Standing, *time.Location) []string, loc *time.Location) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows := 0
	for row := range m.Rows(k) {
		if rows++; rows == 1 {
			fmt.Fprintf(t, "\n%s\n", head)
		}
		fmt.Fprintln(t, strings.Join(cells(row, loc), "\t"))
	}
	if rows == 0 {
		fmt.Fprintf(t, "\nno %s\n", word)
	}
	return t.Flush()
}

func circuitThen(row *query.Standing, loc *time.Location) []string {
	purpose := row.Purpose
	if row.HSState != "" {
		purpose += "/" + row.HSState
	}
	return []string{
		printable(row.ID), stampCell(row.Created, loc), printable(row.Status), dash(printable(purpose)), dash(printable(row.BuildFlags)), dash(printable(pathCell(row.Path))),
	}
}

func streamThen(row *query.Standing, _ *time.Location) []string {
	return []string{printable(row.ID), printable(row.Status), dash(printable(row.Circuit)), printable(row.Target)}
}

func relayThen(row *query.Standing, loc *time.Location) []string {
	status := printable(row.Status)
	if !row.Since.IsZero() {
		status += " since " + row.Since.In(loc).Format(shortTime)
	}
	return []string{printable(row.Target), status}
}
