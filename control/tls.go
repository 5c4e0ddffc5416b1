package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles are the PEM files by which a listener encrypts (TLS 1.3). They are
// read when the listener starts.
type TLSFiles struct {
	Cert string // certificate of the server, with those that lead to its authority
	Key  string // its private key

	// ClientCA has the authorities of the controllers' certificates. If it is
	// not empty, nobody without such a certificate is let in.
	ClientCA string
}

// secureConnections bounds the encrypted connections of one listener. Each may
// hold a handshake, two records and a goroutine that waits for input:
// 256 × some 64 KiB = 16 MiB that strangers can make the server hold.
const secureConnections = 256

// config reads the files; nil if none is named.
func (f TLSFiles) config() (*tls.Config, error) {
	switch {
	case f == TLSFiles{}:
		return nil, nil
	case f.Cert == "" || f.Key == "":
		return nil, errors.New("control: TLS needs both tls-cert=FILE and tls-key=FILE")
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("control: read the certificate %s with its key %s: %w: both are PEM files that belong together", f.Cert, f.Key, err)
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13,
		SessionTicketsDisabled: true, // whom the authority does not know any more shall not resume
	}
	if f.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("control: read the authority of clients: %w", err)
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("control: there is no certificate in %s: it is a PEM file of the authority that signs the controllers' certificates", f.ClientCA)
	}
	return cfg, nil
}
