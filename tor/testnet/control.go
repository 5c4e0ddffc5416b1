package testnet

import (
	"context"
	"fmt"
	"strings"

	"torjournal/tor/controlport"
)

// Command opens a control connection, sends one command (a line without its
// end) and returns the text of the reply's lines, data included, without
// status codes, joined by newlines. A reply that is not 2xx is an error.
func (n *Node) Command(ctx context.Context, command string) (string, error) {
	c, err := n.dial(ctx, nil)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return n.ask(ctx, c, command)
}

// dial opens an authenticated control connection. Events, as controlport.New
// describes it, may be nil.
func (n *Node) dial(ctx context.Context, events func([][]byte)) (*controlport.Conn, error) {
	address := controlport.Address{Network: "tcp", Addr: n.ControlAddr}
	if n.ControlAddr == "" {
		address = controlport.Address{Network: "unix", Addr: n.ControlSocket}
	}
	c, err := controlport.Dial(ctx, address, events)
	if err != nil {
		return nil, fmt.Errorf("testnet: %s: %w", n.Nickname, err)
	}
	err = c.Authenticate(ctx, controlport.Credentials{
		CookieFile: n.CookieFile, Password: n.password, HasPassword: n.password != "",
	})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("testnet: %s: %w", n.Nickname, err)
	}
	return c, nil
}

func (n *Node) ask(ctx context.Context, c *controlport.Conn, command string) (string, error) {
	reply, err := c.Do(ctx, command)
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		return "", fmt.Errorf("testnet: %s: %w", n.Nickname, err)
	}
	var text strings.Builder
	for line := range reply.Lines() {
		text.WriteString(line.Text)
		text.WriteByte('\n')
		text.WriteString(strings.ReplaceAll(line.Data, "\r\n", "\n"))
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}
