package testnet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runPrefix begins the name of every network's folder.
const runPrefix = "torjournal-testnet-"

// makeRunDir makes a folder (mode 0700) for the files of one network, in the
// system's folder for temporary files: paths of Unix sockets must be short. It
// also removes such folders that a killed process left behind. The folder
// counts as in use until unlock is called or this process ends.
func makeRunDir() (dir string, unlock func(), err error) {
	sweepRunDirs()
	// Locked before it bears the name by which it is swept.
	raw, err := os.MkdirTemp("", "new-"+runPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("testnet: make a folder: %w", err)
	}
	dir = filepath.Join(filepath.Dir(raw), strings.TrimPrefix(filepath.Base(raw), "new-"))
	f, err := tryLock(filepath.Join(raw, "lock"))
	if err == nil {
		err = os.Rename(raw, dir)
	}
	if err != nil {
		os.RemoveAll(raw)
		return "", nil, fmt.Errorf("testnet: make a folder: %w", err)
	}
	return dir, func() { f.Close() }, nil
}

func sweepRunDirs() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), runPrefix+"*", "lock"))
	for _, lock := range left {
		if f, err := tryLock(lock); err == nil && f != nil {
			os.RemoveAll(filepath.Dir(lock))
			f.Close()
		}
	}
}

// tryLock takes the exclusive lock of a file, which it creates if absent. It
// returns nil and no error if somebody else has it. The lock ends with the
// file, or with the process.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if err == syscall.EWOULDBLOCK {
		return nil, nil
	}
	return nil, err
}

// waitLock takes the exclusive lock of a file, waiting for it.
func waitLock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("testnet: lock %s: %w", path, err)
		}
		if f != nil {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("testnet: another process holds %s: %w", path, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

// copyDir copies a folder of plain files into a new folder that only we can
// read.
func copyDir(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("testnet: copy keys: %w", err)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("testnet: copy keys: %w", err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("testnet: copy keys: %w", err)
		}
	}
	return nil
}

// defaultCacheDir finds the module that the working directory lies in.
func defaultCacheDir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("testnet: find a cache folder: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module torjournal\n") {
			return filepath.Join(dir, ".cache", "testnet"), nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("testnet: find a cache folder: %w", err)
	}
	return filepath.Join(cache, "torjournal", "testnet"), nil
}
