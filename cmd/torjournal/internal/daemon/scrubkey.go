package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"torjournal/tor/controlport"
	"torjournal/tor/scrub"
)

// policy decides what is kept of a tor.
func (d *Daemon) policy(conf map[string][]string) (controlport.Policy, error) {
	p, err := scrub.New(d.cfg.Record, conf)
	if err != nil {
		return nil, err
	}
	if d.hasher != nil {
		p = p.Hashed(d.hasher, conf)
	}
	d.upkeep.attached(p)
	d.deeds.policy.Store(p)
	return p, nil
}

// scrubKey is the file of --scrub's key.
func scrubKey(path string) secretFile {
	return secretFile{
		path: path, size: scrub.KeySize, what: "its key",
		other:   "name another file with --scrub-key, one that is not there is made",
		exposed: "or delete it if they have",
	}
}

// OpenHasher returns the hasher of the key in a file, nil for "". A file that
// is not there is made.
func OpenHasher(path string, log *slog.Logger) (*scrub.Hasher, error) {
	if path == "" {
		return nil, nil
	}
	file := scrubKey(path)
	key, err := file.read()
	if errors.Is(err, fs.ErrNotExist) {
		if err = file.make(os.Link); err == nil {
			log.Info("a key for --scrub has been made; who deletes it makes the hashes unlinkable for ever", "file", path)
		}
		if err == nil || errors.Is(err, fs.ErrExist) { // another recorder was first
			key, err = file.read()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--scrub: %w", err)
	}
	return scrub.NewHasher(key)
}

// warnOfUnscrubbed tells which records of the journal are not scrubbed as the
// new ones will be: what is written stays.
func (d *Daemon) warnOfUnscrubbed(ctx context.Context) error {
	all, err := d.journal.Sessions(ctx)
	if err != nil {
		return err
	}
	id := "" // of this run
	if d.hasher != nil {
		id = d.hasher.ID()
	}
	inClear, otherKey := 0, 0
	for _, s := range all {
		switch s.Source.Scrub {
		case id:
		case "":
			inClear++
		default:
			otherKey++
		}
	}
	log := d.cfg.Logger
	if inClear > 0 {
		log.Warn("this journal has been recorded without --scrub before: those records stay as they are; if they must not be kept, end, and `torjournal vacuum --scrub` hashes them too",
			"sessions", inClear)
	}
	switch {
	case otherKey > 0 && id == "":
		log.Warn("this journal has been recorded with --scrub, but what is recorded now is not scrubbed: end, and give --scrub, if that is not meant",
			"sessions", otherKey)
	case otherKey > 0:
		log.Warn("this journal has been recorded with another key of --scrub before: the hashes of then and now cannot be compared",
			"sessions", otherKey)
	}
	return nil
}
