package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

// How torjournal speaks to its user.
//
//   - What was asked for goes to standard output, everything else to standard
//     error: a pipe gets data only.
//   - An error says what was being done and what is wrong, in lower case and
//     without a full stop, and names the next step after it: a hint.
//   - Exit codes: 0 done, 1 failed, 2 wrong usage, 3 status found no recorder.

const (
	exitUsage      = 2
	exitNotRunning = 3
)

// exitError is an error with an exit code of its own. A nil err is silent.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// complain is the one place where an error becomes text for the user.
func (p program) complain(err error) {
	fmt.Fprintf(p.stderr, "torjournal: %v\n", err)
	if h := hint(err); h != "" {
		fmt.Fprintf(p.stderr, "  %s\n", h)
	}
}

// noJournal is about a journal that could not be opened for reading.
type noJournal struct{ error }

func (n noJournal) Unwrap() error { return n.error }

// hint names the next step for errors that do not name it themselves.
func hint(err error) string {
	var nj noJournal
	var place *daemon.PlaceError
	switch {
	case errors.Is(err, journal.ErrLocked):
		return "another process holds the journal: `torjournal status --journal FILE` asks it; every journal has one recorder only"
	case errors.As(err, &place):
		return placeHint(err)
	case !errors.As(err, &nj):
		return ""
	case errors.Is(err, os.ErrNotExist):
		return "`torjournal run --journal FILE` makes a journal; --journal or $TORJOURNAL says where it lies"
	case errors.Is(err, os.ErrPermission):
		return "run it as the user the journal belongs to, or give --journal a file of your own"
	}
	return ""
}

// placeHint is the next step where a recorder cannot write its journal.
func placeHint(err error) string {
	var damage *journal.DamageError
	var system syscall.Errno
	switch {
	case errors.As(err, &damage), !errors.As(err, &system):
		return "" // what is wrong with the file names its own next step
	case system == syscall.ENOSPC, system == syscall.EDQUOT:
		return "make room there, or give --journal a file on another disk"
	case system == syscall.EFBIG:
		return "files may not become larger here: raise the limit (ulimit -f; LimitFSIZE= of a service), lower --max-size, or give --journal a file on another file system"
	case system == syscall.EPERM:
		return "not even the owner may: see whether the folder is immutable (lsattr -d), and run it as the user the journal belongs to; or give --journal a file of your own"
	case errors.Is(err, os.ErrPermission):
		return "run it as the user the journal belongs to, or give --journal a file of your own"
	}
	return "--journal or $TORJOURNAL says where the journal lies: a file in a folder that can be made and written"
}
