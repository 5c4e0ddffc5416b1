//go:build darwin || freebsd || linux

package control

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// socketPair returns both ends of a connection.
func socketPair(t *testing.T, network, address string) (accepted, dialled net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if dialled, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return accepted, dialled
}

// TestRoom fills a socket: whoever waits for room has let go of what he held,
// and goes on when the peer reads.
func TestRoom(t *testing.T) {
	sock, peer := socketPair(t, "unix", filepath.Join(t.TempDir(), "s"))
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

// What is written without waiting is all there, and no more, whatever the
// socket takes.
func TestWriteNow(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	w := sockWriter{sock: ours}
	w.room.of(ours)
	if w.hasRoomNow() || w.writeNow([]byte("x")) != 0 {
		t.Error("a connection that cannot be asked is written to")
	}
	sock, peer := socketPair(t, "tcp4", "127.0.0.1:0")
	w = sockWriter{sock: sock}
	w.room.of(sock)
	if !w.hasRoomNow() {
		t.Fatal("an empty socket has no room")
	}
	wrote, next := 0, make([]byte, 300_000)
	for n := 1; n > 0; wrote += n {
		for i := range next {
			next[i] = byte((wrote + i) % 251)
		}
		n = w.writeNow(next)
	}
	if w.roomy || w.hasRoomNow() {
		t.Error("a full socket has room")
	}
	if err := sock.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(peer)
	if err != nil || len(got) != wrote {
		t.Fatalf("%d bytes came, %v; %d were written", len(got), err, wrote)
	}
	for i, b := range got {
		if b != byte(i%251) {
			t.Fatalf("byte %d is another one", i)
		}
	}
}

// readNow reads what is there.
func readNow(fd uintptr, p []byte) int {
	n, _ := unix.Read(int(fd), p)
	return n
}
