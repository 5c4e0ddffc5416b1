package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/control"
	"torjournal/journal"
)

// certify leaves NAME.pem and NAME.key in dir, signed by the authority of that
// dir, ca.pem, which it makes first.
func certify(t *testing.T, dir string, names ...string) {
	t.Helper()
	var authority *x509.Certificate
	var by *ecdsa.PrivateKey
	for i, name := range append([]string{"ca"}, names...) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: i == 0, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		if i == 0 {
			authority, by = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, authority, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
			if err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// tail speaks TLS with a port that wants it, unpacks what is packed, both over
// a lost connection, and does neither with who it does not know.
func TestTailOfAnEncryptedPort(t *testing.T) {
	dir := t.TempDir()
	certify(t, dir, "server", "me")
	file := func(name string) string { return filepath.Join(dir, name) }
	access := control.Access{NoAuth: true, History: true, TLS: control.TLSFiles{Cert: file("server.pem"), Key: file("server.key"), ClientCA: file("ca.pem")}}
	addr := freePort(t)
	j, err := journal.Open(journalIn(t), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	bandwidth(t, j, 1, 300)
	stop := serveControl(t, j, addr, access)
	secure := []string{"--control", addr, "--control-tls-ca", file("ca.pem"), "--control-tls-cert", file("me.pem"), "--control-tls-key", file("me.key"), "-o", "json", "-e", "BW", "-n", "300"}
	plain, packed := startTail(t, secure...), startTail(t, append(secure, "--control-zstd")...)
	for _, l := range []*tailing{plain, packed} {
		l.await("650 BW 300 ", 1)
	}
	stop()
	for _, l := range []*tailing{plain, packed} {
		l.await("has closed the connection", 1)
	}
	stop = serveControl(t, j, addr, access)
	bandwidth(t, j, 301, 302)
	end := j.Stats().Last
	for _, l := range []*tailing{plain, packed} {
		l.await("650 BW 302 ", 1)
		contiguous(t, numbers(t, l.out.String()), 1, end)
		l.interrupt()
	}
	open := startTail(t, "--control", addr, "-n", "0")
	open.await("if the port is encrypted, give --control-tls-ca", 1)
	open.interrupt()
	other := t.TempDir()
	certify(t, other)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--control-tls-ca", filepath.Join(other, "ca.pem")}, 1, "certificate signed by unknown authority"},
		{[]string{"--control-tls-cert", file("me.pem"), "--control-tls-key", file("me.key")}, 2, "without it nobody knows who answers there"},
		{[]string{"--control-tls-ca", file("ca.pem"), "--control-tls-key", file("me.key")}, 2, "go together"},
		{[]string{"--control-tls-ca", file("me.key")}, 1, "there is no certificate in"},
	} {
		if _, stderr := torjournal(t, tt.code, append([]string{"tail", "--control", addr}, tt.args...)...); !strings.Contains(stderr, tt.want) {
			t.Errorf("%v says: %s", tt.args, stderr)
		}
	}
	stop()
	stop = serveControl(t, j, addr, control.Access{NoAuth: true})
	if _, stderr := torjournal(t, 1, append([]string{"tail"}, secure...)...); !strings.Contains(stderr, "is that port encrypted?") {
		t.Errorf("a port that is not encrypted: %s", stderr)
	}
	stop()
	defer serveControl(t, j, addr, control.Access{HashedPasswords: []string{"16:0092D97983853A3F60BB96FD4BA19C180EAF192AAE17165C80A725340A"}})()
	if _, stderr := torjournal(t, 1, "tail", "--control", addr); !strings.Contains(stderr, "give --control-password (or $TORJOURNAL_CONTROL_PASSWORD)") {
		t.Errorf("a port that wants a password: %s", stderr)
	}
}

// Where compression is refused, by a tor for instance, tail says so and goes on.
func TestTailCompressedWhereItIsRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			talkLikeTor(c, make(chan string, 1), fmt.Sprintf("650 BW %d 1\r\n", 1))
		}
	}()
	l := startTail(t, "--control", ln.Addr().String(), "--control-zstd", "-o", "wire")
	l.await("not compressed", 1)
	l.await("650 BW 1 1\r\n", 2)
	l.interrupt()
}

// What is packed begins right behind the 250, however the line cuts it up.
func TestPackedConn(t *testing.T) {
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	const before, refusal, answer, text = "250 early\r\n", "551 not now\r\n", "250 OK\r\n", "250 one\r\n650 BW 1 1\r\n"
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, piece := range []int{1, 3, 1 << 10} {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			for n, say := range []string{before, refusal, answer + packed.String()} {
				if line, err := bufio.NewReader(far).ReadString('\n'); err != nil || n > 0 && line != "USEFEATURE ZSTD\r\n" {
					t.Errorf("%q, %v", line, err)
				}
				for part := range slices.Chunk([]byte(say), piece) {
					_, _ = far.Write(part)
				}
			}
		}()
		c := &packedConn{Conn: near}
		for i, want := range []string{before, refusal, answer + text} {
			command := "USEFEATURE ZSTD\r\n"
			if i == 0 {
				command = "USEFEATURE JOURNAL_META\r\n"
			}
			if _, err := io.WriteString(c, command); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Errorf("in pieces of %d: %q, %v; want %q", piece, got, err, want)
			}
		}
		near.Close()
	}
}
