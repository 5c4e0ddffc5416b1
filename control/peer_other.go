//go:build !linux

package control

import "net"

// peerProcess knows nobody where the system is not asked.
func peerProcess(net.Conn) (uid uint32, pid int32, ok bool) { return 0, 0, false }
