package testnet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"
)

// Command opens a control connection, sends one command (a line without its
// end) and returns the text of the reply's lines, data included, without
// status codes, joined by newlines. A reply that is not 2xx is an error.
func (n *Node) Command(ctx context.Context, command string) (string, error) {
	c, err := n.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return ask(c, command)
}

// dial opens an authenticated control connection. It ends with ctx or after
// half a minute.
func (n *Node) dial(ctx context.Context) (*textproto.Conn, error) {
	network, addr := "tcp", n.ControlAddr
	if addr == "" {
		network, addr = "unix", n.ControlSocket
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("testnet: control port of %s: %w", n.Nickname, err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	} else {
		conn.SetDeadline(time.Now().Add(30 * time.Second))
	}
	tp := textproto.NewConn(conn)
	if err := n.authenticate(tp); err != nil {
		tp.Close()
		return nil, fmt.Errorf("testnet: authenticate to %s: %w", n.Nickname, err)
	}
	return tp, nil
}

func (n *Node) authenticate(tp *textproto.Conn) error {
	auth := "AUTHENTICATE"
	if n.CookieFile != "" {
		cookie, err := os.ReadFile(n.CookieFile)
		if err != nil {
			return err
		}
		auth += " " + hex.EncodeToString(cookie)
	} else if n.password != "" {
		auth += fmt.Sprintf(" %q", n.password)
	}
	_, err := ask(tp, auth)
	return err
}

func ask(tp *textproto.Conn, command string) (string, error) {
	if err := tp.PrintfLine("%s", command); err != nil {
		return "", err
	}
	var text []string
	for {
		line, err := tp.ReadLine()
		if err != nil {
			return "", err
		}
		if len(line) < 4 {
			return "", fmt.Errorf("malformed line %q", line)
		}
		text = append(text, line[4:])
		if line[3] == '+' {
			data, err := tp.ReadDotLines()
			if err != nil {
				return "", err
			}
			text = append(text, data...)
		}
		if line[3] == ' ' {
			if line[0] != '2' {
				return "", errors.New(line)
			}
			return strings.Join(text, "\n"), nil
		}
	}
}
