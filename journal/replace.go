package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A file that becomes a journal, or takes a journal's place, is made under a
// name of its own beside it: a draft. Only when it is finished and on disk is
// it given the name, and then the folder is synced, so that a crash at any
// point leaves the old file or the new one, never half of one. A draft is made
// by who holds the lock of the journal at path, or while there is none. Who
// makes one for long while there is none, a salvage, keeps it locked: others
// may be about to make the same journal, and sweep.

// newDraft makes an empty file, mode 0600, beside path. It belongs to whom the
// file at path belongs, if there is one.
func newDraft(path string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return "", fmt.Errorf("make a file in the folder: %w", ofTarget(err, path))
	}
	if info, serr := os.Stat(path); serr == nil {
		err = keepOwner(f.Name(), info)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// replaceBy puts the finished draft in the place of the journal at path. After
// an error of the last step, the folder's sync, the draft has the name, and
// may lose it to the old file in a crash: errFolder tells so.
func replaceBy(draft, path string) error {
	if err := syncFile(draft); err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return errors.Join(errFolder, err)
	}
	return nil
}

// errFolder means that the journal's new file has its name, but that the
// folder which says so may not be on disk.
var errFolder = errors.New("journal: sync the folder")

// placeNew gives the finished draft its name, where there must be no file yet:
// else the error is os.ErrExist, and the draft is left.
func placeNew(draft, path string) error {
	err := syncFile(draft)
	if err == nil {
		err = moveNew(draft, path)
	}
	if errors.Is(err, os.ErrNotExist) {
		// Who has made the journal before us has swept our draft away.
		if _, serr := os.Lstat(path); serr == nil {
			return &os.PathError{Op: "create", Path: path, Err: os.ErrExist}
		}
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// moveNew gives the draft its name by a link, which, unlike a rename, never
// replaces a journal. File systems without links get the rename.
func moveNew(draft, path string) error {
	err := os.Link(draft, path)
	if err == nil {
		return os.Remove(draft)
	}
	if errors.Is(err, os.ErrExist) || errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(draft, path)
}

// newLockedDraft makes an empty journal beside path and returns it open and
// locked.
func newLockedDraft(path string, opt Options) (*store, error) {
	for {
		draft, err := newDraft(path)
		if err != nil {
			return nil, err
		}
		s := &store{path: draft}
		if err = s.openEmpty(opt); err == nil {
			return s, nil
		}
		s.abandon()
		_ = os.Remove(draft)
		if !errors.Is(err, errSwept) {
			return nil, err
		}
	}
}

// errSwept means that a draft was swept away before it was locked.
var errSwept = errors.New("journal: swept away")

// drafts returns the drafts beside the journal at path.
func drafts(path string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if name := filepath.Join(filepath.Dir(path), e.Name()); isDraft(name, path) {
			names = append(names, name)
		}
	}
	return names, err
}

func isDraft(name, path string) bool {
	return strings.HasPrefix(filepath.Base(name), "."+filepath.Base(path)+".new-")
}

// sweepDrafts removes what crashes have left beside path: copies of records
// that should be gone. The caller holds the lock of the journal there, or there
// is none. What somebody has locked is at work and stays.
func sweepDrafts(path string) error {
	names, err := drafts(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, sweepDraft(name))
	}
	return errors.Join(errs...)
}

func sweepDraft(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lock(f, true, 0); errors.Is(err, ErrLocked) {
		return nil
	} else if err == nil {
		defer unlock(f)
	} // else a file system without locks, where nobody can hold one
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil // it has become the journal meanwhile
}

// ofTarget makes an error speak of the journal at path where it names a draft,
// which the user never sees.
func ofTarget(err error, path string) error {
	if err == nil {
		return nil
	}
	draft := regexp.QuoteMeta(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new-")) + `[0-9*]*`
	said := err.Error()
	says := regexp.MustCompile(draft+` `+regexp.QuoteMeta(path)).ReplaceAllLiteralString(said, "the new file to "+path)
	says = regexp.MustCompile(draft).ReplaceAllLiteralString(says, path)
	if says == said {
		return err
	}
	return &retoldError{err, says}
}

// retoldError is an error in other words.
type retoldError struct {
	error
	says string
}

func (e *retoldError) Error() string { return e.says }

func (e *retoldError) Unwrap() error { return e.error }

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
