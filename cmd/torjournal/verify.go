package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

func (p program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "read all of a journal and say what of it is damaged",
		UsageText: "torjournal verify [--journal FILE] [--json]; exits 1 if anything is damaged\n\n   torjournal verify --journal /var/lib/torjournal/journal.db\n\n" +
			"   A running recorder is asked for every block; the pages of the file itself can be checked only while none runs.",
		Flags: append(journalFlags(),
			&cli.BoolFlag{Name: "json", Usage: "one JSON object for each damage"},
			&cli.BoolFlag{Name: "utc", Usage: "times are UTC"},
		),
		Action: p.verify,
	}
}

func (p program) verify(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("verify takes no argument, but there is %q; --journal names the file", c.Args().First())
	}
	path, err := journalPath(c)
	if err != nil {
		return err
	}
	loc, found := p.location(c), 0
	var perr error
	report := func(d *journal.DamageError) {
		found++
		if perr == nil {
			perr = p.printDamage(c, d, loc)
		}
	}
	v, running, err := verifyEither(c, path, report)
	if err = errors.Join(err, perr); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return noJournal{err}
		}
		return err
	}
	for _, h := range v.Holes {
		fmt.Fprintf(p.stderr, "-- %s were damaged and have been set aside; the records are not concerned --\n", holeText(h, loc))
	}
	if found > 0 {
		return fmt.Errorf("%s is damaged: %s above; `torjournal salvage %s NEW` saves what is intact into a new journal", path, count(found, "finding"), path)
	}
	if c.Bool("json") {
		return nil
	}
	_, err = fmt.Fprintf(p.stdout, "%s is intact: %s%s\n", path, verifiedText(v, loc), runningText(running))
	return err
}

// verifyEither asks the daemon that holds the journal, or reads the file.
func verifyEither(c *cli.Context, path string, report func(*journal.DamageError)) (v journal.Verified, running bool, err error) {
	client, err := daemon.Dial(c.Context, path)
	if err == nil {
		defer client.Close()
		v, err = journal.VerifyReader(c.Context, client, report)
		if err != nil {
			err = fmt.Errorf("%w; to see the rest, stop the recorder and verify the file", err)
		}
		return v, true, err
	}
	key, err := readKey(c)
	if err != nil {
		return v, false, err
	}
	v, err = journal.VerifyEach(path, key, report)
	return v, false, err
}

func runningText(running bool) string {
	if !running {
		return ""
	}
	return "; asked the running recorder: the file's own pages were not looked at"
}

func verifiedText(v journal.Verified, loc *time.Location) string {
	if v.Records == 0 {
		return "no records"
	}
	text := fmt.Sprintf("%s in %s, %d to %d, %s", count(int(v.Records), "record"), count(v.Blocks+v.Batches, "block"), v.First, v.Last, spanText(v.Since, v.Until, loc))
	if v.Lost > 0 {
		text += fmt.Sprintf("; %d records between them are known to be lost", v.Lost)
	}
	return text
}

// spanText writes between which times something was; one of them may be zero,
// which is not known.
func spanText(since, until time.Time, loc *time.Location) string {
	switch {
	case until.IsZero():
		return "after " + since.In(loc).Format(shortTime)
	case since.IsZero():
		return "before " + until.In(loc).Format(shortTime)
	}
	return since.In(loc).Format(shortTime) + " to " + until.In(loc).Format(shortTime)
}

// jsonDamage is one damage. What is unknown is absent.
type jsonDamage struct {
	Bucket string `json:"bucket,omitempty"`
	First  uint64 `json:"first,omitempty"`
	Last   uint64 `json:"last,omitempty"`
	Since  string `json:"since,omitempty"`
	Until  string `json:"until,omitempty"`
	Error  string `json:"error"`
}

func optionalTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(jsonTime)
}

func (p program) printDamage(c *cli.Context, d *journal.DamageError, loc *time.Location) error {
	if c.Bool("json") {
		j := jsonDamage{Bucket: d.Bucket, First: d.Seq, Last: d.Last, Error: d.Err.Error()}
		j.Since, j.Until = optionalTime(d.Since), optionalTime(d.Until)
		return printJSON(p.stdout, j)
	}
	where := "file"
	if d.Bucket != "" {
		where = d.Bucket
	}
	switch {
	case d.Last > d.Seq:
		where += fmt.Sprintf(": records %d to %d", d.Seq, d.Last)
	case d.Seq > 0:
		where += fmt.Sprintf(": record %d", d.Seq)
	}
	if !d.Since.IsZero() || !d.Until.IsZero() {
		where += " (" + spanText(d.Since, d.Until, loc) + ")"
	}
	_, err := fmt.Fprintf(p.stdout, "%s: %s\n", where, printable(d.Err.Error()))
	return err
}
