//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package journal

import (
	"errors"
	"os"
	"syscall"
	"time"
)

const lockRetry = 20 * time.Millisecond

// lock takes the lock that bbolt takes too, so that what is looked at before
// bbolt opens the file holds. bbolt's own call then succeeds at once: the lock
// belongs to the open file. It returns ErrLocked after the timeout.
func lock(f *os.File, exclusive bool, timeout time.Duration) error {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return os.NewSyscallError("flock", err)
		case !time.Now().Before(deadline):
			return ErrLocked
		}
	}
}

// unlock gives the lock back. Closing the file is not enough where a map of it
// is left behind, which keeps the open file alive.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
