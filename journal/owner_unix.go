//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package journal

import (
	"os"
	"syscall"
)

// keepOwner gives the draft to whom the file belongs that it shall replace:
// the daemon must be able to open what root has rewritten.
func keepOwner(draft string, of os.FileInfo) error {
	st, ok := of.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return os.Chown(draft, int(st.Uid), int(st.Gid))
}
