package testnet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// addressProxy is the HTTP proxy through which one client reaches relays, so
// that they see it come from an address of its own. Tor itself does not bind
// to OutboundBindAddress where it connects to loopback.
type addressProxy struct {
	listener net.Listener
	from     string             // source address
	cancel   context.CancelFunc // ends every connection
	wg       sync.WaitGroup     // the accepting goroutine and those of connections
}

// startAddressProxy listens on a port and connects onwards from the address
// from.
func startAddressProxy(port int, from string) (*addressProxy, error) {
	l, err := net.Listen("tcp4", loopback(port))
	if err != nil {
		return nil, fmt.Errorf("testnet: proxy of a client: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &addressProxy{listener: l, from: from, cancel: cancel}
	p.wg.Go(func() { p.serve(ctx) })
	return p, nil
}

func (p *addressProxy) addr() string { return p.listener.Addr().String() }

func (p *addressProxy) serve(ctx context.Context) {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select { // out of file descriptors, most likely
			case <-ctx.Done():
			case <-time.After(pollInterval):
			}
			continue
		}
		p.wg.Go(func() { p.forward(ctx, conn) })
	}
}

// forward carries one connection until either side closes it.
func (p *addressProxy) forward(ctx context.Context, client net.Conn) {
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	in := bufio.NewReader(client)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	target, err := netip.ParseAddrPort(req.Host)
	if err != nil || req.Method != http.MethodConnect || !target.Addr().IsLoopback() {
		fmt.Fprint(client, "HTTP/1.0 403 Only loopback\r\n\r\n")
		return
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(p.from)}}
	relay, err := d.DialContext(ctx, "tcp4", target.String())
	if err != nil {
		fmt.Fprint(client, "HTTP/1.0 502 Cannot connect\r\n\r\n")
		return
	}
	defer relay.Close()
	defer context.AfterFunc(ctx, func() { relay.Close() })()
	if _, err := fmt.Fprint(client, "HTTP/1.0 200 Connected\r\n\r\n"); err != nil {
		return
	}
	p.wg.Go(func() {
		io.Copy(relay, in)
		relay.Close()
		client.Close()
	})
	io.Copy(client, relay)
}

func (p *addressProxy) close() error {
	err := p.listener.Close()
	p.cancel()
	p.wg.Wait()
	return err
}
