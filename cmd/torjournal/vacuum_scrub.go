package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/tor/event"
	"torjournal/tor/scrub"
)

// scrubFlags are vacuum's for what makes a journal fit to be shown to others.
func scrubFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "scrub", Usage: "replace in every record what `run --scrub` would have replaced; no recorder may run"},
		&cli.StringFlag{Name: "scrub-key", Usage: "`FILE` of the key of --scrub, made if it is not there (default: the journal's name with .scrubkey)"},
		&cli.StringFlag{Name: "torrc", Usage: "with --scrub: tor's configuration `FILE`, whose Bridge lines say which relays to hide"},
		&cli.BoolFlag{Name: "strip", Usage: "with --scrub: take addresses and host names out altogether, as on a relay"},
	}
}

// scrubbing is one vacuum --scrub.
type scrubbing struct {
	keyFile  string
	hasher   *scrub.Hasher
	conf     map[string][]string // of tor, from its torrc
	strip    bool
	keyMade  bool
	foreign  int // sessions that another key has hashed
	rewriter *scrub.Rewriter
}

// scrubbing reads the flags; nil if nothing is to be scrubbed.
func (p program) scrubbing(c *cli.Context, path string) (*scrubbing, error) {
	key, err := scrubKey(c, path)
	if err != nil {
		return nil, err
	}
	if key == "" {
		for _, flag := range []string{"torrc", "strip"} {
			if c.IsSet(flag) {
				return nil, usagef("--%s goes with --scrub", flag)
			}
		}
		return nil, nil
	}
	s := &scrubbing{keyFile: key, strip: c.Bool("strip")}
	if torrc := c.String("torrc"); torrc != "" {
		if s.conf, err = readTorrc(torrc); err != nil {
			return nil, usagef("--torrc: %w", err)
		}
	}
	return s, nil
}

// run rewrites the journal at path, which no recorder may hold.
func (s *scrubbing) run(ctx context.Context, path string, file daemon.KeyFile, l journal.Limits) (v journal.Vacuumed, err error) {
	if err := refuseToScrub(ctx, path); err != nil {
		return v, err
	}
	key, err := file.Read()
	if err != nil {
		return v, err
	}
	f, err := journal.OpenFile(path, key) // before a key is made for what is no journal
	if err != nil {
		return v, noJournal{err}
	}
	if err := f.Close(); err != nil {
		return v, err
	}
	_, err = os.Lstat(s.keyFile)
	s.keyMade = errors.Is(err, os.ErrNotExist)
	if s.hasher, err = daemon.OpenHasher(s.keyFile, slog.New(slog.DiscardHandler)); err != nil {
		return v, err
	}
	s.rewriter = scrub.NewRewriter(s.hasher, s.conf, s.strip)
	v, err = journal.Rewrite(ctx, path, key, l, journal.Rewriting{Source: s.source, Pass: s.pass})
	if err != nil {
		err = noJournal{err}
	}
	return v, err
}

func (s *scrubbing) source(src event.Source) event.Source {
	src = s.rewriter.Describe(src)
	if src.Scrub != s.hasher.ID() {
		s.foreign++
	}
	return src
}

func (s *scrubbing) pass(learning bool) func(*journal.Record) []byte {
	if learning {
		return func(r *journal.Record) []byte {
			s.rewriter.Learn(r.Session, r.Wire)
			return r.Wire
		}
	}
	s.rewriter.Again()
	return func(r *journal.Record) []byte { return s.rewriter.Rewrite(r.Session, r.Wire) }
}

// refuseToScrub says that a recorder holds the journal.
func refuseToScrub(ctx context.Context, path string) error {
	client, err := daemon.Dial(ctx, path)
	if err == nil {
		client.Close()
	}
	if err == nil || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("a recorder runs on %s, and --scrub replaces what its readers have seen: stop it, scrub, and start it with --scrub, so that what comes is hashed with the same key", path)
	}
	return nil
}

// tell says what else there is to know.
func (s *scrubbing) tell(w io.Writer, path string) error {
	if s.keyMade {
		fmt.Fprintf(w, "-- the key was made, and lies in %s: keep it to yourself; who deletes it makes the hashes unlinkable for ever --\n", s.keyFile)
	}
	if s.foreign > 0 {
		fmt.Fprintf(w, "-- %s had been hashed with another key, and stay so: their hashes cannot be compared with the others --\n", count(s.foreign, "session"))
	}
	return tellOldFiles(w, path)
}

// maxTorrc bounds a torrc in bytes; it is read line by line.
const maxTorrc = 1 << 20

// readTorrc returns what a Rewriter wants to know of a torrc. What it includes
// is not followed.
func readTorrc(path string) (map[string][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	wanted := append(scrub.HashedOptions(), "BridgeRelay")
	conf := map[string][]string{}
	lines := bufio.NewScanner(io.LimitReader(f, maxTorrc))
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		name, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		i := slices.IndexFunc(wanted, func(w string) bool { return strings.EqualFold(w, name) })
		if value = strings.TrimSpace(value); i >= 0 && value != "" {
			conf[wanted[i]] = append(conf[wanted[i]], value)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return conf, nil
}
