package controlport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// dialTimeout bounds how long a connection may take to open. On loopback it
// takes microseconds; a remote peer that drops packets must not hold up the
// next address for minutes.
const dialTimeout = 5 * time.Second

// Conn is one control connection. Its methods may be called from several
// goroutines: commands are answered in the order in which they were sent.
//
// One goroutine reads. It splits what arrives into asynchronous replies,
// which it hands to the event function, and replies, which it hands to the
// command at the head of the queue:
//
//	for each line that has arrived, in order:
//	    part of an asynchronous reply → the group of this read
//	    the last line of a reply      → deliver the group, then answer
//	at the end of a read              → deliver the group
//
// So whoever has got the answer to a command knows that every event that tor
// sent before it has been through the event function, and no event that tor
// sent after it has. Nothing is buffered beyond one read: an event function
// that blocks stops the reading, and tor buffers.
//
// The way not taken: a queue between reader and receiver would need a bound
// and a policy of its own; the journal has both already.
type Conn struct {
	// Immutable.
	nc     net.Conn
	raw    syscall.RawConn // of nc if it is TCP, else nil
	events func([][]byte)
	quiet  bool          // no events are expected
	dying  chan struct{} // closed by fail, first of all
	done   chan struct{} // closed by the reader when it has ended

	// sending is held while a command is queued and written, so that the
	// order of the queue is the order on the wire.
	sending sync.Mutex

	mu       sync.Mutex
	err      error       // guarded by mu: why the connection ended; set before dying is closed
	waiting  []*exchange // guarded by mu: commands without a whole reply, oldest first
	protocol *ProtocolInfo
}

// Dial opens a control connection; see New. The error says what to do.
func Dial(ctx context.Context, a Address, events func(wires [][]byte)) (*Conn, error) {
	return DialThrough(ctx, a, nil, events)
}

// DialThrough is Dial over what wrap makes of the connection, TLS for instance,
// within the same time. After an error of wrap, which is returned as it is, the
// connection is closed.
func DialThrough(ctx context.Context, a Address, wrap func(context.Context, net.Conn) (net.Conn, error), events func(wires [][]byte)) (*Conn, error) {
	ctx, cancel := withTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, a.Network, a.Addr)
	if err != nil {
		return nil, dialError(ctx, a, err)
	}
	if wrap != nil {
		wrapped, err := wrap(ctx, nc)
		if err != nil {
			_ = nc.Close()
			return nil, err
		}
		nc = wrapped
	}
	return New(nc, events), nil
}

// dialError explains why nothing answers at a.
func dialError(ctx context.Context, a Address, err error) error {
	hint := "is tor running, and is this its ControlPort?"
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("controlport: connect to %v: %w", a, context.Cause(ctx))
	case errors.Is(err, syscall.ECONNREFUSED):
		port := "ControlPort " + a.Addr
		if a.Network == "unix" {
			port = "ControlSocket " + a.Addr
		}
		err, hint = syscall.ECONNREFUSED, "is tor running with "+port+"?"
	case errors.Is(err, os.ErrNotExist):
		err, hint = os.ErrNotExist, "is tor running with ControlSocket "+a.Addr+"?"
	case errors.Is(err, os.ErrPermission):
		err, hint = os.ErrPermission, "the user must be in the group that owns the socket: "+groupHint(a.Addr)
	}
	return fmt.Errorf("controlport: connect to %v: %w: %s", a, err, hint)
}

// New makes nc a control connection and starts to read from it. The Conn owns
// nc. It does not authenticate.
//
// All asynchronous replies that one read brought go to events in one call, in
// order, from the reading goroutine. Each is the whole reply, byte for byte
// as it came, every line with its end. The slices belong to the receiver, who
// may keep and change them; those of one call share one piece of memory. While
// events blocks, nothing is read. It must not wait for a command of the same
// Conn, nor close it. If events is nil, asynchronous replies are dropped.
func New(nc net.Conn, events func(wires [][]byte)) *Conn {
	quiet := events == nil
	if quiet {
		events = func([][]byte) {}
	}
	c := &Conn{nc: nc, raw: tcpOf(nc), events: events, quiet: quiet, dying: make(chan struct{}), done: make(chan struct{})}
	go c.read()
	return c
}

// SyscallConn returns the socket, for who hands a duplicate of it to another
// process: tor sees the connection end when the last one is closed. Nothing is
// to be read from it or written to it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	sock, ok := c.nc.(syscall.Conn)
	if !ok {
		return nil, errors.New("controlport: the connection is not a socket's own")
	}
	return sock.SyscallConn()
}

// Done returns a channel that is closed when the connection has ended and the
// event function has been called for the last time.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it lasts. It is io.EOF,
// wrapped, if tor closed it.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits until the event function has returned.
func (c *Conn) Close() error {
	c.fail(net.ErrClosed)
	<-c.done
	return nil
}

// fail ends the connection. The first reason stays.
func (c *Conn) fail(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = reason
	close(c.dying)
	_ = c.nc.Close() // the reason is told; that closing failed as well helps nobody
}

// gone is the error of a command that gets no reply any more.
func (c *Conn) gone() error {
	reason := c.Err()
	if errors.Is(reason, io.EOF) {
		return fmt.Errorf("controlport: %w: tor closed it", ErrClosed)
	}
	return fmt.Errorf("controlport: %w: %w", ErrClosed, reason)
}
