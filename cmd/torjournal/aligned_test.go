package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

type fullDisk struct{ err error }

func (f fullDisk) Write([]byte) (int, error) { return 0, f.err }

// What a table could not be written for is said once.
func TestAlignedSaysOnceWhatFailed(t *testing.T) {
	full := fullDisk{errors.New("no space left on device")}
	a := newAligned(full, 0)
	if _, err := io.WriteString(a, strings.Repeat("a\tb\n", 5000)); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(); err == nil || err.Error() != full.err.Error() {
		t.Errorf("%q, not %q", err, full.err)
	}
}
