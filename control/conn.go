package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"torjournal/query/filter"
	"torjournal/tor/event"
)

// conn is one controller. Two goroutines serve it: serve reads commands and
// answers them one after the other, outlet.run delivers events while there are
// some. turn.go says how they share the socket.
type conn struct {
	// Immutable.
	id     uint64
	srv    *Server
	door   *door
	access *access // door's
	sock   net.Conn
	bare   net.Conn // sock without its encryption, or sock
	since  time.Time
	ctx    context.Context    // ends with the connection
	cancel context.CancelFunc // ends ctx alone, see end
	out    *outlet

	// working holds a token while a command is being answered. Who wants to
	// end the connection puts one in for good: no command begins after that.
	working chan struct{}

	// Owned by serve.
	in      commandReader
	charged int64 // what in.buf takes of the server's maxIncoming
	login   login
	up      Upstream        // nil until a command needs it
	upLife  <-chan struct{} // Backend.Lost() as it was when up was opened
	upWatch sync.WaitGroup  // who waits for the end of up
	demands bool            // Demand has heard of this connection
	sent    time.Time       // when the command was sent whose reply is awaited or being written; zero: none is
	packed  bool            // it has one of the places for compressed connections
	slack   time.Duration   // how long before that reply an event may arrive that the command caused

	listening Upstream // the upstream connection that subscribed to ADDRMAP; see resolve

	audit audit // what it does to tor

	holds holdings // what tor ends when up does

	history atomic.Bool // the connection has the history privilege

	mu     sync.Mutex
	types  event.Set     // guarded by mu: subscribed to
	filter *filter.Where // guarded by mu, changed by serve alone; nil: none
}

