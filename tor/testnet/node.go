package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Node is one tor of a network, or a lone one. Its addresses and its data
// directory stay the same when it is started again. The fields must not be
// changed; the methods may be called by several goroutines at once.
type Node struct {
	Nickname      string
	Fingerprint   string // of a relay: 40 upper-case hexadecimal digits
	Exit          bool   // a relay that allows exits
	Address       string // from which it connects to others, an IP address
	ControlAddr   string // host:port of its control port, empty if it has none
	ControlSocket string // path of its control socket, empty if it has none
	SocksAddr     string // host:port, of a client
	ORAddr        string // host:port, of a relay
	CookieFile    string // empty unless it authenticates by cookie
	Dir           string // its data directory; torrc and tor.log lie there too

	torPath  string
	keys     string // folder of ready-made keys, empty if tor shall make them
	torrc    []string
	password string       // of its control port, if it has one
	release  func() error // of a lone tor: gives back its ports and removes Dir

	// life serialises Start and those that end a life.
	life sync.Mutex

	mu     sync.Mutex
	proc   *process // guarded by mu: the present life or the last one, nil before the first
	closed bool     // guarded by mu: there is no further life
}

// pollInterval is how often a condition of a tor is asked for that it does
// not announce. It bounds what polling adds to a start.
const pollInterval = 20 * time.Millisecond

func (n *Node) addLines(groups ...[]string) {
	for _, lines := range groups {
		n.torrc = append(n.torrc, lines...)
	}
}

// prepare makes the data directory with keys and torrc.
func (n *Node) prepare() error {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return fmt.Errorf("testnet: make a folder for %s: %w", n.Nickname, err)
	}
	if n.keys != "" {
		if err := copyDir(filepath.Join(n.Dir, "keys"), n.keys); err != nil {
			return err
		}
	}
	lines := append([]string{"DataDirectory " + n.Dir, "Log notice stdout"}, n.torrc...)
	if err := os.WriteFile(n.torrcFile(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("testnet: write torrc of %s: %w", n.Nickname, err)
	}
	return nil
}

func (n *Node) torrcFile() string { return filepath.Join(n.Dir, "torrc") }
func (n *Node) logFile() string   { return filepath.Join(n.Dir, "tor.log") }

func (n *Node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// PID is the process id of the present life, 0 while tor does not run.
func (n *Node) PID() int {
	if p := n.process(); p != nil && p.running() {
		return p.pid()
	}
	return 0
}

// Exited is closed when the present life has ended; it is nil before the
// first.
func (n *Node) Exited() <-chan struct{} {
	if p := n.process(); p != nil {
		return p.done
	}
	return nil
}

// Start starts tor and returns when its control port answers; that is not yet
// bootstrapped. Starting a running tor is an error.
func (n *Node) Start(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	if pid := n.PID(); pid != 0 {
		return fmt.Errorf("testnet: %s is running already, as process %d", n.Nickname, pid)
	}
	// A cookie of an earlier life would be taken for this one's.
	if n.CookieFile != "" {
		if err := os.Remove(n.CookieFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("testnet: remove the old cookie of %s: %w", n.Nickname, err)
		}
	}
	if err := n.spawn(); err != nil {
		return err
	}
	return n.await(ctx, "answer on its control port", func() error {
		c, err := n.dial(ctx, nil)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func (n *Node) spawn() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("testnet: %s has been closed and cannot be started again", n.Nickname)
	}
	p, err := startProcess(n.torPath, []string{"--defaults-torrc", "/nonexistent", "-f", n.torrcFile()}, n.logFile())
	if err == nil {
		n.proc = p
	}
	return err
}

// Restart ends tor by Stop and starts it again.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Stop(ctx); err != nil {
		return err
	}
	return n.Start(ctx)
}

// Stop asks tor to exit (SIGTERM) and waits until it has. It is no error if
// tor does not run. When ctx ends first, tor is killed.
func (n *Node) Stop(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	p := n.process()
	if p == nil || !p.running() {
		return nil
	}
	err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT))
	select {
	case <-p.done:
		return err
	case <-ctx.Done():
		return errors.Join(err, n.failed("exit after SIGTERM", ctx.Err()), n.kill(p))
	}
}

