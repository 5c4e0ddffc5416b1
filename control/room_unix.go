//go:build darwin || freebsd || linux

package control

import "golang.org/x/sys/unix"

// hasRoom reports whether a write to the socket would take something now, or
// fail. Systems say so only when a good part of the buffer is free.
func hasRoom(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return n > 0 || err != nil
}
