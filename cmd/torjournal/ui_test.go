package main

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

// Whatever keeps a recorder from writing, the user is told what to do.
func TestHintsOfAJournalThatCannotBeWritten(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC:  "make room",
		syscall.EDQUOT:  "make room",
		syscall.EFBIG:   "ulimit -f",
		syscall.EACCES:  "as the user",
		syscall.EPERM:   "lsattr -d",
		syscall.EROFS:   "can be made and written",
		syscall.ENOTDIR: "can be made and written",
		syscall.EIO:     "can be made and written",
	} {
		err := fmt.Errorf("journal: open x/journal.db: %w", &fs.PathError{Op: "open", Path: "x/journal.db", Err: errno})
		if got := hint(&daemon.PlaceError{Err: err}); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q in it", errno, got, want)
		}
	}
	for _, err := range []error{&journal.DamageError{Path: "x", Err: syscall.EIO}, fmt.Errorf("x: %w", journal.ErrNotJournal)} {
		if got := hint(&daemon.PlaceError{Err: err}); got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
}
