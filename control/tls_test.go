package control

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", true)
	return a
}

// issue makes a certificate with its key, signed by a, or by itself if a has
// none yet, and leaves both in files NAME.pem and NAME.key.
func (a *authority) issue(name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signer, by := a.cert, a.key
	if signer == nil {
		signer, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(a.file(name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) files() TLSFiles {
	a.issue("server", false)
	return TLSFiles{Cert: a.file("server.pem"), Key: a.file("server.key"), ClientCA: a.file("ca.pem")}
}

// client is the configuration of a controller that trusts a, with a
// certificate that signer issued; nil: with none.
func (a *authority) client(signer *authority) *tls.Config {
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.cert)
	if signer != nil {
		cert, key := signer.issue("client", false)
		cfg.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}
	}
	return cfg
}

func (r *rig) dialTLS(cfg *tls.Config) *peer {
	r.t.Helper()
	sock, err := tls.Dial("tcp", r.ln.Addr().String(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { sock.Close() })
	return &peer{t: r.t, sock: sock, in: bufio.NewReader(sock)}
}

// TestTLS: all that a controller does works encrypted: long commands, several
// in one record, events, a lasting silence, and the end.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t, Access{NoAuth: true, TLS: a.files()})
	p := r.dialTLS(a.client(a))
	p.send("AUTHENTICATE\r\nGETINFO version\r\nSETEVENTS BW\r\n" + "ECHO " + strings.Repeat("x", 40_000) + "\r\nGETINFO uptime\r\n")
	p.expect("250 OK", "250-version=0.4.9.11", "250 OK", "250 OK")
	if got := p.line(); len(got) < 40_000 {
		t.Errorf("ECHO: %.60q", got)
	}
	p.expect("250-uptime=30", "250 OK")
	wire := "650 BW " + strings.Repeat("1", 100_000)
	r.log.arrive(time.Time{}, "650 BW 1 1", wire)
	p.expect("650 BW 1 1", wire)
	p.send("GETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
	p.send("QUIT\r\n")
	p.expect("250 closing connection")
	p.closed()
}

// TestTLSLetsNobodyElseIn: no certificate, one of a strange authority, an
// older TLS, and none at all.
func TestTLSLetsNobodyElseIn(t *testing.T) {
	a := newAuthority(t)
	var told logged
	r := newRig(t, Access{NoAuth: true, TLS: a.files()}, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	old := a.client(a)
	old.MaxVersion = tls.VersionTLS12
	for name, cfg := range map[string]*tls.Config{"none": a.client(nil), "strange": a.client(newAuthority(t)), "TLS 1.2": old} {
		sock, err := tls.Dial("tcp", r.ln.Addr().String(), cfg)
		if err == nil { // in TLS 1.3 the refusal comes with the first read
			_, _ = sock.Write([]byte("AUTHENTICATE\r\n"))
			_ = sock.SetReadDeadline(time.Now().Add(patience))
			var n int
			n, err = sock.Read(make([]byte, 100))
			sock.Close()
			if n > 0 {
				t.Errorf("%s: it answers", name)
			}
		}
		if err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := r.dial()
	p.send("AUTHENTICATE\r\nGETINFO version\r\n")
	_ = p.sock.SetReadDeadline(time.Now().Add(patience))
	for {
		line, err := p.in.ReadString('\n')
		if strings.Contains(line, "250") {
			t.Errorf("without TLS: %q", line)
		}
		if err != nil {
			break
		}
	}
	until(t, "all to be gone", func() bool { return len(r.srv.Connections()) == 0 })
	for _, why := range []string{"didn't provide a certificate", "unknown authority", "only unsupported versions", "does not look like a TLS handshake"} {
		if !strings.Contains(told.String(), why) {
			t.Errorf("the log does not say %q:\n%s", why, told.String())
		}
	}
}

// logged is what was logged so far.
type logged struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestTLSWithoutClientCertificates encrypts, and asks for the usual secrets.
func TestTLSWithoutClientCertificates(t *testing.T) {
	a := newAuthority(t)
	files := a.files()
	files.ClientCA = ""
	r := newRig(t, Access{HashedPasswords: []string{fooHash}, TLS: files})
	p := r.dialTLS(a.client(nil))
	p.send("AUTHENTICATE \"foo\"\r\nGETINFO version\r\n")
	p.expect("250 OK", "250-version=0.4.9.11", "250 OK")
	stranger := r.dialTLS(a.client(nil))
	stranger.send("GETINFO version\r\n")
	stranger.expect("514 Authentication required.")
	stranger.closed()
}

// TestTLSResumesNothing: a controller whose certificate is not taken any more
// shall not come in by a session of before.
func TestTLSResumesNothing(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t, Access{NoAuth: true, TLS: a.files()})
	cfg := a.client(a)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		p := r.dialTLS(cfg)
		p.send("AUTHENTICATE\r\n")
		p.expect("250 OK") // a ticket would have come before it
		if p.sock.(*tls.Conn).ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
	}
}

// TestTLSStalledReader: who does not read holds up nobody.
func TestTLSStalledReader(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t, Access{NoAuth: true, TLS: a.files()})
	stalled, p := r.dialTLS(a.client(a)), r.dialTLS(a.client(a))
	for _, q := range []*peer{stalled, p} {
		q.send("AUTHENTICATE\r\nSETEVENTS BW\r\n")
		q.expect("250 OK", "250 OK")
	}
	wire := "650 BW " + strings.Repeat("1", 30_000)
	for range 400 {
		r.log.arrive(time.Time{}, wire)
		p.expect(wire)
	}
	infos := r.srv.Connections()
	if infos[0].Position >= infos[1].Position {
		t.Errorf("the stalled reader is at %d, the other at %d", infos[0].Position, infos[1].Position)
	}
	stalled.sock.(*tls.Conn).NetConn().Close()
}

// TestTLSConnectionsAreBounded: a stranger that only connects costs no more
// than secureConnections.
func TestTLSConnectionsAreBounded(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t, Access{NoAuth: true, TLS: a.files()})
	var socks []net.Conn
	for range secureConnections {
		sock, err := net.Dial("tcp", r.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		socks = append(socks, sock)
	}
	until(t, "all to be there", func() bool { return len(r.srv.Connections()) == secureConnections })
	r.dial().closed()
	socks[0].Close()
	until(t, "one to be gone", func() bool { return len(r.srv.Connections()) == secureConnections-1 })
	p := r.dialTLS(a.client(a))
	p.send("AUTHENTICATE\r\n")
	p.expect("250 OK")
}

func TestTLSAccess(t *testing.T) {
	a := newAuthority(t)
	files := a.files()
	with := func(change func(*TLSFiles)) TLSFiles { f := files; change(&f); return f }
	other := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(other, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, address string
		access        Access
		want          string // of the error; "": none
	}{
		{"other machines, nobody is asked", "0.0.0.0:9151", Access{NoAuth: true}, "use a password there, or certificates (tls-cert, tls-key and tls-client-ca)"},
		{"other machines, encrypted, nobody is asked", "0.0.0.0:9151", Access{NoAuth: true, TLS: with(func(f *TLSFiles) { f.ClientCA = "" })}, "would let everybody in"},
		{"other machines, certificates", "0.0.0.0:9151", Access{NoAuth: true, TLS: files}, ""},
		{"other machines, password", "0.0.0.0:9151", Access{HashedPasswords: []string{fooHash}}, ""},
		{"loopback, certificates", "9151", Access{NoAuth: true, TLS: files}, ""},
		{"no key", "9151", Access{NoAuth: true, TLS: with(func(f *TLSFiles) { f.Key = "" })}, "needs both tls-cert=FILE and tls-key=FILE"},
		{"authority alone", "9151", Access{NoAuth: true, TLS: TLSFiles{ClientCA: files.ClientCA}}, "needs both tls-cert=FILE and tls-key=FILE"},
		{"another key", "9151", Access{NoAuth: true, TLS: with(func(f *TLSFiles) { f.Key = a.file("ca.key") })}, "both are PEM files that belong together"},
		{"no file", "9151", Access{NoAuth: true, TLS: with(func(f *TLSFiles) { f.Cert = "none.pem" })}, "none.pem"},
		{"no certificate in it", "9151", Access{NoAuth: true, TLS: with(func(f *TLSFiles) { f.ClientCA = other })}, "there is no certificate in " + other},
		{"no authority", "9151", Access{NoAuth: true, TLS: with(func(f *TLSFiles) { f.ClientCA = "none.pem" })}, "none.pem"},
	} {
		err := tt.access.Check(tt.address)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// gate is a listener whose connections can be made such that nothing more can
// be written to them, whatever deadline is set.
type gate struct {
	net.Listener
	shut  atomic.Bool
	freed chan struct{} // closed: what is to be written fails
}

type gated struct {
	net.Conn
	gate *gate
	once sync.Once
	gone chan struct{}
}

func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	return &gated{Conn: c, gate: g, gone: make(chan struct{})}, err
}

func (c *gated) Write(p []byte) (int, error) {
	if c.gate.shut.Load() {
		select {
		case <-c.gone:
		case <-c.gate.freed:
		}
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *gated) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// TestTLSEndWaitsForNobody: connections that take no more bytes, not even those
// by which TLS says goodbye, are cut off without the server standing still.
func TestTLSEndWaitsForNobody(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: ln, freed: make(chan struct{})}
	a := newAuthority(t)
	r := newRigOn(t, g, Access{NoAuth: true, TLS: a.files()})
	for range 3 {
		p := r.dialTLS(a.client(a))
		p.send("AUTHENTICATE\r\n")
		p.expect("250 OK")
	}
	g.shut.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error)
	go func() { ended <- r.srv.Shutdown(ctx) }()
	select {
	case err = <-ended:
	case <-time.After(patience):
		t.Error("Shutdown waits for peers that do not read")
		close(g.freed)
		err = <-ended
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}

// counted counts the bytes that come over a connection.
type counted struct {
	net.Conn
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += n
	return n, err
}

// TestTLSEndIsTold: when the source ends, or the listener, controllers get the
// goodbye of TLS, without which what came could have been cut short by anybody.
func TestTLSEndIsTold(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t, Access{NoAuth: true, TLS: a.files()})
	for _, end := range []func(){r.tor.lose, r.end} {
		sock, err := net.Dial("tcp", r.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		below := &counted{Conn: sock}
		cfg := a.client(a)
		cfg.ServerName = "127.0.0.1"
		secure := tls.Client(below, cfg)
		p := &peer{t: t, sock: secure, in: bufio.NewReader(secure)}
		p.send("AUTHENTICATE\r\n")
		p.expect("250 OK")
		before := below.n
		end()
		p.closed()
		if below.n == before {
			t.Error("the connection is closed without a goodbye")
		}
		r.tor.restore()
	}
}
