//go:build !linux

package control

// makeOwn does nothing where the mode of a Unix socket's file is the umask's.
func makeOwn(uintptr) error { return nil }
