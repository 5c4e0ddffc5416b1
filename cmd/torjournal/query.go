package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/query"
)

func (p program) queryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "answer a question about the past",
		UsageText: "torjournal query circuits|streams|circuit|stream|failures|outages|builds|guards|relays|onions|orconns|bootstrap|sessions|diff|bandwidth|commands|doctor|summary|at [flags]\n\n   torjournal query circuits --since 1h",
		Subcommands: []*cli.Command{
			p.queryCircuitsCommand(),
			p.queryStreamsCommand(),
			p.queryCircuitCommand(),
			p.queryStreamCommand(),
			p.queryFailuresCommand(),
			p.queryOutagesCommand(),
			p.queryBuildsCommand(),
			p.queryGuardsCommand(),
			p.queryRelaysCommand(),
			p.queryOnionsCommand(),
			p.queryORConnsCommand(),
			p.queryBootstrapCommand(),
			p.querySessionsCommand(),
			p.queryDiffCommand(),
			p.queryBandwidthCommand(),
			p.queryCommandsCommand(),
			p.queryDoctorCommand(),
			p.querySummaryCommand(),
			p.queryAtCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("query: there is no question %q; `torjournal query -h` lists them", c.Args().First())
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

// questionCommand is the command that asks a question. nothing names its rows
// where there are none, people makes the table of them.
func (p program) questionCommand(name, usage, text, nothing string, people func(program, *cli.Context) table) *cli.Command {
	q, _ := query.FindQuestion(name)
	return &cli.Command{
		Name:      q.Name,
		Usage:     usage,
		UsageText: text,
		Flags:     questionFlags(q),
		Action:    p.paged(func(p program, c *cli.Context) error { return p.question(c, q, nothing, people(p, c)) }),
	}
}

// questionFlags are the flags that every question has, and those for the
// words of this one.
func questionFlags(q query.Question) []cli.Flag {
	about := rangeFlags()
	if !q.Ranged() {
		about = append(journalFlags(), utcFlag())
	}
	flags := append(append(about, pagerFlags()...), &cli.BoolFlag{Name: "json", Usage: "one JSON object a line, times in UTC"})
	for _, w := range q.Words {
		if w.Needed {
			continue
		}
		flags = append(flags, wordFlag(w, w.Usage))
	}
	return flags
}

// wordFlag is the flag for a word of a question.
func wordFlag(w query.Word, usage string) cli.Flag {
	if w.Switch {
		return &cli.BoolFlag{Name: w.Name, Usage: usage}
	}
	return &cli.StringFlag{Name: w.Name, Usage: usage}
}

// table shows an answer to people.
type table interface {
	row(query.Row) error
	end() error // follows the last row, if there was one
	flusher
}

// columns is a table whose rows have the same cells.
type columns struct {
	*aligned
	loc   *time.Location
	head  string
	cells func(row query.Row, loc *time.Location) []string
	begun bool
}

// columnsOf makes one of a head, words with bars between, and what gives the
// cells below.
func columnsOf[R query.Row](p program, c *cli.Context, head string, cells func(R, *time.Location) []string) *columns {
	return &columns{
		aligned: newAligned(p.stdout, 0), loc: p.location(c), head: strings.ReplaceAll(head, "|", "\t"),
		cells: func(row query.Row, loc *time.Location) []string { return cells(row.(R), loc) },
	}
}

func (t *columns) row(r query.Row) error {
	if !t.begun {
		t.begun = true
		fmt.Fprintln(t, t.head)
	}
	_, err := fmt.Fprintln(t, strings.Join(t.cells(r, t.loc), "\t"))
	return err
}

func (t *columns) end() error { return nil }

// flusher is a writer that gathers what is written.
type flusher interface{ Flush() error }

// jsonLines shows an answer to programs.
type jsonLines struct {
	*bufio.Writer
	encode func(any) error
}

func newJSONLines(w io.Writer) *jsonLines {
	b := bufio.NewWriter(w)
	return &jsonLines{b, query.NewEncoder(b).Encode}
}

func (j *jsonLines) row(r query.Row) error { return j.encode(r) }
func (j *jsonLines) end() error            { return nil }

// question answers one, by a table or as JSON lines. nothing names the rows
// where there are none.
func (p program) question(c *cli.Context, q query.Question, nothing string, people table) error {
	if c.String("where") == "help" {
		return p.rowFields(q)
	}
	if _, err := p.timeRange(c); err != nil {
		return err
	}
	o, err := p.words(c, q)
	if err != nil {
		return err
	}
	out := people
	if c.Bool("json") {
		out = newJSONLines(p.stdout)
	}
	collectLater(os.Getenv)
	boundMemory(os.Getenv)
	return p.withReader(c, func(ctx context.Context, rd *daemon.Reader) error {
		r, err := p.selection(c, rd, q.Bounded(o))
		if err != nil {
			return err
		}
		if err := p.tellSides(c, rd, o); err != nil {
			return err
		}
		rows := 0
		notes, err := q.Rows(ctx, rd, r, o, query.Part{}, func(row query.Row) error {
			rows++
			return out.row(row)
		})
		var asked *query.AskedError
		if errors.As(err, &asked) {
			err = usagef("%w", asked.Err)
		}
		if err == nil && rows > 0 {
			err = out.end()
		}
		if ferr := out.Flush(); err == nil {
			err = ferr
		}
		if rows == 0 && err == nil {
			p.nothing(c, nothing, r)
			err = p.tellElsewhere(c, rd, r)
		}
		if notes.Undecided > 0 {
			fmt.Fprintf(p.stderr, "-- --where could not be decided for %d rows, which are not shown --\n", notes.Undecided)
		}
		p.tellSums(c, notes.Bandwidth)
		for _, session := range notes.Also {
			fmt.Fprintf(p.stderr, "-- session %d has a %s too: --session %d shows it --\n", session, nothing, session)
		}
		for _, g := range notes.Gaps {
			if gerr := p.printGap(g); err == nil {
				err = gerr
			}
		}
		return err
	})
}

// words reads the arguments and flags that only this question has.
func (p program) words(c *cli.Context, q query.Question) (*query.Options, error) {
	o := query.NewOptions(p.now(), p.location(c))
	args := c.Args().Slice()
	for _, w := range q.Words {
		switch {
		case w.Needed && len(args) == 0:
			return nil, usagef("query %s: the %s is missing; `%s -h` shows an example", q.Name, w.Usage, c.Command.HelpName)
		case w.Needed:
			if err := q.Set(o, w.Name, args[0]); err != nil {
				return nil, usagef("query %s %q: %w", q.Name, args[0], err)
			}
			args = args[1:]
		case !c.IsSet(w.Name) || w.Switch && !c.Bool(w.Name):
		default:
			err := q.Set(o, w.Name, c.String(w.Name))
			if err != nil && w.Name == "where" {
				return nil, usagef("--where: %w\n  `%s --where help` lists the names", err, c.Command.HelpName)
			}
			if err != nil {
				return nil, usagef("--%s: %w", w.Name, err)
			}
		}
	}
	if len(args) > 0 {
		takes := [...]string{"no argument", "one argument", "two arguments"}[c.NArg()-len(args)]
		return nil, usagef("query %s takes %s, but there is %q; `%s -h` shows its flags", q.Name, takes, args[0], c.Command.HelpName)
	}
	return o, nil
}

// nothing tells on standard error that an answer has no rows, and of what range.
func (p program) nothing(c *cli.Context, what string, r journal.Range) {
	when, loc := "", p.location(c)
	if r.Session != 0 {
		when = fmt.Sprintf(" in session %d", r.Session)
	}
	if !r.Since.IsZero() {
		when += " since " + r.Since.In(loc).Format(shortTime)
	}
	if !r.Until.IsZero() {
		when += " until " + r.Until.In(loc).Format(shortTime)
	}
	fmt.Fprintf(p.stderr, "-- no %s%s --\n", what, when)
}
