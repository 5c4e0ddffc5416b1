package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/query"
	"torjournal/query/export"
)

func (p program) exportCommand() *cli.Command {
	help := "torjournal export --format FORM [--what events] --to FILE [--since TIME] [--until TIME] [-e CIRC,BW] [--where EXPRESSION]\n\n" +
		"   torjournal export --since 7d --format jsonl --to week.jsonl\n"
	for _, f := range export.Forms() {
		help += "\n" + f.Name + ": " + f.About
	}
	return &cli.Command{
		Name:      "export",
		Usage:     "write what the journal holds into a file for other programs",
		UsageText: help,
		Flags: slices.Concat(rangeFlagsFrom("the first record"), pickFlags(), setFlags(), []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "`FORM` of the file: " + strings.Join(formNames(), ", ")},
			&cli.StringFlag{Name: "what", Value: export.Events, Usage: "`DATA` to write: " + export.SetNames()},
			&cli.StringFlag{Name: "to", Usage: "`FILE` to write, - for standard output"},
			&cli.BoolFlag{Name: "replace", Usage: "take the place of a file that is there"},
			&cli.BoolFlag{Name: "allow-gaps", Usage: "go on where records are gone, and tell which"},
		}),
		Action: p.export,
	}
}

// setFlags are flags for the words of the questions that data sets answer, each
// with the sets that have it. Events have their own.
func setFlags() []cli.Flag {
	var words []query.Word
	of := map[string][]string{}
	for _, f := range pickFlags() {
		of[f.Names()[0]] = []string{export.Events}
	}
	for _, s := range export.Sets() {
		q, _ := query.FindQuestion(s.Name)
		for _, w := range q.Words {
			if of[w.Name] == nil {
				words = append(words, w)
			}
			of[w.Name] = append(of[w.Name], s.Name)
		}
	}
	var flags []cli.Flag
	for _, w := range words {
		flags = append(flags, wordFlag(w, w.Usage+" (of "+strings.Join(of[w.Name], ", ")+")"))
	}
	return flags
}

func formNames() (names []string) {
	for _, f := range export.Forms() {
		names = append(names, f.Name)
	}
	return names
}

// rowForms names the forms that hold not only events.
func rowForms() (names []string) {
	for _, f := range export.Forms() {
		if f.Rows != nil {
			names = append(names, f.Name)
		}
	}
	return names
}

func (p program) export(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("export takes no argument, but there is %q; --to names the file", c.Args().First())
	}
	if done, err := p.whereHelp(c); done {
		return err
	}
	x, err := p.newExporter(c)
	if err != nil {
		return err
	}
	if _, err := p.timeRange(c); err != nil {
		return err
	}
	collectLater(os.Getenv)
	boundMemory(os.Getenv)
	err = p.withReader(c, func(ctx context.Context, rd *daemon.Reader) error {
		r, err := p.selection(c, rd, true)
		if err != nil {
			return err
		}
		return x.run(ctx, rd, r)
	})
	if err != nil && c.Context.Err() != nil {
		return errors.New("export: interrupted; " + x.left())
	}
	return err
}

// exporter carries what is selected into one file.
type exporter struct {
	p       program
	c       *cli.Context
	form    export.Form
	to      string // "-": standard output
	replace bool
	gaps    bool // they are told, and no errors

	what   string
	events *pick // of events; else nil
	set    export.Set
	asked  query.Question
	words  *query.Options

	bar *progress
}

// newExporter reads the flags but those of the range.
func (p program) newExporter(c *cli.Context) (*exporter, error) {
	x := &exporter{p: p, c: c, to: c.String("to"), replace: c.Bool("replace"), gaps: c.Bool("allow-gaps"), what: c.String("what")}
	var err error
	switch {
	case c.String("format") == "":
		return nil, usagef("export: say in what form: --format %s", strings.Join(formNames(), ", "))
	case x.to == "":
		return nil, usagef("export: say where to: --to FILE, or --to - for standard output")
	}
	if x.form, err = export.FindForm(c.String("format")); err != nil {
		return nil, usagef("--format: %w", err)
	}
	if x.what == export.Events {
		x.events, err = p.newPick(c)
	} else {
		err = x.ask()
	}
	if err == nil {
		err = x.onlyWords()
	}
	switch {
	case err != nil:
		return nil, err
	case x.to != "-":
		return x, checkTarget(x.to, x.replace)
	case x.form.Binary && isTerminal(p.stdout):
		return nil, usagef("export: %s is nothing for a terminal: --to FILE, or a pipe", x.form.Name)
	}
	return x, nil
}

// ask finds the question that the data set answers, and reads its words.
func (x *exporter) ask() (err error) {
	ok := false
	if x.set, ok = export.FindSet(x.what); !ok {
		return usagef("--what %q: there are %s", x.what, export.SetNames())
	}
	if x.form.Rows == nil {
		return usagef("--format %s holds events only: %s go into %s", x.form.Name, x.what, strings.Join(rowForms(), ", "))
	}
	x.asked, _ = query.FindQuestion(x.what)
	x.words, err = x.p.words(x.c, x.asked)
	return err
}