// Kill ends tor at once (SIGKILL) and waits until it is gone. It is no error
// if tor does not run.
func (n *Node) Kill() error {
	// Not under life: a Start that waits for an answer ends by this.
	if p := n.process(); p != nil {
		return n.kill(p)
	}
	return nil
}

func (n *Node) kill(p *process) error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Pause stops the process where it is (SIGSTOP), until Continue: its
// connections stay open and silent.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Continue lets a paused tor run again (SIGCONT).
func (n *Node) Continue() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) error {
	p := n.process()
	if p == nil || !p.running() {
		return fmt.Errorf("testnet: %s does not run: start it first", n.Nickname)
	}
	return p.signal(sig)
}

// Close kills tor for good. A lone tor also loses its files and ports; those
// of a network's node end with the network. It may be called more than once.
func (n *Node) Close() error {
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	n.mu.Unlock()
	err := n.Kill()
	if first && n.release != nil {
		err = errors.Join(err, n.release())
	}
	return err
}

// WaitBootstrapped waits until tor says that it has bootstrapped, that is,
// until it has built a circuit. A relay builds none in a network of fewer than
// 5 relays.
func (n *Node) WaitBootstrapped(ctx context.Context) error {
	return n.askUntil(ctx, "bootstrap", "GETINFO status/bootstrap-phase", func(reply string) error {
		if !strings.Contains(reply, "PROGRESS=100 ") {
			return errors.New(reply)
		}
		return nil
	})
}

// askUntil asks tor the same on one connection until met returns nil.
func (n *Node) askUntil(ctx context.Context, what, command string, met func(reply string) error) error {
	c, err := n.dial(ctx, nil)
	if err != nil {
		return n.failed(what, err)
	}
	defer c.Close()
	return n.await(ctx, what, func() error {
		reply, err := n.ask(ctx, c, command)
		if err != nil {
			return err
		}
		return met(reply)
	})
}

// await polls until check returns nil. Its last error is told if time runs out
// or tor exits: the last of its own, not that time ran out while it asked.
func (n *Node) await(ctx context.Context, what string, check func() error) error {
	p := n.process()
	var last error
	for {
		err := check()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-p.done:
			return n.failed(what, fmt.Errorf("it has exited (%v)", p.err))
		case <-ctx.Done():
			return n.failed(what, fmt.Errorf("%w (last: %v)", ctx.Err(), last))
		case <-time.After(pollInterval):
		}
	}
}

func (n *Node) failed(what string, err error) error {
	return fmt.Errorf("testnet: %s did not %s: %w\nlast lines of its log:\n%s", n.Nickname, what, err, n.LogTail())
}

// tailSize is how much of a log goes into an error: some thirty lines.
const tailSize = 4 << 10

// LogTail returns the last lines of tor's log (at most 4 KiB), indented.
func (n *Node) LogTail() string {
	f, err := os.Open(n.logFile())
	if err != nil {
		return "\t" + err.Error()
	}
	defer f.Close()
	var cut bool
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size > tailSize {
		cut = true
		f.Seek(-tailSize, io.SeekEnd)
	} else {
		f.Seek(0, io.SeekStart)
	}
	tail, _ := io.ReadAll(io.LimitReader(f, tailSize))
	text := strings.TrimSpace(string(tail))
	if cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	return "\t" + strings.ReplaceAll(text, "\n", "\n\t")
}

// findTool returns the path of a program that comes with tor.
func findTool(name, path string) (string, error) {
	if path == "" {
		path = name
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("testnet: %w; install tor: apt-get install tor", err)
	}
	return found, nil
}

// waitListed waits until the authority's consensus lists every relay. Clients
// must start after it: one that meets an early, short consensus keeps it.
func (n *Network) waitListed(ctx context.Context) error {
	want := len(n.relays) + 1
	return n.authority.askUntil(ctx, fmt.Sprintf("list %d relays", want), "GETINFO ns/all", func(reply string) error {
		if got := strings.Count("\n"+reply, "\nr "); got < want {
			return fmt.Errorf("%d of %d relays listed", got, want)
		}
		return nil
	})
}
