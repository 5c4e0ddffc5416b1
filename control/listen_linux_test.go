package control

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestListenOwn: a socket is its owner's alone before anybody has set its mode.
func TestListenOwn(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "control")
	ln, err := ListenOwn(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != ownSocketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
