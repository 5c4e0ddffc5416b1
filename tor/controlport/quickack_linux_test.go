package controlport

import (
	"bufio"
	"net"
	"syscall"
	"testing"
)

// What tor sends over TCP is acknowledged at once, also on a connection that
// has just been used for commands, where the kernel would wait for the next.
func TestReadsAreAcknowledgedAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		for r := bufio.NewReader(nc); ; {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			_, _ = nc.Write([]byte("250 OK\r\n"))
		}
	}()
	c, err := Dial(testContext(t), Address{"tcp", ln.Addr().String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		if _, err := c.Do(testContext(t), "GETINFO version"); err != nil {
			t.Fatal(err)
		}
		var quick int
		var sockErr error
		if err := c.raw.Control(func(fd uintptr) {
			quick, sockErr = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
		}); err != nil || sockErr != nil {
			t.Fatal(err, sockErr)
		}
		if quick != 1 {
			t.Fatal("the kernel waits with its acknowledgement for something to send")
		}
	}
}
