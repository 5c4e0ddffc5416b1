package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
	"torjournal/tor/logfile"
)

// importGrace is how long an interrupted import waits for the portion that is
// being written.
const importGrace = 10 * time.Second

func (p program) importCommand() *cli.Command {
	return &cli.Command{
		Name:  "import",
		Usage: "take what other tools have logged into a journal",
		UsageText: "torjournal import FILE… [--journal FILE] [--format auto]; - is standard input\n\n" +
			"   torjournal import --journal old.db onionperf.torctl.log.xz\n\n" +
			"Exits 1 if a log could not be read to its end, or ends within an event; what comes before is imported.\n\n" +
			"Formats: jsonl (torjournal replay -o json, or {\"t\":…,\"raw\":…} lines), torctl (OnionPerf,\n" +
			"tor-ctl-logger), oniontrace, wire (a captured control connection); packed by gzip, xz or zstd.",
		Flags: append(journalFlags(),
			&cli.StringFlag{Name: "format", Value: "auto", Usage: "`FORM` of the logs: auto, jsonl, torctl, oniontrace, wire"},
			&cli.StringFlag{Name: "at", Usage: "`TIME` of events whose log tells none, as wire does (default: when the file was changed last)"},
			&cli.StringFlag{Name: "source-name", Usage: "what the tor is called in the journal (default: the name of the log)"},
			&cli.StringFlag{Name: "max-size", Usage: "`SIZE` the journal may have; the oldest records make room (default: 1GiB, or what it has already)"},
			&cli.StringFlag{Name: "max-age", Usage: "remove records older than `TIME`, imported ones too: 30d; or none, the default"},
			&cli.BoolFlag{Name: "utc", Usage: "times without a zone, in and out, are UTC"},
		),
		Action: p.importLogs,
	}
}

func (p program) importLogs(c *cli.Context) error {
	im, err := p.importer(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return usagef("import: name the logs to import, - for standard input; `torjournal import -h` shows an example")
	}
	if !once(c.Args().Slice(), "-") {
		return usagef("import: - stands for standard input, which can be read only once: name it once, or name files")
	}
	format, at := logfile.Format(""), time.Time{}
	if s := c.String("format"); s != "auto" {
		if format, err = logfile.ParseFormat(s); err != nil {
			return usagef("--format: %w, and auto", err)
		}
	}
	if s := c.String("at"); s != "" {
		if at, err = filter.Time(s, p.now(), p.location(c)); err != nil {
			return usagef("--at: %w", err)
		}
	}
	if err := refuseWhileRecording(c.Context, im.path); err != nil {
		return err
	}
	logs, err := openLogs(c.Args().Slice(), format, at, p.now())
	if err != nil {
		return err
	}
	im.bar = newProgress(p.stderr, logs)
	defer p.tellMigrated(im.path)()
	return im.run(c.Context, logs)
}

// once reports whether no more than one of names is name.
func once(names []string, name string) bool {
	i := slices.Index(names, name)
	return i < 0 || !slices.Contains(names[i+1:], name)
}

// importer reads the flags that say where events go.
func (p program) importer(c *cli.Context) (im *importer, err error) {
	im = &importer{
		name: c.String("source-name"), out: p.stdout, complain: p.complain, loc: p.location(c),
		opt: journal.Options{MaxSize: journal.DefaultMaxSize},
	}
	if im.path, err = journalPath(c); err != nil {
		return nil, err
	}
	if im.key, err = keyFile(c); err != nil {
		return nil, err
	}
	if s := c.String("max-size"); s != "" {
		if im.opt.MaxSize, err = parseSize(s); err != nil {
			return nil, usagef("--max-size: %w", err)
		}
	} else if fi, err := os.Stat(im.path); err == nil {
		im.opt.MaxSize = max(im.opt.MaxSize, fi.Size()) // a larger journal was given more
	}
	if s := c.String("max-age"); s != "" && s != "none" {
		if im.opt.MaxAge, err = parseAge(s); err != nil {
			return nil, usagef("--max-age: %w, or none", err)
		}
	}
	return im, nil
}

