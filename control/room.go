package control

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// room is asked before records are taken from the journal for a connection:
// whoever does not read shall wait with empty hands. What is taken afterwards,
// a chunk, fits into the buffer of the socket, but for one large event; so
// thousands of connections that have stopped reading hold nothing but
// themselves. But for input it belongs to who has the turn.
type room struct {
	raw   syscall.RawConn    // nil: the connection cannot be asked, and always has room
	tls   bool               // input may have been decrypted that the socket does not know of
	look  func(uintptr) bool // bound once, so that asking allocates nothing
	empty func()             // called when there is none, before waiting for it; nil: asked already
	now   func(uintptr) bool // writes shot; bound once
	shot  shot
}

func (r *room) of(sock net.Conn) {
	if t, ok := sock.(*tls.Conn); ok {
		sock, r.tls = t.NetConn(), true
	}
	if s, ok := sock.(syscall.Conn); ok {
		r.raw, _ = s.SyscallConn()
	}
	r.look = func(fd uintptr) bool {
		if hasRoom(fd) {
			return true
		}
		if r.empty != nil {
			r.empty()
			r.empty = nil
		}
		return false
	}
	r.now = func(fd uintptr) bool {
		s := &r.shot
		if s.n = 0; len(s.bytes) > 0 {
			s.n = writeNow(fd, s.bytes)
		}
		s.roomy = s.n == len(s.bytes) && hasRoom(fd)
		return true
	}
}

// shot is a write that does not wait, maybe of nothing.
type shot struct {
	bytes []byte
	n     int  // of them were written
	roomy bool // all were, and there is room for more
}

// input waits until there is something to read or the connection ends. Nothing
// is held meanwhile, not even a buffer, and the stack is small.
func (r *room) input() {
	if r.raw != nil && !r.tls {
		_ = r.raw.Read(hasInput) // why it ends, the next read tells
	}
}

// await waits until the socket takes bytes or the connection ends. If it has
// to wait it calls empty first.
func (w *sockWriter) await(empty func()) error {
	if w.err != nil || w.room.raw == nil || w.roomy {
		return w.err
	}
	if w.patience > 0 {
		_ = w.sock.SetWriteDeadline(time.Now().Add(w.patience))
	}
	w.room.empty = empty
	w.err = w.room.raw.Write(w.room.look)
	w.room.empty = nil
	return w.err
}

// hasRoomNow reports whether the socket takes bytes, as await does, but does
// not wait. It says no where nothing can be written without waiting.
func (w *sockWriter) hasRoomNow() bool {
	if !w.roomy {
		w.writeNow(nil)
	}
	return w.roomy
}

// writeNow writes what the socket takes of p without waiting, and returns how
// many bytes that were. Why it takes no more, the next write tells.
func (w *sockWriter) writeNow(p []byte) (n int) {
	if w.roomy = false; w.err != nil || w.room.raw == nil || w.room.tls || w.packer != nil || w.buf != nil {
		return 0
	}
	s := &w.room.shot
	if s.bytes = p; w.room.raw.Write(w.room.now) == nil {
		n, w.roomy = s.n, s.roomy
	}
	s.bytes = nil
	return n
}