// onlyWords refuses flags that choose among other data than these: what they
// say would be lost.
func (x *exporter) onlyWords() error {
	for _, f := range slices.Concat(pickFlags(), setFlags()) {
		name := f.Names()[0]
		if !x.c.IsSet(name) {
			continue
		}
		of := pickFlags()
		if x.events == nil {
			of = questionFlags(x.asked)
		}
		if !slices.ContainsFunc(of, func(f cli.Flag) bool { return f.Names()[0] == name }) {
			return usagef("--%s chooses nothing among %s: leave it away, or say with --what of what it is", name, x.what)
		}
	}
	return nil
}

// run writes the file. Where it cannot be written whole it does not come into
// being.
func (x *exporter) run(ctx context.Context, rd *daemon.Reader, r journal.Range) error {
	var err error
	if x.events != nil {
		if r, err = x.events.narrow(r); err != nil {
			return err
		}
	}
	b, err := rd.Bounds(ctx)
	if err != nil {
		return err
	}
	if r.Since.IsZero() && r.Session == 0 && r.From == 0 {
		x.p.tellFirst(x.c, b, "")
	}
	out, file := io.Writer(x.p.stdout), (*exportFile)(nil)
	if x.to != "-" {
		if file, err = createExport(x.to); err != nil {
			return err
		}
		out = file
	}
	x.bar = newExportProgress(x.p.stderr, b)
	n, err := x.write(ctx, watchedReader{rd, x.bar}, r, bufio.NewWriterSize(out, 256<<10))
	x.bar.finish()
	if err != nil {
		if file != nil {
			file.discard()
		}
		return fmt.Errorf("%w\n  %s", err, x.left())
	}
	if n == 0 {
		x.p.nothing(x.c, x.what+" selected", r)
		x.tellBounds(b)
	}
	if file == nil {
		return nil
	}
	if err := file.finish(x.replace); err != nil {
		return err
	}
	what := count(int(n), "event")
	if x.events == nil {
		what = count(int(n), "row") + " of " + x.what
	}
	_, err = fmt.Fprintf(x.p.stdout, "%s, %s: %s\n", what, formatSize(uint64(file.size)), x.to)
	return err
}

// left says what there is of an export that has failed.
func (x *exporter) left() string {
	if x.to == "-" {
		return "what was written is not whole"
	}
	return "no file was written"
}

// tellBounds says from when to when there are records at all.
func (x *exporter) tellBounds(b journal.Bounds) {
	if b.Last == 0 {
		fmt.Fprintln(x.p.stderr, "-- the journal is empty --")
		return
	}
	loc := x.p.location(x.c)
	fmt.Fprintf(x.p.stderr, "-- the journal holds records from %s to %s --\n", b.FirstTime.In(loc).Format(shortTime), b.LastTime.In(loc).Format(shortTime))
}

// write writes events or rows and returns how many.
func (x *exporter) write(ctx context.Context, rd journal.Reader, r journal.Range, out *bufio.Writer) (n uint64, err error) {
	if x.events != nil {
		n, err = x.writeEvents(ctx, rd, r, out)
	} else {
		n, err = x.writeRows(ctx, rd, r, out)
	}
	if err == nil {
		err = out.Flush()
	}
	return n, err
}

func (x *exporter) writeEvents(ctx context.Context, rd journal.Reader, r journal.Range, out io.Writer) (n uint64, err error) {
	w, err := x.form.Events(out)
	if err != nil {
		return 0, err
	}
	defer x.events.done()
	if n, err = export.Copy(ctx, rd, r, x.events.keep, x.gap, w); err != nil {
		return n, err
	}
	return n, w.Close()
}

func (x *exporter) writeRows(ctx context.Context, rd journal.Reader, r journal.Range, out io.Writer) (n uint64, err error) {
	w, err := x.form.Rows(out, x.set)
	if err != nil {
		return 0, err
	}
	notes, err := x.asked.Rows(ctx, rd, r, x.words, query.Part{}, func(row query.Row) error {
		n++
		return w.Write(row)
	})
	if err != nil {
		return n, err
	}
	for _, g := range notes.Gaps {
		if err := x.gap(g); err != nil {
			return n, err
		}
	}
	x.p.tellSums(x.c, notes.Bandwidth)
	return n, w.Close()
}

// gap is told, or ends the export: who reads the file later does not see that
// something is missing in it.
func (x *exporter) gap(g journal.Gap) error {
	x.bar.clear()
	if x.gaps {
		return x.p.printGap(g)
	}
	return fmt.Errorf("export: records %d to %d are gone, evicted by the ring or lost to damage: --allow-gaps exports what there is, --since and --until choose a part without them", g.From, g.To)
}