// refuseWhileRecording tells at once, and not after a wait for the file's
// lock, that a recorder holds the journal.
func refuseWhileRecording(ctx context.Context, path string) error {
	client, err := daemon.Dial(ctx, path)
	if err == nil {
		client.Close()
	}
	if err == nil || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("a recorder runs on %s, and a journal has one writer: stop the recorder first, or import into a journal of its own with --journal FILE", path)
	}
	return nil
}

// importer carries events from logs into a journal.
type importer struct {
	// immutable
	path     string
	key      daemon.KeyFile // made together with the journal
	opt      journal.Options
	name     string // of the source; "": the log's
	out      io.Writer
	complain func(error)
	loc      *time.Location
	bar      *progress

	journal *journal.Journal // nil until the first event is there
	first   uint64           // the journal's first record when it was opened, 0 if it had none
	at      string           // how far the import has come, FILE:LINE
	broken  int              // logs that could not be read to their ends
	total   importSums
}

// importSums is what an import has done.
type importSums struct {
	events, sessions, bytes      uint64
	skipped, remarks, restored   int
	firstTime, lastTime          time.Time
	skippedOfLog, toldOfLog, log int
}

// run imports the logs one after the other. A portion is read while the one
// before it is written, so that at most three are in memory.
func (im *importer) run(ctx context.Context, logs []*logInput) (err error) {
	portions := make(chan *portion, 1)
	reading, stop := context.WithCancel(ctx)
	defer awaitReader(portions)
	defer stop()
	go readLogs(reading, logs, portions)
	for err == nil {
		select {
		case po, more := <-portions:
			if ctx.Err() != nil {
				break // the reader may have ended because of it
			}
			if !more {
				return im.finish(nil)
			}
			err = im.take(ctx, po)
			continue
		case <-ctx.Done():
		}
		err = errors.New("interrupted")
	}
	return im.finish(err)
}

// awaitReader waits until the reader of logs has ended, but not for a standard
// input that says nothing.
func awaitReader(portions <-chan *portion) {
	silent := time.After(time.Second)
	for {
		select {
		case _, more := <-portions:
			if !more {
				return
			}
		case <-silent:
			return
		}
	}
}

// take writes one portion. An interruption lets it be written whole.
func (im *importer) take(ctx context.Context, po *portion) error {
	im.tell(po)
	if len(po.events) == 0 {
		return nil
	}
	if im.journal == nil {
		if err := im.open(ctx); err != nil {
			return err
		}
	}
	writing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(importGrace, cancel) })()
	if po.begins {
		src := event.Source{Name: im.name}
		if src.Name == "" {
			src.Name = po.log.base()
		}
		if _, err := im.journal.BeginImport(writing, src, po.events[0].Time); err != nil {
			return err
		}
		im.total.sessions++
	}
	if err := im.journal.Import(writing, po.events); err != nil {
		return im.writeError(err)
	}
	im.at = fmt.Sprintf("%s:%d", po.log.name, po.line)
	im.total.add(po.events)
	return nil
}

// writeError says what a failing disk means for an import, which unlike a
// recorder has no reason to go on.
func (im *importer) writeError(err error) error {
	if errors.Is(err, journal.ErrUnjournaled) {
		return fmt.Errorf("the journal cannot be written: %s; make room on the disk (or, if it says that the file is too large, let files be larger: ulimit -f), then import what is left", im.journal.Stats().WriteError)
	}
	return err
}

func (im *importer) open(ctx context.Context) (err error) {
	im.opt.Key, err = im.key.ReadOrMake(im.path, func(f daemon.KeyFile) { im.warn(fmt.Errorf("%s: %s", daemon.KeyMade, f.Path)) })
	if err != nil {
		return err
	}
	if im.journal, err = journal.Open(im.path, im.opt); err != nil {
		return err
	}
	b, err := im.journal.Bounds(ctx)
	im.first = b.First
	return err
}

// faultsTold is how many faults of a log are told one by one.
const faultsTold = 5

