package control

import "golang.org/x/sys/unix"

// makeOwn has the file of a Unix socket, which is not there yet, made with
// ownSocketMode: Linux takes it from the socket.
func makeOwn(fd uintptr) error { return unix.Fchmod(int(fd), ownSocketMode) }
