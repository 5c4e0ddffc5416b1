package main

import (
	"flag"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// tests are those of this package. In -short runs their folders are in memory,
// where there is room: each journal that is made waits for the disk otherwise.
type tests struct{ *testing.M }

func (m tests) Run() int {
	flag.Parse()
	const memory, room = "/dev/shm", 1 << 30
	var st unix.Statfs_t
	if testing.Short() && os.Getenv("TMPDIR") == "" && unix.Statfs(memory, &st) == nil && int64(st.Bavail)*int64(st.Bsize) >= room {
		for _, name := range []string{"TMPDIR", "GOTMPDIR"} { // of tests, and of scripts
			_ = os.Setenv(name, memory)
		}
	}
	return m.M.Run()
}
