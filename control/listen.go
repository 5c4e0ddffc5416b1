package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errNoPath is about a Unix socket without a place.
var errNoPath = errors.New("control: \"unix:\" is no address to listen on: write unix:/path")

// Modes of a Unix socket: as tor's, for its owner alone, or for a group too
// if one is named. The group that a process happens to have is not asked.
const (
	ownSocketMode   = 0o600
	groupSocketMode = 0o660
)

// Listen opens a listener for Serve at "127.0.0.1:9151", "[::1]:9151", "9151"
// or ":9151" (on 127.0.0.1) or "unix:/path". A Unix socket gets mode 0600, or if group
// is not empty that group and mode 0660. A socket file that nobody answers on is left over
// and replaced; one that answers, or that is no socket, is an error.
func Listen(ctx context.Context, address, group string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if unix && path == "" {
		return nil, errNoPath
	}
	if unix {
		return listenUnix(ctx, path, group)
	}
	if group != "" {
		return nil, fmt.Errorf("control: group %s goes with a Unix socket, and %s is none", group, address)
	}
	address, err := tcpAddress(address)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("control: listen on %s: another process has this port, a tor or a torjournal perhaps: choose another one: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("control: listen on %s: no interface of this machine has this address: choose one of its own: %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("control: listen on %s: this user may not: choose a port from 1024 up: %w", address, err)
	}
	return nil, fmt.Errorf("control: listen: %w", err)
}

// tcpAddress completes an address: a port alone, with or without a colon, is
// on loopback, as in tor's ControlPort. Other machines are let in only by who
// writes an address they can reach.
func tcpAddress(given string) (string, error) {
	host, port, err := net.SplitHostPort(given)
	if err != nil {
		host, port = "", given
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("control: %q is no address to listen on: write HOST:PORT, PORT or unix:/path", given)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func listenUnix(ctx context.Context, path, group string) (net.Listener, error) {
	if group != "" {
		if _, err := groupID(group); err != nil {
			return nil, err
		}
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	ln, err := ListenOwn(ctx, path)
	switch folder := filepath.Dir(path); {
	case err == nil:
	case errors.Is(err, syscall.ENOENT):
		return nil, fmt.Errorf("control: listen on unix:%s: there is no folder %s: make it, or choose another: %w", path, folder, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("control: listen on unix:%s: this user may not write in the folder %s: choose another: %w", path, folder, err)
	case errors.Is(err, syscall.EINVAL):
		return nil, fmt.Errorf("control: listen on unix:%s: its %d bytes are more than a socket's path may have: choose a shorter one: %w", path, len(path), err)
	default:
		return nil, fmt.Errorf("control: listen: %w", err)
	}
	if err := ShareSocket(path, group); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// ListenOwn makes a Unix socket at path. On Linux nobody but its owner can
// connect from the first moment, whatever the umask; elsewhere, and for a group,
// ShareSocket says who may.
func ListenOwn(ctx context.Context, path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, sock syscall.RawConn) error {
		var err error
		cerr := sock.Control(func(fd uintptr) { err = makeOwn(fd) })
		return cmp.Or(cerr, err)
	}}
	return lc.Listen(ctx, "unix", path)
}

// ShareSocket gives the Unix socket at path to its owner alone, or, if group
// is not empty, to that group too.
func ShareSocket(path, group string) error {
	mode := os.FileMode(ownSocketMode)
	if group != "" {
		gid, err := groupID(group)
		if err != nil {
			return err
		}
		// The group first: between the two calls nobody may have more than at
		// the end.
		if err := os.Chown(path, -1, gid); err != nil {
			return fmt.Errorf("control: give %s to group %q: %w", path, group, err)
		}
		mode = groupSocketMode
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("control: set who may use %s: %w", path, err)
	}
	return nil
}

// removeStale removes a socket file whose server is gone.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control: listen: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("control: %s exists and is no socket: move it away or choose another path", path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("control: somebody answers on %s already, a tor or a torjournal perhaps: choose another path", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("control: see whether %s is in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control: remove the socket that a process left: %w", err)
	}
	return nil
}

func groupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("control: group %s: %w: create it or name another", name, err)
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return 0, fmt.Errorf("control: group %s has no number on this system: %w", name, err)
	}
	return id, nil
}
