// Package daemon is torjournal's life: it opens the journal, runs the source
// that fills it and the servers that read it, in that order, and ends them in
// the other. It also finds out for a command-line tool who answers for a
// journal: the daemon that holds it, over its private socket, or the file.
//
// It promises that what a tool reads is the same either way: the daemon hands
// out blocks as they are stored, decrypted, and they are decoded in the tool's
// process. So a tool needs the key of an encrypted journal for the file only: who
// may use the socket may read the history.
// It parses no flags and prints nothing.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"torjournal/control"
	"torjournal/journal"
	"torjournal/tor/controlport"
	"torjournal/tor/event"
	"torjournal/tor/scrub"
)

// drainTime is how long an ending daemon waits for the last events to be
// committed and delivered.
const drainTime = 5 * time.Second

// Listener is one place where the control port is served.
type Listener struct {
	Address string // "127.0.0.1:9151", "unix:/path"
	Group   string // of a Unix socket; "": the daemon's own
	Access  control.Access
}

// Config is what a daemon is told. Nobody changes it after Run began.
type Config struct {
	Version     string
	Journal     string          // place of the file
	Options     journal.Options // limits
	AgeByRole   bool            // records are kept as long as the recorded tor's role asks; Options.MaxAge holds until it is known
	Attach      []controlport.Address
	Credentials controlport.Credentials
	Name        string  // what the source is called; "": its address
	Record      string  // auto, a role, or types
	Key         KeyFile // of an encrypted journal; the file is made together with the journal
	Scrub       string  // file of the key that what names others is hashed with; it is made if it is not there; "": nothing is hashed
	Group       string  // of the private socket; "": only the daemon's user
	Listeners   []Listener
	Heap        int64 // bytes that the process's Go heap shall have at most; 0: as many as it takes
	KeepOnLoss  bool  // controllers stay when the source is lost; else only those that use torjournal's own commands
	Logger      *slog.Logger

	// Hangup, if not nil, receives when Reread shall say anew what the journal
	// may keep.
	Hangup <-chan os.Signal
	Reread func() (Limits, error)

	// Ready, if not nil, is called once when everything listens.
	Ready func()

	Manager Manager // who started this process
}

// Daemon is a running recorder.
type Daemon struct {
	cfg     Config
	started time.Time

	hasher    *scrub.Hasher // nil unless --scrub
	journal   *journal.Journal
	source    *controlport.Source
	deeds     *deeds
	server    *control.Server
	upkeep    *upkeep
	rates     meter
	legacies  *legacies
	listeners []namedListener
}

type namedListener struct {
	net.Listener
	name   string
	access control.Access
}

// PlaceError says that the journal cannot be where it was to be: its folder
// cannot be made, or the file not opened for writing.
type PlaceError struct{ Err error }

func (e *PlaceError) Error() string { return e.Err.Error() }

func (e *PlaceError) Unwrap() error { return e.Err }

// Run records until ctx ends. Whatever it opened is closed when it returns.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := makeFolder(filepath.Dir(cfg.Journal), cfg.Group, cfg.Logger); err != nil {
		return &PlaceError{err}
	}
	hasher, err := OpenHasher(cfg.Scrub, cfg.Logger)
	if err != nil {
		return err
	}
	cfg.Options.Key, err = cfg.Key.ReadOrMake(cfg.Journal, func(f KeyFile) { cfg.Logger.Warn(KeyMade, "file", f.Path) })
	if err != nil {
		return err
	}
	j, err := journal.Open(cfg.Journal, cfg.Options)
	if err != nil {
		return &PlaceError{err}
	}
	d := &Daemon{cfg: cfg, started: time.Now(), hasher: hasher, journal: j}
	d.legacies = &legacies{manager: cfg.Manager, log: cfg.Logger, held: make(map[string]Legacy)}
	defer func() {
		if cerr := j.Close(); err == nil {
			err = cerr
		}
	}()
	if err := d.warnOfUnscrubbed(ctx); err != nil {
		return err
	}
	if err := d.wire(ctx); err != nil {
		return err
	}
	return d.serve(ctx)
}

// wire makes the parts and shows each what it may see of the others.
func (d *Daemon) wire(ctx context.Context) (err error) {
	d.upkeep = newUpkeep(d.journal, d.cfg.AgeByRole, d.cfg.Logger)
	sessions, err := d.journal.Sessions(ctx)
	if err != nil {
		return err
	}
	d.upkeep.recorded(sessions)
	d.upkeep.backups = removeBackups(d.cfg.Journal, d.cfg.Logger)
	if d.deeds, err = newDeeds(d.journal, d.cfg.Record, d.hasher); err != nil {
		return err
	}
	opt := controlport.SourceOptions{
		Addresses:   d.cfg.Attach,
		Credentials: d.cfg.Credentials,
		Name:        d.cfg.Name,
		Sink:        d.journal,
		Policy:      d.policy,
		Logger:      d.cfg.Logger,
	}
	if d.hasher != nil {
		opt.Options, opt.Describe = scrub.HashedOptions(), d.hasher.Describe
	}
	d.source, err = controlport.NewSource(opt)
	if err != nil {
		return err
	}
	d.server = control.NewServer(control.Options{
		Journal: d.journal,
		Backend: backend{d.source},
		Asker:   d.source,
		Demand:  d.source,
		Writes:  d.deeds,
		Logger:  d.cfg.Logger,

		KeepOnLoss: d.cfg.KeepOnLoss,
	})
	d.rates.count = func() uint64 {
		st := d.journal.Stats()
		return st.Records + st.LiveOnly + st.Unjournaled
	}
	return nil
}

