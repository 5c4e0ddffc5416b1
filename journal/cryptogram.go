package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// A cryptogram is a value of an encrypted file as it lies there. It describes
// itself, so that it can be found, and decrypted, in a file whose tree is gone.
// FORMAT.md draws it. These constants are part of the file format.
const (
	cryptoMagic   = "tjcr"
	cryptoVersion = 1
	cryptoBound   = 28 // bytes that are authenticated with the value
	cryptoHeader  = cryptoBound + chacha20poly1305.NonceSizeX
	cryptoSize    = cryptoHeader + chacha20poly1305.Overhead // what it is longer than the value

	kindBatch    = 'b' // batches and blocks: one becomes the other without being written again
	kindIndex    = 'i'
	kindSession  = 's'
	kindRollup   = 'r'
	kindEntities = 'c'
	kindMeta     = 'e'
	kindNote     = 'n' // of missing events, in a meta page
)

// maxPlain bounds what a cryptogram claims to hold: a batch is the largest.
const maxPlain = headerSize + maxPayload

// cryptogram is the header of one.
type cryptogram struct {
	kind byte
	size int // of the value, bytes
	file fileID
}

// stored returns the length of the whole cryptogram.
func (c *cryptogram) stored() int { return c.size + cryptoSize }

// parseCryptogram reads the header at the beginning of data and bounds what it
// claims.
func parseCryptogram(data []byte) (c cryptogram, err error) {
	if len(data) < cryptoSize {
		return c, fmt.Errorf("%d bytes, less than a cryptogram", len(data))
	}
	if string(data[:4]) != cryptoMagic {
		return c, fmt.Errorf("begins with %q, not with %q", data[:4], cryptoMagic)
	}
	if data[4] != cryptoVersion {
		return c, fmt.Errorf("cryptogram of version %d, this program reads %d", data[4], cryptoVersion)
	}
	n := binary.BigEndian.Uint32(data[8:])
	if n > maxPlain {
		return c, fmt.Errorf("claims a value of %d bytes, more than %d", n, maxPlain)
	}
	return cryptogram{kind: data[5], size: int(n), file: fileID(data[12:])}, nil
}

// bound returns what a cryptogram is bound to beside its own header: the key
// that the value lies under. A batch bears its key inside.
func bound(header []byte, kind byte, key []byte) []byte {
	if kind == kindBatch {
		return header
	}
	return append(append(make([]byte, 0, cryptoBound+len(key)), header...), key...)
}

// encrypt returns the cryptogram of a value that lies under key. Without a
// cipher that is the value itself.
func (c *fileCipher) encrypt(kind byte, key, plain []byte) []byte {
	if c == nil {
		return plain
	}
	out := append(make([]byte, 0, len(plain)+cryptoSize), cryptoMagic...)
	out = append(out, cryptoVersion, kind, 0, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(len(plain)))
	out = append(out, c.id[:]...)
	out = out[:cryptoHeader]
	nonce := out[cryptoBound:]
	_, _ = rand.Read(nonce) // never fails; 24 bytes never come twice
	return c.values.Seal(out, nonce, plain, bound(out[:cryptoBound], kind, key))
}

// errCannotDecrypt says that a cryptogram was not made by who has the key, for
// the place where it was found.
var errCannotDecrypt = errors.New("it cannot be decrypted: it was changed, or is not where it belongs")

// decrypt appends to dst the value of the cryptogram that is all of data.
// Without a cipher it returns data.
func (c *fileCipher) decrypt(dst []byte, kind byte, key, data []byte) ([]byte, error) {
	if c == nil {
		return data, nil
	}
	h, err := parseCryptogram(data)
	switch {
	case err != nil:
		return nil, err
	case h.kind != kind || h.stored() != len(data) || h.file != c.id:
		return nil, fmt.Errorf("a cryptogram of kind %q with %d bytes of %d: %w", h.kind, len(data), h.stored(), errCannotDecrypt)
	}
	if dst == nil {
		dst = make([]byte, 0, h.size)
	}
	out, err := c.values.Open(dst, data[cryptoBound:cryptoHeader], data[cryptoHeader:], bound(data[:cryptoBound], kind, key))
	if err != nil {
		return nil, errCannotDecrypt
	}
	return out, nil
}

// nameSize is the length of a name as rollups have it in an encrypted file.
const nameSize = 1 + 16

// nameOf returns how long a key is that begins with kind and says when
// something was recorded; 0 if it does not.
func nameOf(kind byte) int {
	switch kind {
	case kindMinute, kindHour:
		return rollupKeySize
	case kindAside:
		return 1 + rollupKeySize
	}
	return 0
}

// hide returns the key of a rollup as it lies in the file: that of an hour or
// a day says when something was recorded.
func (c *fileCipher) hide(k []byte) []byte {
	if c == nil || len(k) == 0 || len(k) != nameOf(k[0]) {
		return k
	}
	out := make([]byte, nameSize)
	out[0] = k[0]
	copy(out[nameSize-len(k):], k)
	c.names.Encrypt(out[1:], out[1:])
	return out
}

// show undoes hide. A key that hide did not make stays as it is.
func (c *fileCipher) show(k []byte) []byte {
	if c == nil || len(k) != nameSize || nameOf(k[0]) == 0 {
		return k
	}
	var out [16]byte
	c.names.Decrypt(out[:], k[1:])
	pad := out[:len(out)-nameOf(k[0])]
	if shown := out[len(pad):]; shown[0] == k[0] && string(pad) == string(make([]byte, len(pad))) {
		return shown
	}
	return k
}
