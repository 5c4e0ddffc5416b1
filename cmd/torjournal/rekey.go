package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

// rekey encrypts a stopped journal, or decrypts it.
func (p program) rekey(c *cli.Context, path string, f daemon.KeyFile, l journal.Limits) (v journal.Vacuumed, err error) {
	switch {
	case c.Bool("encrypt") && c.Bool("decrypt"):
		return v, usagef("--encrypt and --decrypt exclude each other")
	case f.Path == "" && c.Bool("encrypt"):
		return v, usagef("--encrypt: name the file of the key with --key-file; one that is not there is made")
	case f.Path == "":
		return v, usagef("--decrypt: name the file of the journal's key with --key-file")
	}
	if client, err := daemon.Dial(c.Context, path); err == nil || errors.Is(err, os.ErrPermission) {
		if err == nil {
			client.Close()
		}
		return v, fmt.Errorf("a recorder runs on %s, and would not know the other key: stop it first, and start it again with the key that holds then", path)
	}
	if c.Bool("decrypt") {
		key, err := f.Read()
		if err != nil {
			return v, err
		}
		if v, err = journal.Rekey(c.Context, path, key, nil, l); err != nil {
			return v, noJournal{err}
		}
		p.remark("%s is not encrypted any more: leave out --key-file and $TORJOURNAL_KEY_FILE from now on", path)
		return v, nil
	}
	return v, p.encrypt(c, path, f, l, &v)
}

func (p program) encrypt(c *cli.Context, path string, f daemon.KeyFile, l journal.Limits, v *journal.Vacuumed) error {
	plain, err := journal.OpenFile(path, nil) // before a key is made for nothing
	if errors.Is(err, journal.ErrEncrypted) {
		return fmt.Errorf("%s is encrypted already: to change its key, `torjournal vacuum --decrypt` it with the one it has first", path)
	}
	if err != nil {
		return noJournal{err}
	}
	_ = plain.Close()
	key, err := f.ReadOrMake("", func(daemon.KeyFile) { p.remark("%s: %s", daemon.KeyMade, f.Path) })
	if err != nil {
		return err
	}
	if *v, err = journal.Rekey(c.Context, path, nil, key, l); err != nil {
		return noJournal{err}
	}
	p.remark("%s is encrypted: give --key-file %s, or $TORJOURNAL_KEY_FILE, to whatever opens it from now on; what the disk still has of the old file is not", path, f.Path)
	backups, err := journal.Backups(path)
	for _, b := range backups {
		p.remark("%s, which a migration has left, is not encrypted: `torjournal migrate --done` removes it", b.Path)
	}
	return err
}

// remark tells the user something beside what was asked for.
func (p program) remark(format string, args ...any) {
	fmt.Fprintf(p.stderr, "torjournal: "+format+"\n", args...)
}