// serve listens everywhere, then runs all parts until ctx ends or one fails.
func (d *Daemon) serve(ctx context.Context) error {
	private, err := listenPrivate(ctx, SocketPath(d.cfg.Journal), d.cfg.Group)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(SocketPath(d.cfg.Journal)) }()
	for _, l := range d.cfg.Listeners {
		nl, err := control.Listen(ctx, l.Address, l.Group)
		if err != nil {
			_ = private.Close()
			d.closeListeners()
			return err
		}
		d.listeners = append(d.listeners, namedListener{nl, listenerName(l.Address, nl), l.Access})
	}

	// The source ends first, then the journal is drained, then the servers:
	// what was received before the end is committed and delivered.
	serving, endServing := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endServing(nil)
	recording, endRecording := d.untilTold(ctx)
	defer endRecording()

	var servers sync.WaitGroup
	run := func(part func(context.Context) error) {
		servers.Go(func() {
			if err := part(serving); err != nil {
				endServing(err)
				endRecording()
			}
		})
	}
	run(func(ctx context.Context) error {
		return newPrivateServer(d.journal, d.status, d.cfg.Logger).serve(ctx, private)
	})
	for _, l := range d.listeners {
		run(func(ctx context.Context) error { return d.server.Serve(ctx, l.Listener, l.access) })
	}
	run(func(ctx context.Context) error { d.rates.run(ctx); return nil })
	servers.Go(func() { d.upkeep.run(recording) })
	servers.Go(func() { keepHeap(serving, d.cfg.Heap, d.server.PackedBytes) })
	servers.Go(func() { checkOnce(recording, d.journal, d.cfg.Logger) })
	run(func(ctx context.Context) error { d.reread(ctx); return nil })
	servers.Go(func() { d.legacies.run(serving) })
	d.announce()
	servers.Go(func() { d.cfg.Manager.watch(serving, d.journal.Pulse, d.cfg.Logger) })
	servers.Go(func() { d.cfg.Manager.describe(serving, d.condition) })

	err = d.source.Run(recording)
	if ctx.Err() != nil || context.Cause(serving) != nil {
		err = nil // asked to end, or a server's own error is the reason
	}
	d.drain()
	if err == nil {
		err = context.Cause(serving)
	}
	endServing(nil)
	servers.Wait()
	return err
}

func (d *Daemon) announce() {
	d.cfg.Logger.Info("the journal is open", "journal", d.cfg.Journal, "version", d.cfg.Version)
	for _, l := range d.listeners {
		d.cfg.Logger.Info("control port listens", "address", l.name)
	}
	if d.cfg.Ready != nil {
		d.cfg.Ready()
	}
	if err := d.cfg.Manager.notify("READY=1", nil); err != nil {
		d.cfg.Logger.Warn("the service manager does not know that the recorder is ready", "error", err)
	}
}

// reread hands on what the journal may keep whenever that is to be read again,
// until ctx ends.
func (d *Daemon) reread(ctx context.Context) {
	for {
		select {
		case <-d.cfg.Hangup:
		case <-ctx.Done():
			return
		}
		l, err := d.cfg.Reread()
		if err != nil {
			d.cfg.Logger.Error("the limits cannot be read again and stay as they are", "error", err)
			continue
		}
		d.upkeep.change(l)
	}
}

// drain journals the end, where there was a beginning, and waits, within
// bounds, until all is committed.
func (d *Daemon) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var err error
	if d.source.Begun() {
		err = d.journal.Append(ctx, event.NewJournal(event.WhatStop, "PID", strconv.Itoa(os.Getpid())))
	}
	if err == nil {
		err = d.journal.Flush(ctx)
	}
	if errors.Is(err, journal.ErrUnjournaled) && d.journal.Stats().Outage.IsZero() {
		err = nil // of an outage that is over and has been told
	}
	if err != nil {
		d.cfg.Logger.Error("the last events could not be journaled: see whether the disk is full", "error", err)
	}
}

func (d *Daemon) closeListeners() {
	for _, l := range d.listeners {
		_ = l.Close()
	}
}

// listenerName is the address as it was given, with the port that was chosen.
func listenerName(given string, l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return given
	}
	return l.Addr().String()
}

// backend shows the control server the attached source as its tor.
type backend struct{ source *controlport.Source }

func (b backend) Open(ctx context.Context) (control.Upstream, error) {
	c, err := b.source.Open(ctx)
	if err != nil {
		return nil, err // never a nil *Conn in a non-nil interface
	}
	return c, nil
}

func (b backend) Lost() <-chan struct{} { return b.source.Lost() }

func (b backend) Version() string { return b.source.Status().Source.Version }
