package journal

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// holder says which process has path locked: "process 4711 (torjournal run)",
// "" if the system does not tell.
func holder(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		_, inode, _ := strings.Cut(f[5], ":")
		_, inode, _ = strings.Cut(inode, ":")
		if inode == strconv.FormatUint(st.Ino, 10) {
			return describe(f[4])
		}
	}
	return ""
}

// describe names a process by its id and program. Its arguments may hold a
// password and are left alone.
func describe(pid string) string {
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return "process " + pid
	}
	return fmt.Sprintf("process %s (%s)", pid, bytes.TrimSpace(name))
}
