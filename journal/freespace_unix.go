//go:build darwin || freebsd || linux

package journal

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeSpace returns how many bytes may be written to the file system of dir by
// who is not root.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	free := float64(st.Bavail) * float64(st.Bsize) // either type differs between systems
	return int64(min(free, math.MaxInt64/2)), nil
}