// tell says what of a portion was no event.
func (im *importer) tell(po *portion) {
	t := &im.total
	if po.log.number != t.log {
		t.log, t.skippedOfLog, t.toldOfLog = po.log.number, 0, 0
	}
	t.skipped, t.remarks, t.restored = t.skipped+po.skipped, t.remarks+po.remarks, t.restored+po.restored
	t.skippedOfLog += po.skipped
	for _, f := range po.faults {
		if t.toldOfLog++; t.toldOfLog <= faultsTold {
			im.warn(fmt.Errorf("%s:%d: skipped: %w", po.log.name, f.Line, f.Err))
		}
	}
	if more := t.skippedOfLog - faultsTold; po.last && more > 0 {
		im.warn(fmt.Errorf("%s: skipped at %d more places", po.log.name, more))
	}
	if po.err != nil {
		im.broken++
		im.warn(fmt.Errorf("%s: what lies behind line %d cannot be read: %w", po.log.name, po.line, po.err))
	} else if po.cut {
		im.broken++
	}
}

func (im *importer) warn(err error) {
	im.bar.clear()
	im.complain(err)
}

func (s *importSums) add(evs []journal.Arrival) {
	for _, ev := range evs {
		s.bytes += uint64(len(ev.Wire))
		if s.events == 0 || ev.Time.Before(s.firstTime) {
			s.firstTime = ev.Time
		}
		if s.events == 0 || ev.Time.After(s.lastTime) {
			s.lastTime = ev.Time
		}
		s.events++
	}
}

// leftOut says what of the logs is no event: what was told as skipped, and the loggers'
// remarks and replies to commands, which nobody takes for events.
func (s *importSums) leftOut() string {
	var parts []string
	if s.skipped > 0 {
		parts = append(parts, count(s.skipped, "place")+" that cannot be read")
	}
	if s.remarks > 0 {
		parts = append(parts, count(s.remarks, "line")+" without an event")
	}
	if len(parts) == 0 {
		return "nothing skipped"
	}
	return "skipped " + strings.Join(parts, " and ")
}

// finish closes the journal and says what was done. Its error is the exit
// code's: err, or what else kept the import from being whole.
func (im *importer) finish(err error) error {
	im.bar.finish()
	evicted, tooLarge := uint64(0), uint64(0)
	if im.journal != nil {
		if err == nil {
			err = im.journal.Pack(context.Background()) // nobody else will before the next recorder
		}
		st := im.journal.Stats()
		tooLarge = st.Dropped
		if im.first == 0 {
			im.first = st.Last - min(st.Last, im.total.events) + 1
		}
		if st.First > im.first {
			evicted = st.First - im.first
		}
		if cerr := im.journal.Close(); err == nil {
			err = cerr
		}
	}
	t := &im.total
	if t.events > 0 {
		fmt.Fprintf(im.out, "%s of %s, %s to %s, %s; %s\n", count(int(t.events), "event"), count(int(t.sessions), "session"),
			t.firstTime.In(im.loc).Format(shortTime), t.lastTime.In(im.loc).Format(shortTime), formatSize(t.bytes), t.leftOut())
	}
	if t.restored > 0 {
		fmt.Fprintf(im.out, "%s whose end the log had lost got it back\n", count(t.restored, "event"))
	}
	if tooLarge > 0 {
		fmt.Fprintf(im.out, "%s too large for the journal's limit; a larger --max-size takes them\n", count(int(tooLarge), "event"))
	}
	if evicted > 0 {
		fmt.Fprintf(im.out, "%s made room, the oldest; a larger --max-size keeps them\n", count(int(evicted), "record"))
	}
	switch {
	case err != nil && t.events > 0:
		return fmt.Errorf("import: %w; what is told above is in the journal, up to %s", err, im.at)
	case err != nil:
		return fmt.Errorf("import: %w", err)
	case t.events == 0:
		return errors.New("nothing was imported: there is no event in it")
	case im.broken > 0:
		return fmt.Errorf("%s could not be read to the end, or ended within an event; what comes before is in the journal", count(im.broken, "log"))
	}
	return nil
}

// count writes a number and what it counts.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
