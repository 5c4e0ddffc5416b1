//go:build darwin || freebsd || linux

package control

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

// TestRoom fills a socket: whoever waits for room has let go of what he held,
// and goes on when the peer reads.
func TestRoom(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	sock, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	w := sockWriter{sock: sock}
	w.room.of(sock)
	if err := w.await(func() { t.Error("an empty socket has no room") }); err != nil {
		t.Fatal(err)
	}
	wrote := 0
	for room := true; room; {
		if err := w.room.raw.Control(func(fd uintptr) { room = hasRoom(fd) }); err != nil {
			t.Fatal(err)
		}
		if room {
			w.write(make([]byte, 1<<10))
			wrote += 1 << 10
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	emptied := make(chan struct{})
	done := make(chan error)
	go func() { done <- w.await(func() { close(emptied) }) }()
	<-emptied
	select {
	case err := <-done:
		t.Errorf("a full socket has room: %v", err)
		return
	default:
	}
	if _, err := io.CopyN(io.Discard, peer, int64(wrote)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if w.buf != nil {
		t.Error("a writer that waits holds a buffer")
	}
}
