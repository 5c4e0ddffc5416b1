package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"torjournal/migrations"
)

// A journal of an older schema is migrated when it is opened for writing, and
// whole: a copy beside it gets the missing steps and then its name. The old
// file stays as a backup. A crash at any point leaves the old file or the new
// one under the journal's name, and at most a draft beside it, which the next
// opening sweeps away.
//
//	               journal.db   .journal.db.new-…   journal.db.v1-backup
//	copy, steps    old          new
//	keep           old          new                 old, the same file
//	replace        new                              old
//
// The old file is locked throughout, and the new one before it has the name.

// Migration is what the step from one schema to the newest means for a file.
type Migration struct {
	From, To   uint64            // schemas; equal: there is nothing to do
	Steps      []migrations.Step // what is between them
	Need, Free int64             // bytes that the copy takes, and that there are beside the journal
	Backup     string            // where the old file stays
}

// PlanMigration says what Migrate would do to the journal at path, which no
// daemon may have open. It changes nothing. It needs no key, as Migrate does:
// no value is looked at.
func PlanMigration(path string) (m Migration, err error) {
	opt, err := Options{lockTimeout: readLockTimeout, keyless: true}.withDefaults()
	if err != nil {
		return m, err
	}
	s, err := openStore(path, opt, true)
	if err != nil {
		return m, err
	}
	m, err = s.planMigration(opt)
	return m, errors.Join(err, s.close())
}

// Migrate brings the journal at path, which nobody may have open, to the
// newest schema. Open does the same on its way, and both remove what a crash
// has left beside the journal. After an error the journal is as it was.
func Migrate(path string) (Migration, error) {
	m, err := PlanMigration(path)
	if err != nil {
		return m, err
	}
	if left, err := drafts(path); m.From == m.To && len(left) == 0 {
		return m, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return m, fmt.Errorf("journal: migrate: %w", err)
	}
	opt, err := Options{MaxSize: min(max(DefaultMaxSize, 2*info.Size()), maxSizeLimit), keyless: true}.withDefaults()
	if err != nil {
		return m, err
	}
	s, err := openStore(path, opt, false)
	if err != nil {
		return m, err
	}
	return m, s.close()
}

func (s *store) planMigration(opt Options) (m Migration, err error) {
	m.To = migrations.Latest()
	if err := s.view(func(tx *txn) (err error) { m.From, err = migrations.Version(tx.bolt); return err }); err != nil {
		return m, err
	}
	m.Steps = migrations.After(m.From)
	m.Backup = fmt.Sprintf("%s.v%d-backup", s.path, m.From)
	m.Need = s.fileSize() + migrationRoom
	m.Free, err = opt.freeSpace(filepath.Dir(s.path))
	return m, err
}

// migrationRoom is what the steps may add to a copy: new buckets, and the
// pages of the transactions that make them.
const migrationRoom = 1 << 20

// upgrade brings the open file to the newest schema.
func (s *store) upgrade(opt Options) error {
	m, err := s.planMigration(opt)
	if err != nil || m.From == m.To {
		return err
	}
	if m.From == 0 { // bbolt's own file, and nothing in it
		if err := s.write(func() error { return makeJournal(s.db, opt.Key) }); err != nil {
			return err
		}
		return s.useKey(opt.Key)
	}
	g := &migration{Migration: m, old: s, opt: opt}
	defer g.discard()
	for _, step := range g.steps() {
		if err := step(); err != nil {
			return fmt.Errorf("bring it from schema %d to %d: %w", m.From, m.To, err)
		}
	}
	opt.Logger.Info("the journal has been brought to a newer schema; the old file stays beside it for a while",
		"from", m.From, "to", m.To, "backup", m.Backup, "days_at_most", int(BackupTime/(24*time.Hour)))
	return nil
}

// migration is one at work.
type migration struct {
	Migration
	old *store
	opt Options

	draft string // "" before it is made and after it has become the journal
	new   *store // the draft, open; nil before, and when the old store has it
}

