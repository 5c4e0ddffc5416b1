package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/replay"
)

func (p program) tailCommand() *cli.Command {
	return &cli.Command{
		Name:  "tail",
		Usage: "show what happens now, for as long as you like",
		UsageText: "torjournal tail [-n 10] [-e CIRC,BW] [--where EXPRESSION] [-o short|wire|json|torctl] [--control ADDR]\n\n" +
			"   torjournal tail -e CIRC,STREAM --where 'Status == \"FAILED\"'\n   torjournal tail --control 127.0.0.1:9051",
		Flags: append(append(journalFlags(), pickFlags()...),
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 10, Usage: "begin with the last `N` records"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "short", Usage: "`FORM` of a record: short, wire (the journaled bytes), json, torctl (as OnionPerf logs)"},
			&cli.BoolFlag{Name: "utc", Usage: "times without a zone, in and out, are UTC"},
			&cli.StringFlag{Name: "control", Usage: "attach to the control port at `ADDR`, of a tor or a torjournal, instead of asking the recorder"},
			&cli.StringFlag{Name: "control-password", EnvVars: []string{"TORJOURNAL_CONTROL_PASSWORD"}, Usage: "`PASSWORD` of that control port, where it wants one; the environment is not seen by other users, a flag is"},
			&cli.StringFlag{Name: "control-cookie", Usage: "cookie `FILE`, where it is not the one that the control port names"},
			&cli.StringFlag{Name: "control-tls-ca", Usage: "the control port is encrypted, its certificate signed by the authority in `FILE`"},
			&cli.StringFlag{Name: "control-tls-cert", Usage: "certificate `FILE` to show, where that port asks for one"},
			&cli.StringFlag{Name: "control-tls-key", Usage: "`FILE` with its key"},
			&cli.BoolFlag{Name: "control-zstd", Usage: "have a torjournal compress what it sends"},
		),
		Action: p.tail,
	}
}

func (p program) tail(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("tail takes no argument, but there is %q; `torjournal tail -h` shows its flags", c.Args().First())
	}
	if done, err := p.whereHelp(c); done {
		return err
	}
	out, err := newRecordPrinter(p.stdout, c.String("output"), p.location(c))
	if err != nil {
		return err
	}
	events, err := p.newPick(c)
	if err != nil {
		return err
	}
	if c.Int("lines") < 0 {
		return usagef("-n %d: a number from 0 up is wanted", c.Int("lines"))
	}
	defer events.done()
	if c.IsSet("control") {
		return p.tailPort(c, out, events)
	}
	path, err := journalPath(c)
	if err != nil {
		return err
	}
	key, err := keyFile(c)
	if err != nil {
		return err
	}
	t := fileTail{program: p, path: path, key: key, out: out, events: events, last: c.Int("lines")}
	defer func() { _ = out.w.Flush() }()
	return t.run(c.Context)
}

// fileTail follows a journal through its recorder, and outlives it: it waits for
// one that is not there, and goes on behind the last record that it has seen.
type fileTail struct {
	program
	path   string
	key    daemon.KeyFile
	out    *recordPrinter
	events *pick
	last   int    // records to begin with
	next   uint64 // number to go on with; 0: begin with the last ones
}

// betweenLooks is how often a recorder that is not there is looked for.
const betweenLooks = 250 * time.Millisecond

// errAnew means that the journal has begun again: another file is in its
// place.
var errAnew = errors.New("the journal begins anew")

func (t *fileTail) run(ctx context.Context) error {
	for {
		rd, err := t.open(ctx)
		if err != nil {
			return err
		}
		err = t.follow(ctx, rd)
		rd.Close()
		switch {
		case errors.Is(err, errAnew):
			t.say("another journal is in this place; its records follow from the first")
			t.next = 1
		case ctx.Err() != nil || !t.passes(err):
			return err
		}
	}
}

// say tells between records, on standard error, how things stand.
func (t *fileTail) say(format string, args ...any) {
	_ = t.out.w.Flush()
	fmt.Fprintf(t.stderr, "-- "+format+" --\n", args...)
}

// passes reports whether what err says may be over soon: there is no journal
// yet, or somebody holds it who does not answer yet, or any more.
func (t *fileTail) passes(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, journal.ErrLocked)
}

// open waits until there is something to read.
func (t *fileTail) open(ctx context.Context) (*daemon.Reader, error) {
	for told := false; ; {
		rd, err := t.openAtEnd(ctx)
		switch {
		case err == nil:
			if told && rd.Daemon() {
				t.say("the recorder is there")
			} else if !rd.Daemon() {
				t.say("no recorder runs on %s; waiting for one", t.path)
			}
			return rd, nil
		case ctx.Err() != nil || !t.passes(err):
			return nil, noJournal{err}
		case t.next == 0 && errors.Is(err, os.ErrNotExist):
			t.next = 1 // whatever will be in it happens from now on
		}
		switch {
		case told:
		case errors.Is(err, journal.ErrLocked):
			t.say("who holds %s does not answer; waiting for it", t.path)
			told = true
		default:
			t.say("no recorder runs on %s yet; waiting for one", t.path)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(betweenLooks):
		}
	}
}

// openAtEnd opens the journal, and if no record is to begin with notes its
// end before anything is said.
func (t *fileTail) openAtEnd(ctx context.Context) (*daemon.Reader, error) {
	rd, err := daemon.OpenReader(ctx, t.path, t.key)
	if err != nil || t.next > 0 || t.last > 0 {
		return rd, err
	}
	b, err := rd.Bounds(ctx)
	if err != nil {
		rd.Close()
		return nil, err
	}
	t.next = b.Last + 1
	return rd, nil
}

// follow shows what comes until there is a reason to open the journal again.
func (t *fileTail) follow(ctx context.Context, rd *daemon.Reader) error {
	r, err := t.events.chosen()
	if err != nil {
		return err
	}
	opt := replay.Options{Follow: true, Keep: t.events.keep}
	if t.next == 0 {
		opt.Last = t.last
	}
	r.From = max(r.From, t.next)
	opt.Range = r
	// There may have been none for a while, and then another one.
	w := &watch{flushingReader: flushingReader{rd, t.out.w.Flush}, rd: rd, moved: t.next > 0}
	rd.Changed = func(isThere bool) {
		if isThere {
			t.say("the recorder is back")
		} else {
			t.say("the recorder has ended; waiting for it")
		}
		w.changed()
	}
	return replay.Play(ctx, w, opt, t.show, t.printGap)
}

func (t *fileTail) show(r journal.Record) error {
	t.next = r.Seq + 1
	return t.out.print(r)
}

// watch is a reader that notices when another journal takes the place of the
// one that is read, which can happen while no recorder runs.
type watch struct {
	flushingReader
	rd    *daemon.Reader
	moved bool   // the recorder, or the file, has come or gone since that was looked at
	wake  func() // ends the present Wait
}

func (w *watch) changed() {
	w.moved = true
	if w.wake != nil {
		w.wake()
	}
}

// Wait is journal.Reader's.
func (w *watch) Wait(ctx context.Context, seq uint64) error {
	for {
		if w.moved {
			w.moved = false
			b, err := w.rd.Bounds(ctx)
			if err != nil {
				return err
			}
			if b.Last+1 < seq {
				return errAnew
			}
		}
		present, stop := context.WithCancel(ctx)
		w.wake = stop
		err := w.flushingReader.Wait(present, seq)
		stop()
		if !w.moved || ctx.Err() != nil {
			return err
		}
	}
}
