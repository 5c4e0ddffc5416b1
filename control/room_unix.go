//go:build darwin || freebsd || linux

package control

import "golang.org/x/sys/unix"

// hasRoom reports whether a write to the socket would take something now, or
// fail. Systems say so only when a good part of the buffer is free.
func hasRoom(fd uintptr) bool { return is(fd, unix.POLLOUT) }

// hasInput reports whether a read from the socket would not wait now.
func hasInput(fd uintptr) bool { return is(fd, unix.POLLIN) }

func is(fd uintptr, event int16) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: event}}
	n, err := unix.Poll(p[:], 0)
	return n > 0 || err != nil
}

// writeNow writes what the socket, which never waits, takes of p, and returns
// how many bytes that were.
func writeNow(fd uintptr, p []byte) int {
	for {
		n, err := unix.Write(int(fd), p)
		if err != unix.EINTR {
			return max(n, 0)
		}
	}
}
