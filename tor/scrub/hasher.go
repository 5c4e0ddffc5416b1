package scrub

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"sync"

	"torjournal/tor/event"
)

// KeySize is the length of a Hasher's key in bytes.
const KeySize = 32

// Hasher replaces values by keyed hashes: equal values become equal ones, in
// whatever field and session they stand, and without the key nobody can tell,
// not even by trying, which value a hash is of. The hash is the first 64 bits
// of HMAC-SHA-256.
//
// What stands for a value tells what it was: a-… an address, h-… a host name,
// o-… an onion service, d-… an identifier of a descriptor or a key, c-… a
// credential, x-… anything else. What has been replaced is left alone when it
// comes again.
//
// It remembers which relays are bridges. Its methods may be called from any
// goroutine.
type Hasher struct {
	id string

	mu      sync.Mutex
	mac     hash.Hash         // guarded by mu
	sum     [sha256.Size]byte // guarded by mu: scratch
	input   []byte            // guarded by mu: scratch
	bridges bridges           // guarded by mu
}

// The domains of hashes, which are also the letters they begin with.
const (
	ofAddress    = 'a'
	ofHost       = 'h'
	ofOnion      = 'o'
	ofDescriptor = 'd'
	ofCredential = 'c'
	ofOther      = 'x'
	ofRelay      = 'r' // looks like a fingerprint, not like r-…
	ofKey        = 'k' // of the key itself
)

const (
	hashDigits = 16          // hex digits of a hash
	suffix     = ".scrubbed" // after a host name or an address
	nickname   = "scrubbed"  // instead of a bridge's

	// maskedZeros are the digits that a bridge's fingerprint begins with
	// once it is replaced; the hash follows.
	maskedZeros = "000000000000000000000000"
)

// NewHasher returns the hasher of a secret key of KeySize bytes.
func NewHasher(key []byte) (*Hasher, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a key of %d bytes is wanted, not %d", KeySize, len(key))
	}
	h := &Hasher{mac: hmac.New(sha256.New, key)}
	h.id = string(h.appendDigits(nil, ofKey, nil))
	return h, nil
}

// ID names the key without telling it: 16 hex digits.
func (h *Hasher) ID() string { return h.id }

// Describe returns what is kept of the description of a source: a bridge's
// fingerprint is replaced, and the key is named.
func (h *Hasher) Describe(src event.Source) event.Source {
	h.mu.Lock()
	defer h.mu.Unlock()
	src.Scrub = h.id
	if fp := []byte(src.Fingerprint); src.Role == Bridge && isFingerprint(fp) && !isMasked(fp) {
		h.bridges.learn(fp, nil)
		src.Fingerprint = string(h.appendFingerprint(nil, fp))
	}
	return src
}

// appendDigits appends the hash of a value of a domain in lower-case hex.
func (h *Hasher) appendDigits(dst []byte, domain byte, value []byte) []byte {
	h.mac.Reset()
	h.input = append(append(h.input[:0], domain), value...)
	_, _ = h.mac.Write(h.input) // never fails
	return hex.AppendEncode(dst, h.mac.Sum(h.sum[:0])[:hashDigits/2])
}

// appendHash appends "<letter>-<digits>", or the value if it is that already.
func (h *Hasher) appendHash(dst []byte, domain byte, value []byte) []byte {
	if isHash(value, domain) {
		return append(dst, value...)
	}
	return h.appendDigits(append(dst, domain, '-'), domain, value)
}

// isHash reports whether word is "<letter>-" and a hash.
func isHash(word []byte, letter byte) bool {
	return len(word) == hashDigits+2 && word[0] == letter && word[1] == '-' && lowerHex(word[2:])
}

func lowerHex(s []byte) bool {
	for _, c := range s {
		if !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// appendHost appends what stands for a host: an address, an onion service's
// name with or without its ".onion", or another name. isAddress tells which
// it was.
func (h *Hasher) appendHost(dst, host []byte) (out []byte, isAddress bool) {
	word, scrubbed := bytes.CutSuffix(host, []byte(suffix))
	switch {
	case scrubbed && isHash(word, ofAddress):
		return append(dst, host...), true
	case scrubbed && isHash(word, ofHost), isHash(host, ofOnion):
		return append(dst, host...), false
	}
	if addr, ok := parseAddress(host); ok {
		if !namesSomebody(addr) {
			return append(dst, host...), true
		}
		bits := addr.As16()
		return append(h.appendHash(dst, ofAddress, bits[:]), suffix...), true
	}
	name := bytes.TrimRight(bytes.ToLower(unescaped(host)), ".")
	if label, ok := bytes.CutSuffix(name, []byte(".onion")); ok {
		return append(h.appendOnion(dst, label), ".onion"...), false
	}
	if isOnion(name) {
		return h.appendHash(dst, ofOnion, name), false
	}
	return append(h.appendHash(dst, ofHost, name), suffix...), false
}

// appendOnion appends what stands for the labels before ".onion": the last of
// them is the service.
func (h *Hasher) appendOnion(dst, labels []byte) []byte {
	if i := bytes.LastIndexByte(labels, '.'); i >= 0 {
		dst = append(h.appendHash(dst, ofHost, labels[:i]), '.')
		labels = labels[i+1:]
	}
	return h.appendHash(dst, ofOnion, labels)
}

// parseAddress reads an IP address; its zone does not count.
func parseAddress(s []byte) (netip.Addr, bool) {
	if len(s) == 0 || !isAddressByte(s[0]) {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(string(s))
	return addr.WithZone("").Unmap(), err == nil
}

// namesSomebody is false for the addresses that can be nobody's. Those that
// tor probes its circuits with are no one's either, but name the circuit.
func namesSomebody(a netip.Addr) bool { return !a.IsUnspecified() }

// appendAddress appends what stands for something that is written as an
// address is. Of what is no single address, the text itself is hashed.
func (h *Hasher) appendAddress(dst, text []byte) []byte {
	if _, ok := parseAddress(text); ok {
		dst, _ = h.appendHost(dst, text)
		return dst
	}
	return append(h.appendHash(dst, ofAddress, bytes.ToLower(text)), suffix...)
}

// appendFingerprint appends 40 hex digits that stand for those of a bridge.
func (h *Hasher) appendFingerprint(dst, fp []byte) []byte {
	dst = append(dst, maskedZeros...)
	n := len(dst)
	dst = h.appendDigits(dst, ofRelay, bytes.ToUpper(fp))
	copy(dst[n:], bytes.ToUpper(dst[n:]))
	return dst
}

// isFingerprint reports whether s is 40 hex digits.
func isFingerprint(s []byte) bool {
	return len(s) == 40 && isHex(s)
}

func isHex(s []byte) bool {
	for _, c := range s {
		if !isHexDigit(c) {
			return false
		}
	}
	return true
}

// isMasked reports whether a fingerprint has been replaced, or is tor's own
// for "none", all zeros.
func isMasked(fp []byte) bool { return bytes.HasPrefix(fp, []byte(maskedZeros)) }

func isHexDigit(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
