//go:build !linux

package journal

import "os"

// datasync returns when what was written to f is on disk.
func datasync(f *os.File) error { return f.Sync() }
