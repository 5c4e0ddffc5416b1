package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

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
	return p, nil
}

// OpenHasher returns the hasher of the key in a file, nil for "". A file that
// is not there is made.
func OpenHasher(path string, log *slog.Logger) (*scrub.Hasher, error) {
	if path == "" {
		return nil, nil
	}
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path, os.Link); err == nil {
			log.Info("a key for --scrub has been made; who deletes it makes the hashes unlinkable for ever", "file", path)
		}
		if err == nil || errors.Is(err, fs.ErrExist) { // another recorder was first
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--scrub: %w", err)
	}
	return scrub.NewHasher(key)
}

// readKey reads a key: 64 hex digits and a line end.
func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path) // before the file is opened: a pipe would block
	if err != nil {
		return nil, fmt.Errorf("read its key: %w", err)
	}
	const longest = 2*scrub.KeySize + 2
	if !info.Mode().IsRegular() || info.Size() > longest {
		return nil, notKey(path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read its key: %w", err)
	}
	key, err := hex.AppendDecode(nil, bytes.TrimRight(text, "\r\n"))
	if err != nil || len(key) != scrub.KeySize {
		return nil, notKey(path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read or change its key %s (mode %04o): `chmod 600 %s`, or delete it if they have", path, info.Mode().Perm(), path)
	}
	return key, nil
}

func notKey(path string) error {
	return fmt.Errorf("%s holds no key, which is %d hex digits: name another file with --scrub-key, one that is not there is made", path, 2*scrub.KeySize)
}

// makeKey writes a random key to a file that only its owner may read. The file
// is whole as soon as it has its name; one that is there already is left, and
// the error wraps fs.ErrExist. On a file system that link finds no hard links on,
// as those of memory cards often have none, it is whole a moment later.
func makeKey(path string, link func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*") // 0600
	if err != nil {
		return fmt.Errorf("make its key: %w", err)
	}
	defer func() {
		if rerr := os.Remove(f.Name()); err == nil && rerr != nil {
			err = fmt.Errorf("make its key: %w", rerr)
		}
	}()
	key := make([]byte, scrub.KeySize)
	_, _ = rand.Read(key) // never fails
	err = writeKey(f, key)
	if err == nil {
		if err = link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
			err = placeKey(path, key)
		}
	}
	if err != nil {
		return fmt.Errorf("make its key: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// placeKey writes a key to a new file.
func placeKey(path string, key []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeKey(f, key); err != nil {
		_ = os.Remove(path) // half a key must not be left
		return err
	}
	return nil
}

// writeKey writes a key to the disk and closes the file.
func writeKey(f *os.File, key []byte) error {
	_, err := fmt.Fprintf(f, "%x\n", key)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncFolder makes what has happened to a folder's names last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make its key: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("make its key: %w", err)
	}
	return nil
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
