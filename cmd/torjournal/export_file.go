package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// exportFile is the file that an export becomes. It has its name only once it
// is whole and on the disk: until then it is a temporary one beside it.
type exportFile struct {
	to   string
	temp *os.File
	size int64
}

// checkTarget refuses a place that an export cannot be put in, before anything
// is read.
func checkTarget(to string, replace bool) error {
	if fi, err := os.Stat(filepath.Dir(to)); err != nil {
		return fmt.Errorf("--to %s: the folder is not there (%w): make it, or name another", to, err)
	} else if !fi.IsDir() {
		return fmt.Errorf("--to %s: %s is no folder: name another", to, filepath.Dir(to))
	}
	switch fi, err := os.Stat(to); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--to: %w", err)
	case fi.IsDir():
		return fmt.Errorf("--to %s is a folder: name a file in it", to)
	case !fi.Mode().IsRegular():
		return fmt.Errorf("--to %s is no ordinary file: `--to - >%s` writes into it", to, to)
	case !replace:
		return fmt.Errorf("--to %s: there is such a file: name another one, or give --replace", to)
	}
	return nil
}

func createExport(to string) (*exportFile, error) {
	if whole, err := filepath.EvalSymlinks(to); err == nil {
		to = whole // the link stays
	}
	temp, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".part-*")
	if err != nil {
		return nil, fmt.Errorf("export: %w", writeHint(err))
	}
	return &exportFile{to: to, temp: temp}, nil
}

func (f *exportFile) Write(b []byte) (int, error) {
	n, err := f.temp.Write(b)
	f.size += int64(n)
	return n, writeHint(err)
}

// finish gives the file its name.
func (f *exportFile) finish(replace bool) error {
	err := f.temp.Sync()
	if cerr := f.temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = checkTarget(f.to, replace) // it may have come meanwhile
	}
	if err == nil {
		err = os.Rename(f.temp.Name(), f.to)
	}
	if err != nil {
		f.discard()
		return fmt.Errorf("export: %w", writeHint(err))
	}
	dir, err := os.Open(filepath.Dir(f.to))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("export: %s is written, but may not survive a power failure: %w", f.to, err)
	}
	return nil
}

// discard removes what there is of it.
func (f *exportFile) discard() {
	_ = f.temp.Close()
	_ = os.Remove(f.temp.Name())
}

// writeHint says what to do where a disk is full or refuses.
func writeHint(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: make room, or name a file on another disk with --to", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: name a file in a folder of your own with --to", err)
	}
	return err
}
