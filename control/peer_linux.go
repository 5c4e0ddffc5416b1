package control

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerProcess says who opened the other end of a Unix socket, as the kernel
// noted it then.
func peerProcess(sock net.Conn) (uid uint32, pid int32, ok bool) {
	s, isSys := sock.(syscall.Conn)
	if !isSys || sock.LocalAddr().Network() != "unix" {
		return 0, 0, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	_ = raw.Control(func(fd uintptr) { // what fails leaves ok false
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid, pid, ok = cred.Uid, cred.Pid, true
		}
	})
	return uid, pid, ok
}
