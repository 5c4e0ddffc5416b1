package journal

import (
	"os"
	"testing"
)

// What `go test -short` does otherwise: it shows in seconds that something is
// broken at its base. The folders of its tests are in memory, and what is done
// for many rounds is done for a few.

// diskTemp is where folders of tests are that must be on a disk.
var diskTemp = os.TempDir()

// beQuick puts the tests' folders into memory, where there is room: most of the
// time of these tests is the disk's, and what it does is not of interest to most.
func beQuick() {
	const memory, room = "/dev/shm", 1 << 30
	if free, err := freeSpace(memory); err == nil && free >= room && os.Getenv("TMPDIR") == "" {
		_ = os.Setenv("TMPDIR", memory)
	}
}

// onDisk puts the test's folders on the disk, of short runs too.
func onDisk(t *testing.T) {
	t.Helper()
	t.Setenv("TMPDIR", diskTemp)
}

// scaled returns full, or in short runs the other one: so many rounds, cases,
// records, or every so manieth of them.
func scaled(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}
