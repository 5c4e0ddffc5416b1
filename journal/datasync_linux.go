package journal

import (
	"os"
	"syscall"
)

// datasync returns when what was written to f is on disk, its times not
// included.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
