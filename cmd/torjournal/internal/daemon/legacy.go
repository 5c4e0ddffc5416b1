package daemon

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"torjournal/control"
)

// A legacy is a connection to tor that outlives the recorder that opened it.
// Tor ends with the connection of its owner, and onion services with that of
// who made them; a restart of the recorder shall end neither. So at a stop the
// sockets of such connections go into the service manager's store, and the
// next recorder gets them from there. The controllers are gone meanwhile: it
// does nothing with them but read what nobody waits for any more, until tor
// closes them.

// Legacy is what one of them keeps alive.
type Legacy struct {
	Since   time.Time `json:"since"` // when it was handed over
	OwnsTor bool      `json:"owns_tor,omitempty"`
	Onions  []string  `json:"onions,omitempty"` // service IDs, as many as its name could hold
}

// Its name in the store says what it is: torjournal-KIND-TIME-CONN-ONIONS, in
// at most maxName bytes.
const (
	legacyPrefix = "torjournal"
	kindOwner    = "owner"
	kindOnions   = "onions"
	maxName      = 255
)

func legacyName(c control.ConnectionInfo, now time.Time) string {
	kind := kindOnions
	if c.OwnsTor {
		kind = kindOwner
	}
	name := fmt.Sprintf("%s-%s-%d-%d-", legacyPrefix, kind, now.UnixMicro(), c.ID)
	for i, id := range c.Onions {
		if i > 0 {
			id = "," + id
		}
		if len(name)+len(id) > maxName {
			break
		}
		name += id
	}
	return name
}

// parseLegacy reads such a name.
func parseLegacy(name string) (l Legacy, ok bool) {
	part := strings.Split(name, "-")
	if len(part) != 5 || part[0] != legacyPrefix || part[1] != kindOwner && part[1] != kindOnions {
		return l, false
	}
	us, err := strconv.ParseInt(part[2], 10, 64)
	if err != nil {
		return l, false
	}
	l = Legacy{Since: time.UnixMicro(us).UTC(), OwnsTor: part[1] == kindOwner}
	if part[4] != "" {
		l.Onions = strings.Split(part[4], ",")
	}
	return l, true
}

// legacies are those that this recorder holds.
type legacies struct {
	manager Manager
	log     *slog.Logger

	mu   sync.Mutex
	held map[string]Legacy // guarded by mu; by name
}

// run holds what the manager has kept until ctx ends; the manager keeps it on.
func (l *legacies) run(ctx context.Context) {
	var readers sync.WaitGroup
	for _, f := range l.manager.kept {
		what, ok := parseLegacy(f.name)
		sock, err := net.FileConn(f.file)
		_ = f.file.Close()
		if err != nil || !ok {
			l.log.Warn("the service manager handed over what is no connection of a recorder's; it is closed", "name", f.name, "error", err)
			if err == nil {
				_ = sock.Close()
			}
			continue
		}
		l.log.Info("a connection to tor is held that outlived a restart", "owns_tor", what.OwnsTor, "onions", strings.Join(what.Onions, " "))
		l.mu.Lock()
		l.held[f.name] = what
		l.mu.Unlock()
		readers.Go(func() { l.hold(ctx, f.name, sock) })
	}
	readers.Wait()
}

// hold reads until tor closes the connection, or ctx ends.
func (l *legacies) hold(ctx context.Context, name string, sock net.Conn) {
	defer sock.Close()
	defer context.AfterFunc(ctx, func() { _ = sock.SetReadDeadline(time.Unix(1, 0)) })()
	_, _ = io.Copy(io.Discard, sock)
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	delete(l.held, name)
	l.mu.Unlock()
	l.log.Info("tor has closed a connection that outlived a restart", "name", name)
	if err := l.manager.forget(name); err != nil {
		l.log.Warn("the service manager keeps a connection that tor has closed", "name", name, "error", err)
	}
}

// list returns what is held, the oldest first.
func (l *legacies) list() []Legacy {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Legacy
	for _, x := range l.held {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b Legacy) int { return cmp.Or(a.Since.Compare(b.Since), slices.Compare(a.Onions, b.Onions)) })
	return all
}

// bequeath gives the manager the connection to tor of a controller. It reports
// whether the manager has been given it.
func (l *legacies) bequeath(c control.ConnectionInfo) bool {
	up, ok := c.Upstream.(syscall.Conn)
	if l.manager.socket == "" || !ok {
		return false
	}
	raw, err := up.SyscallConn()
	if err == nil {
		err = l.manager.keep(legacyName(c, time.Now()), raw)
	}
	if err != nil {
		l.log.Error("a connection to tor cannot be kept over a restart", "conn", c.ID, "error", err)
	}
	return err == nil
}