// steps in order. A crash after any of them leaves a journal.
func (g *migration) steps() []func() error {
	return []func() error{g.room, g.copy, g.apply, g.keep, g.replace}
}

func (g *migration) room() error {
	if g.Free < g.Need {
		dir := filepath.Dir(g.old.path)
		return fmt.Errorf("the copy needs %d MiB and %s has %d MiB free: make room there", (g.Need+1<<20-1)>>20, dir, g.Free>>20)
	}
	return nil
}

func (g *migration) copy() (err error) {
	if g.draft, err = newDraft(g.old.path); err != nil {
		return err
	}
	if err := copyFile(g.old.path, g.draft); err != nil {
		return err
	}
	g.new = &store{path: g.draft, cipher: g.old.cipher} // its values stay as they are
	return g.new.open(g.opt, false)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

func (g *migration) apply() error {
	return g.new.write(func() error { _, _, err := migrations.Apply(g.new.db); return err })
}

// keep gives the old file a second name. From now on is when it is a backup.
func (g *migration) keep() error {
	now := g.opt.Now()
	err := os.Link(g.old.path, g.Backup)
	switch {
	case errors.Is(err, os.ErrExist):
		if err := g.keptAlready(); err != nil {
			return err
		}
	case err != nil: // a file system without links
		if err := g.keepCopy(); err != nil {
			return err
		}
	}
	return os.Chtimes(g.Backup, now, now)
}

// keptAlready makes sure that the backup that is there is our file's second
// name: a crash has left it.
func (g *migration) keptAlready() error {
	there, err := os.Stat(g.Backup)
	if err != nil {
		return err
	}
	own, err := g.old.file.Stat()
	if err == nil && !os.SameFile(own, there) {
		err = fmt.Errorf("%s is in the way, the backup of an earlier migration: move it away, or `torjournal migrate --done` removes it", g.Backup)
	}
	return err
}

func (g *migration) keepCopy() error {
	draft, err := newDraft(g.old.path)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	if err := copyFile(g.old.path, draft); err != nil {
		return err
	}
	return placeNew(draft, g.Backup)
}

func (g *migration) replace() error {
	if err := replaceBy(g.draft, g.old.path); err != nil {
		return err
	}
	g.draft = ""
	err := g.old.takeOver(g.new).close()
	g.new = nil
	return err
}

func (g *migration) discard() {
	if g.new != nil {
		g.new.abandon()
	}
	if g.draft != "" {
		_ = os.Remove(g.draft)
	}
}

// BackupTime is how long the file of an older schema stays beside the journal.
const BackupTime = 7 * 24 * time.Hour

// Backup is a file that a migration has left.
type Backup struct {
	Path   string
	Schema uint64
	Made   time.Time // when it was replaced
	Size   int64     // bytes
}

var backupName = regexp.MustCompile(`^\.v([1-9][0-9]{0,8})-backup$`)

// Backups returns the backups beside the journal at path.
func Backups(path string) (out []Backup, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("journal: look for backups: %w", err)
	}
	for _, e := range entries {
		base := filepath.Base(path)
		if len(e.Name()) <= len(base) || e.Name()[:len(base)] != base {
			continue
		}
		m := backupName.FindStringSubmatch(e.Name()[len(base):])
		info, err := e.Info()
		if m == nil || err != nil || !info.Mode().IsRegular() {
			continue
		}
		schema, _ := strconv.ParseUint(m[1], 10, 64)
		out = append(out, Backup{filepath.Join(filepath.Dir(path), e.Name()), schema, info.ModTime(), info.Size()})
	}
	return out, nil
}

// RemoveBackups removes the backups beside the journal at path that were made
// before a time, zero for all, and returns them, also beside an error.
func RemoveBackups(path string, before time.Time) (removed []Backup, err error) {
	all, err := Backups(path)
	for _, b := range all {
		if !before.IsZero() && !b.Made.Before(before) {
			continue
		}
		if rerr := os.Remove(b.Path); rerr != nil {
			err = errors.Join(err, fmt.Errorf("journal: %w", rerr))
			continue
		}
		removed = append(removed, b)
	}
	return removed, err
}
