package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// A file that becomes a journal, or takes a journal's place, is made under a
// name of its own beside it: a draft. Only when it is finished and on disk is
// it given the name, and then the folder is synced, so that a crash at any
// point leaves the old file or the new one, never half of one. A draft is made
// by who holds the lock of the journal at path, or while there is none.

// newDraft makes an empty file, mode 0600, beside path. It belongs to whom the
// file at path belongs, if there is one.
func newDraft(path string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return "", err
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

// sweepDrafts removes what crashes have left beside the journal at path, whose
// lock the caller holds: copies of records that should be gone.
func sweepDrafts(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+filepath.Base(path)+".new-") {
			errs = append(errs, os.Remove(filepath.Join(filepath.Dir(path), e.Name())))
		}
	}
	return errors.Join(errs...)
}

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
