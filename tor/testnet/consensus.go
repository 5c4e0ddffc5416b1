package testnet

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The consensus is fresh for a day, so that no tor looks for a newer one
// while a test runs, and valid for ten years. The first also sets the pace at
// which onion services change their directories.
const (
	consensusFresh = 24 * time.Hour
	consensusValid = 10 * 365 * 24 * time.Hour
)

// documents are what tor must find on its disk in place of an authority.
type documents struct {
	certificate []byte
	consensus   []byte // microdesc flavour
	microdescs  []byte // with annotations
}

// install writes the documents into a data directory.
func (d *documents) install(dir string) error {
	for name, data := range map[string][]byte{
		"cached-certs":               d.certificate,
		"cached-microdesc-consensus": d.consensus,
		"cached-microdescs":          d.microdescs,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return fmt.Errorf("testnet: install the consensus: %w", err)
		}
	}
	return nil
}

// writeConsensus writes and signs a consensus (dir-spec section 3.4.1, flavour
// of section 3.9.2) of exactly these relays, in the order of keys.relays.
func writeConsensus(keys *bakery, relays []*Node, now time.Time) (*documents, error) {
	docs := &documents{certificate: keys.certificate}
	entries := make([]string, len(relays)) // begin with the identity, for sorting
	for i, node := range relays {
		md, err := microdescriptor(keys.relays[i].descriptor, node.Exit)
		if err != nil {
			return nil, fmt.Errorf("testnet: microdescriptor of %s: %w", node.Nickname, err)
		}
		docs.microdescs = fmt.Appendf(docs.microdescs, "@last-listed %s\n%s", now.UTC().Format(time.DateTime), md)
		entry, err := routerEntry(node, keys.relays[i].descriptor, md)
		if err != nil {
			return nil, err
		}
		entries[i] = node.Fingerprint + entry
	}
	slices.Sort(entries)
	head, err := consensusHead(keys, now.UTC())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(head)
	for _, e := range entries {
		b.WriteString(e[40:])
	}
	b.WriteString(consensusFoot)
	docs.consensus, err = sign(b.Bytes(), keys)
	return docs, err
}

// microdescriptor derives a relay's microdescriptor (dir-spec section 3.3)
// from its descriptor. The summary of an exit's policy allows every port:
// the policy itself, which only allows loopback, would give no summary.
func microdescriptor(descriptor []byte, exit bool) ([]byte, error) {
	ntor, _ := keyword(descriptor, "ntor-onion-key")
	ed25519, _ := keyword(descriptor, "master-key-ed25519")
	if ntor == "" || ed25519 == "" {
		return nil, errors.New("its descriptor lacks ntor-onion-key or master-key-ed25519: use tor 0.4.7 or newer")
	}
	md := []byte("onion-key\n")
	if _, rest := keyword(descriptor, "onion-key"); rest != nil {
		const end = "-----END RSA PUBLIC KEY-----\n"
		if i := bytes.Index(rest, []byte(end)); i >= 0 {
			md = append(md, rest[:i+len(end)]...)
		}
	}
	md = fmt.Appendf(md, "ntor-onion-key %s\n", ntor)
	if exit {
		md = append(md, "p accept 1-65535\n"...)
	}
	return fmt.Appendf(md, "id ed25519 %s\n", ed25519), nil
}

func routerEntry(node *Node, descriptor, md []byte) (string, error) {
	id, err := hex.DecodeString(node.Fingerprint)
	if err != nil {
		return "", fmt.Errorf("testnet: fingerprint of %s: %w", node.Nickname, err)
	}
	host, port, err := net.SplitHostPort(node.ORAddr)
	if err != nil {
		return "", fmt.Errorf("testnet: address of %s: %w", node.Nickname, err)
	}
	digest := sha256.Sum256(md)
	platform, _ := keyword(descriptor, "platform") // "Tor 0.4.9.11 on Linux"
	version, _, _ := strings.Cut(platform, " on ")
	proto, _ := keyword(descriptor, "proto")
	flags := "Fast Guard HSDir Running Stable V2Dir Valid"
	if node.Exit {
		flags = "Exit " + flags
	}
	unpadded := base64.RawStdEncoding
	return fmt.Sprintf("r %s %s 2038-01-01 00:00:00 %s %s 0\nm %s\ns %s\nv %s\npr %s\nw Bandwidth=1000\n",
		node.Nickname, unpadded.EncodeToString(id), host, port, unpadded.EncodeToString(digest[:]), flags, version, proto), nil
}

// consensusHead is the preamble and the one authority's section.
func consensusHead(keys *bakery, now time.Time) (string, error) {
	srv := make([]byte, 64) // shared random values, from which onion services choose directories
	if _, err := rand.Read(srv); err != nil {
		return "", fmt.Errorf("testnet: shared random value: %w", err)
	}
	after := now.Add(-time.Minute) // clocks are compared by the second
	b64 := base64.StdEncoding
	return strings.Join([]string{
		"network-status-version 3 microdesc",
		"vote-status consensus",
		"consensus-method 33",
		"valid-after " + after.Format(time.DateTime),
		"fresh-until " + after.Add(consensusFresh).Format(time.DateTime),
		"valid-until " + after.Add(consensusValid).Format(time.DateTime),
		"voting-delay 2 2",
		"client-versions ",
		"server-versions ",
		"known-flags Authority BadExit Exit Fast Guard HSDir Running Stable V2Dir Valid",
		"shared-rand-previous-value 1 " + b64.EncodeToString(srv[:32]),
		"shared-rand-current-value 1 " + b64.EncodeToString(srv[32:]),
		fmt.Sprintf("dir-source auth0 %s 127.0.0.1 127.0.0.1 9 9", keys.v3ident),
		"contact test@invalid",
		"vote-digest " + strings.Repeat("0", 40),
		"",
	}, "\n"), nil
}

// consensusFoot weighs all relays alike in every position.
const consensusFoot = "directory-footer\nbandwidth-weights" +
	" Wbd=10000 Wbe=10000 Wbg=10000 Wbm=10000 Wdb=10000 Web=10000 Wed=10000 Wee=10000 Weg=10000 Wem=10000" +
	" Wgb=10000 Wgd=10000 Wgg=10000 Wgm=10000 Wmb=10000 Wmd=10000 Wme=10000 Wmg=10000 Wmm=10000\n"

// sign appends the authority's signature: of the SHA-256 digest, as PKCS #1
// pads it without naming the hash (dir-spec section 3.4.1).
func sign(doc []byte, keys *bakery) ([]byte, error) {
	block, _ := pem.Decode(keys.signingKey)
	if block == nil {
		return nil, errors.New("testnet: the authority's signing key is not PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("testnet: the authority's signing key: %w", err)
	}
	const item = "directory-signature " // signed too, up to this space
	doc = append(doc, item...)
	digest := sha256.Sum256(doc)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.Hash(0), digest[:])
	if err != nil {
		return nil, fmt.Errorf("testnet: sign the consensus: %w", err)
	}
	keyDigest := sha1.Sum(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	doc = fmt.Appendf(doc, "sha256 %s %X\n", keys.v3ident, keyDigest)
	return append(doc, pem.EncodeToMemory(&pem.Block{Type: "SIGNATURE", Bytes: signature})...), nil
}
