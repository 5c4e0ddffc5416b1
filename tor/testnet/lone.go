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
)

// Auth is how a lone tor's control port authenticates.
type Auth int

const (
	CookieAuth   Auth = iota // CookieAuthentication 1
	PasswordAuth             // HashedControlPassword of TorOptions.Password
	NoAuth                   // nothing to prove
)

// TorOptions says what StartTor starts. The zero value has a TCP control port
// with cookie authentication.
type TorOptions struct {
	TorPath  string // empty means the tor in $PATH
	Socket   bool   // a Unix control socket too
	NoPort   bool   // no TCP control port
	Auth     Auth
	Password string // of PasswordAuth

	// Torrc is added to the torrc. It may switch the network on
	// (DisableNetwork 0); tor then looks for an authority that does not exist.
	Torrc []string
}

// StartTor starts a lone tor on DisableNetwork 1 and returns when its control
// port answers. It has no relays to talk to: it is there to be talked to. The
// caller ends it by Close; it also ends with this process, and not with ctx.
func StartTor(ctx context.Context, opts TorOptions) (*Node, error) {
	torPath, err := findTool("tor", opts.TorPath)
	if err != nil {
		return nil, err
	}
	if opts.NoPort && !opts.Socket {
		return nil, errors.New("testnet: a tor without control port and control socket cannot be asked anything: set Socket")
	}
	dir, unlock, err := makeRunDir()
	if err != nil {
		return nil, err
	}
	node := &Node{Nickname: "tor", Address: "127.0.0.1", Dir: filepath.Join(dir, "tor"), torPath: torPath}
	release := []func() error{func() error { unlock(); return os.RemoveAll(dir) }}
	node.release = func() error {
		var err error
		for _, f := range release {
			err = errors.Join(err, f())
		}
		return err
	}
	if !opts.NoPort {
		ports, err := claimPorts(ctx)
		if err != nil {
			return nil, errors.Join(err, node.Close())
		}
		release = append(release, ports.release)
		node.ControlAddr = loopback(ports.take())
	}
	if err := node.setUp(ctx, opts); err != nil {
		return nil, errors.Join(err, node.Close())
	}
	return node, nil
}

func (n *Node) setUp(ctx context.Context, opts TorOptions) error {
	n.addLines(privateLines(noAuthority), []string{"DisableNetwork 1", "SocksPort 0"})
	if n.ControlAddr != "" {
		n.addLines([]string{"ControlPort " + n.ControlAddr})
	}
	if opts.Socket {
		n.ControlSocket = filepath.Join(n.Dir, "control")
		n.addLines([]string{"ControlSocket " + n.ControlSocket})
	}
	switch opts.Auth {
	case CookieAuth:
		n.CookieFile = filepath.Join(n.Dir, "control_auth_cookie")
		n.addLines([]string{"CookieAuthentication 1"})
	case PasswordAuth:
		hashed, err := hashPassword(ctx, n.torPath, opts.Password)
		if err != nil {
			return err
		}
		n.password = opts.Password
		n.addLines([]string{"HashedControlPassword " + hashed})
	}
	n.addLines(opts.Torrc)
	if err := n.prepare(); err != nil {
		return err
	}
	return n.Start(ctx)
}

// hashPassword asks tor for the form of a password that a torrc bears.
func hashPassword(ctx context.Context, torPath, password string) (string, error) {
	cmd := exec.CommandContext(ctx, torPath, "--quiet", "--hash-password", password)
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("testnet: tor --hash-password: %w", err)
	}
	lines := strings.Fields(string(out))
	if len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "16:") {
		return "", fmt.Errorf("testnet: tor --hash-password said %q", out)
	}
	return lines[len(lines)-1], nil
}
