//go:build !linux

package controlport

import (
	"net"
	"syscall"
)

// quickAck does nothing: see quickack_linux.go.
func (c *Conn) quickAck() {}

func tcpOf(net.Conn) syscall.RawConn { return nil }
