package main

import (
	"net"
	"testing"
	"time"
)

// garble says nonsense to a relay's OR port, from a client's address: tor
// complains about that address in its log.
func garble(t *testing.T, orAddr, from string) {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", orAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("this is not how one greets a relay\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 512)) // until tor has had enough
}
