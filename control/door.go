package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// door is a listener and what its connections share.
type door struct {
	// Immutable.
	srv    *Server
	ln     net.Listener
	access access

	closing chan struct{}  // closed when the connections shall take their leave
	conns   sync.WaitGroup // connections, and who watches for them

	secured int // guarded by srv.mu: its connections, if it encrypts

	mu      sync.Mutex
	watched <-chan struct{} // guarded by mu: the life of the source that somebody watches
}

// Serve accepts connections on ln, which it closes in the end, until ctx ends
// or Shutdown is called. Then its connections get what had arrived for them
// and are closed (after the end of ctx they have lastCall for it), and it
// returns nil after the last one. Access is checked first, an own cookie
// written.
func (s *Server) Serve(ctx context.Context, ln net.Listener, a Access) error {
	defer ln.Close()
	acc, err := s.open(ln.Addr(), a)
	if err != nil {
		return err
	}
	if !s.enter() {
		return nil
	}
	defer s.serving.Done()
	d := &door{srv: s, ln: ln, access: acc, closing: make(chan struct{})}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		d.accept()
	}()
	select {
	case <-s.stop:
	case <-accepted:
	case <-ctx.Done():
		defer time.AfterFunc(s.waits.lastCall, func() { d.each((*conn).end) }).Stop()
	}
	close(d.closing)
	ln.Close()
	<-accepted
	d.each(func(c *conn) { c.out.wake() })
	d.conns.Wait()
	s.leftOut.tell()
	return nil
}

// each calls f for the listener's connections.
func (d *door) each(f func(*conn)) {
	d.srv.mu.Lock()
	defer d.srv.mu.Unlock()
	for _, c := range d.srv.conns {
		if c.door == d {
			f(c)
		}
	}
}

// watch wakes the connections when a life of the source ends. One goroutine
// does it for all of them.
func (d *door) watch(life <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watched == life {
		return
	}
	d.watched = life
	d.conns.Go(func() {
		select {
		case <-life:
			d.each(func(c *conn) { c.out.wake() })
		case <-d.closing:
		}
	})
}

func (s *Server) open(addr net.Addr, a Access) (access, error) {
	acc, err := a.check(addr.String(), local(addr))
	if err == nil && a.ownsCookie() {
		acc.cookie, err = s.ownCookie(acc.cookieFile)
	}
	return acc, err
}

// ownCookie returns the cookie at path; listeners that name the same path
// share one.
func (s *Server) ownCookie(path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.cookies[path]; c != nil {
		return c, nil
	}
	c, err := s.writeCookie(path)
	if err != nil {
		old, oerr := keptCookie(path)
		if oerr != nil {
			return nil, fmt.Errorf("%w; see whether the disk is full: without a cookie nobody could authenticate", err)
		}
		s.log.Warn("no new cookie can be written: controllers authenticate with the one of before; see whether the disk is full", "error", err)
		c = old
	}
	s.cookies[path] = c
	return c, nil
}

// enter counts a Serve, unless the server is shut down.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.serving.Add(1)
	}
	return !s.stopped
}

// accept runs until the listener is closed.
func (d *door) accept() {
	for pause := time.Duration(0); ; {
		sock, err := d.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of descriptors, mostly: it passes when others leave.
			pause = min(max(2*pause, 10*time.Millisecond), time.Second)
			d.srv.log.Warn("cannot accept a control connection; raise the limit of open files if this goes on",
				"listener", d.ln.Addr().String(), "err", err)
			select {
			case <-time.After(pause):
			case <-d.closing:
			}
			continue
		}
		pause = 0
		if d.access.tls != nil {
			sock = tls.Server(sock, d.access.tls) // who comes shakes hands when it is read from first
		}
		c := newConn(d, sock)
		if !d.srv.admit(c) {
			c.cancel()
			sock.Close()
			continue
		}
		d.conns.Add(1)
		c.begin()
	}
}

// admit takes a new connection in and gives it its id, unless there are too
// many.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	encrypts := c.door.access.tls != nil
	if len(s.conns) >= s.maxConns || encrypts && c.door.secured >= secureConnections || s.stopped {
		if !s.crowded && !s.stopped {
			s.log.Warn("control connections are refused: there are too many; see torjournal status for whose they are",
				"limit", s.maxConns, "limit_tls", secureConnections, "peer", peerName(c.sock))
			s.crowded = true
		}
		return false
	}
	s.crowded = false
	s.lastID++
	c.id = s.lastID
	s.conns[c.id] = c
	if encrypts {
		c.door.secured++
	}
	return true
}