// newConn has no id yet: admit gives it one.
func newConn(d *door, sock net.Conn) *conn {
	c := &conn{
		srv: d.srv, door: d, access: &d.access, sock: sock, bare: sock, since: d.srv.now(),
		working: make(chan struct{}, 1),
	}
	if t, ok := sock.(*tls.Conn); ok {
		c.bare = t.NetConn()
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.in.grow = c.charge
	c.audit.conn = c
	c.audit.allowed.now, c.audit.allowed.burst = d.srv.now, deedTime(deedBurst, deedRate)
	c.out = newOutlet(c)
	return c
}

// Ways a connection ends that are not faults of the socket.
var (
	// errBye ends a connection after its last reply.
	errBye = errors.New("control: the conversation is over")

	// errTorn ends a connection in the middle of a reply: there is no other
	// way to say that the rest of it will not come.
	errTorn = errors.New("control: the source ended in the middle of a reply")

	// errRest ends nothing: there is no command to be read just now.
	errRest = errors.New("control: no command")
)

// begin starts to serve.
func (c *conn) begin() {
	_ = c.sock.SetDeadline(time.Now().Add(c.srv.authTime)) // also of writes: a stranger need not read what he is told
	c.out.wake()                                           // the source may have been lost before anybody could tell it
	go c.serve()
}

// end ends the connection at once. It waits for nobody: who calls it may hold
// the server's lock. So TLS is not told of the end, see tellEnd.
func (c *conn) end() {
	c.cancel()
	c.bare.Close()
	c.out.wake()
}

// tellEnd says by TLS that what came is all there is. It may wait for the peer,
// until end is called.
func (c *conn) tellEnd() {
	if t, ok := c.sock.(*tls.Conn); ok {
		_ = t.CloseWrite() // it is over either way
	}
}

// serve runs the connection until it ends, and clears up behind it. A stack
// that has grown by answering commands never shrinks enough: who waits for the
// next one is a new goroutine.
func (c *conn) serve() {
	c.out.w.room.input()
	c.in.begin(c.sock)
	err := c.converse()
	if errors.Is(err, errRest) {
		c.in.end()
		go c.serve()
		return
	}
	switch {
	case errors.Is(err, errBye):
		c.linger()
	case errors.Is(err, io.EOF) && c.packed:
		c.endFrame()
	}
	c.end()
	<-c.out.gone
	c.leave()
	c.srv.forget(c)
	c.door.conns.Done()
}

// converse answers commands until there is a reason to end, or none is there.
func (c *conn) converse() error {
	for first := true; first || c.in.src.Buffered() > 0; first = false {
		cmd, err := c.in.next()
		if err != nil {
			return c.refuseInput(err)
		}
		select {
		case c.working <- struct{}{}:
		case <-c.out.gone:
			return net.ErrClosed
		}
		if err = c.execute(cmd); err != nil {
			return err
		}
		<-c.working
	}
	return errRest
}

// refuseInput says why no more commands are read, where tor says something.
func (c *conn) refuseInput(err error) error {
	switch {
	case errors.Is(err, errTooLong):
		return c.bye("500 Line too long.")
	case errors.Is(err, errCrowded):
		return c.bye("500 Too much input is waiting on all connections together; try again.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.bye("514 Authentication required.")
	}
	if t, ok := c.sock.(*tls.Conn); ok && !t.ConnectionState().HandshakeComplete {
		// Strangers can cause it as often as they like.
		c.srv.log.Debug("a TLS connection did not come about: see whether the peer's certificate is what tls-client-ca asks for, and whether it speaks TLS 1.3",
			"peer", peerName(c.sock), "listener", c.door.ln.Addr().String(), "err", err)
	}
	return err
}

// execute answers one command. An error ends the connection.
func (c *conn) execute(cmd command) error {
	if cmd.verb == "QUIT" {
		return c.bye("250 closing connection")
	}
	if !c.login.open && !c.login.allows(cmd.verb) {
		if isHTTP(cmd.raw) {
			return c.byeRaw(httpAnswer)
		}
		return c.bye("514 Authentication required.")
	}
	if c.login.open && !changes(cmd.verb) {
		c.audit.count(cmd.verb)
	}
	switch cmd.verb {
	case "PROTOCOLINFO":
		return c.protocolInfo(cmd)
	case "AUTHCHALLENGE":
		return c.authChallenge(cmd)
	case "AUTHENTICATE":
		return c.authenticate(cmd)
	case "SETEVENTS":
		return c.setEvents(cmd)
	case "GETINFO":
		return c.getInfo(cmd)
	case "USEFEATURE":
		return c.useFeature(cmd)
	case "REPLAY":
		return c.replay(cmd)
	case "HISTORY":
		return c.askHistory(cmd)
	case "SETFILTER":
		return c.setFilter(cmd)
	case "RESOLVE":
		return c.resolve(cmd)
	case "JOURNAL":
		return c.journal(cmd)
	}
	if slices.Contains(stateVerbs, cmd.verb) {
		return c.changeState(cmd)
	}
	if mayBeSilent(cmd) {
		return c.postSilently(cmd)
	}
	return c.forward(cmd)
}

// charge accounts for n bytes of an unfinished command.
func (c *conn) charge(n int) error {
	limit := maxEarlyCommand
	if c.login.open {
		limit = maxCommand
	}
	if n > limit {
		return errTooLong
	}
	due := max(0, int64(n)-smallCommand)
	if due == c.charged {
		return nil
	}
	if c.srv.incoming.Add(due-c.charged) > maxIncoming && due > c.charged {
		c.srv.incoming.Add(c.charged - due)
		return errCrowded
	}
	c.charged = due
	return nil
}

// linger lets the peer read the last reply: closing a socket that holds
// unread bytes would make its system throw the reply away.
func (c *conn) linger() {
	half, ok := c.sock.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.sock.SetReadDeadline(time.Now().Add(c.srv.waits.farewell))
	for n := 0; n < maxCommand; {
		m, err := c.in.src.Discard(readBuffer)
		if n += m; err != nil {
			return
		}
	}
}

// leave gives back what the connection had beside its socket.
func (c *conn) leave() {
	c.in.end()
	_ = c.charge(0)
	c.audit.end()
	c.srv.chargeFilter(c.filter, nil)
	c.giveUpZstd()
	c.disconnect()
	if c.demands {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), releaseTime)
		defer cancel()
		if err := c.srv.demand.Want(ctx, c.id, event.Set{}); err != nil {
			c.srv.log.Debug("a closed connection's events could not be given up", "conn", c.id, "err", err)
		}
	}
}

func (c *conn) info() ConnectionInfo {
	c.mu.Lock()
	types, expression := c.types, ""
	if c.filter != nil {
		expression = c.filter.Source()
	}
	c.mu.Unlock()
	owns, onions, up := c.holds.list()
	return ConnectionInfo{
		OwnsTor: owns, Onions: onions, Upstream: up,
		ID: c.id, Peer: peerName(c.sock), Listener: c.door.ln.Addr().String(), Since: c.since,
		Authenticated: c.out.authenticated.Load(), History: c.history.Load(), Types: types, Filter: expression,
		Replaying: c.out.replaying.Load(), Behind: c.out.late.Load(), Position: c.out.position.Load(),
	}
}

// peerName is the controller's address; on a Unix socket it seldom has one.
func peerName(sock net.Conn) string {
	if a := sock.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	return "unix"
}

// isHTTP reports whether a browser takes us for a proxy, as tor decides it.
func isHTTP(line []byte) bool {
	for _, m := range []string{"CONNECT ", "DELETE ", "GET ", "POST ", "PUT "} {
		if bytes.HasPrefix(line, []byte(m)) {
			return true
		}
	}
	return false
}
