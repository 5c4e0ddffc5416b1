package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"github.com/urfave/cli/v2"

	"torjournal/tor/controlport"
)

// tlsConfig returns how a control port is spoken to that is encrypted; nil: it
// is not.
func tlsConfig(c *cli.Context, addr controlport.Address) (*tls.Config, error) {
	ca, cert, key := c.String("control-tls-ca"), c.String("control-tls-cert"), c.String("control-tls-key")
	switch {
	case ca == "" && cert == "" && key == "":
		return nil, nil
	case ca == "":
		return nil, usagef("--control-tls-ca names the file of the authority that has signed the certificate of %v; without it nobody knows who answers there", addr)
	case (cert == "") != (key == ""):
		return nil, usagef("--control-tls-cert and --control-tls-key go together: a certificate and its key")
	case addr.Network == "unix":
		return nil, usagef("nobody can listen in on the Unix socket %v: leave out the --control-tls- flags", addr)
	}
	host, _, err := net.SplitHostPort(addr.Addr)
	if err != nil {
		return nil, usagef("--control: %w", err)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("--control-tls-ca: %w", err)
	}
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--control-tls-ca: there is no certificate in %s: a PEM file is wanted", ca)
	}
	if cert == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("--control-tls-cert %s, --control-tls-key %s: %w: both are PEM files that belong together", cert, key, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

// dial opens a connection to the control port.
func (t *portTail) dial(ctx context.Context) (*controlport.Conn, error) {
	return controlport.DialThrough(ctx, t.addr, func(ctx context.Context, nc net.Conn) (net.Conn, error) {
		if t.tls != nil {
			secure := tls.Client(nc, t.tls)
			if err := secure.HandshakeContext(ctx); err != nil {
				return nil, t.strange(fmt.Errorf("TLS with %v: %w", t.addr, err))
			}
			nc = secure
		}
		if t.zstd {
			nc = &packedConn{Conn: nc}
		}
		return nc, nil
	}, t.take)
}

// strange tells apart who is not the one that is meant, or no TLS at all, from
// what may pass.
func (t *portTail) strange(err error) error {
	var wrong *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain):
		err = fmt.Errorf("%w: is that port encrypted?", err)
	case !errors.As(err, &wrong):
		return err
	}
	if t.been {
		return err
	}
	return &hopeless{err}
}

// usePacked has a torjournal compress what it sends from here on. Where it does
// not, events come as they are.
func (t *portTail) usePacked(ctx context.Context, conn *controlport.Conn) error {
	rep, err := conn.Do(ctx, string(useZstd))
	if err == nil && rep.Err() != nil && !t.been {
		t.say("not compressed: %v", printable(rep.Err().Error()))
	}
	return err
}

// useZstd is the command behind whose 250 all is compressed.
var useZstd = []byte("USEFEATURE ZSTD")

// packedConn sees that command pass, and unpacks what follows its 250. Nothing
// else is on the way then: the command is sent alone, before any event is
// asked for.
type packedConn struct {
	net.Conn
	asked atomic.Bool // the command has been sent, and its answer has not come

	// Owned by who reads.
	answer []byte        // what has come of it
	in     *zstd.Decoder // nil: nothing is packed
}

func (c *packedConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, useZstd) {
		c.asked.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *packedConn) Read(p []byte) (int, error) {
	if c.in != nil {
		return c.in.Read(p)
	}
	n, err := c.Conn.Read(p)
	if !c.asked.Load() {
		return n, err
	}
	end := bytes.IndexByte(p[:n], '\n') + 1
	if end == 0 {
		c.answer = append(c.answer, p[:n]...)
		return n, err
	}
	answer := append(c.answer, p[:end]...)
	c.answer = nil
	c.asked.Store(false)
	if !bytes.HasPrefix(answer, []byte("250")) {
		return n, err
	}
	rest := io.MultiReader(bytes.NewReader(bytes.Clone(p[end:n])), c.Conn)
	var zerr error
	if c.in, zerr = zstd.NewReader(bufio.NewReader(rest), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); zerr != nil {
		return end, zerr
	}
	return end, err
}

// maxWindow is more than any torjournal packs with, in bytes.
const maxWindow = 8 << 20
