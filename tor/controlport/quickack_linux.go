package controlport

import (
	"net"
	"syscall"
)

// quickAck has the kernel acknowledge at once what has been read from a TCP
// connection. Tor writes events as they happen and leaves it to the kernel to
// gather small writes: it sends the next one when the one before has been
// acknowledged. But an acknowledgement waits up to 40 ms for something to
// travel with, and on the connection that only brings events nothing does. So
// events would come late, in bursts, and behind replies on other connections
// that tor wrote after them. The kernel goes back to waiting by itself; hence
// after each read.
func (c *Conn) quickAck() {
	if c.raw != nil {
		_ = c.raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
		})
	}
}

// tcpOf returns the socket of a TCP connection, nil of another one.
func tcpOf(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
