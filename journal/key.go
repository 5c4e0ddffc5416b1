package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a Key's secret in bytes.
const KeySize = 32

// Key is the secret of an encrypted journal; a nil *Key stands for a journal
// that is not encrypted. One key may serve many journals: each file has keys
// of its own, derived from it. All methods may be called by any goroutine.
type Key struct{ secret [KeySize]byte }

// NewKey returns the key with that secret, KeySize bytes that nobody can guess.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("journal: a key has %d bytes, not %d", KeySize, len(secret))
	}
	k := new(Key)
	copy(k.secret[:], secret)
	return k, nil
}

// Format keeps the secret out of whatever prints a Key.
func (k *Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "journal.Key") }

var (
	// ErrEncrypted means that the journal is encrypted and that no key was
	// given.
	ErrEncrypted = errors.New("it is encrypted: name the file of its key with --key-file or $TORJOURNAL_KEY_FILE")

	// ErrWrongKey means that the journal is encrypted with another key.
	ErrWrongKey = errors.New("it is encrypted with another key than the one given: name the file of its key with --key-file or $TORJOURNAL_KEY_FILE")

	// ErrNotEncrypted means that a key was given for a journal that is not
	// encrypted.
	ErrNotEncrypted = errors.New("it is not encrypted, but a key was given: leave out --key-file and $TORJOURNAL_KEY_FILE, or encrypt it by `torjournal vacuum --encrypt`")
)

// overhead is how many bytes longer a value is in the file.
func (k *Key) overhead() int {
	if k == nil {
		return 0
	}
	return cryptoSize
}

// fileID tells the files apart that one Key serves. It is no secret.
type fileID [16]byte

// The entry of meta that says that the file is encrypted. It is plain: who has
// a key finds out by it whether that is the right one. These constants are
// part of the file format.
const (
	cipherMagic     = "tjck"
	cipherVersion   = 1 // HKDF-SHA-256, XChaCha20-Poly1305, AES-256 for names
	cipherEntrySize = 44
	maxCipherEntry  = 256 // of a later version
)

// fileCipher encrypts and decrypts the values of one file. nil is that of a
// file that is not encrypted: it leaves everything as it is. All methods may
// be called by any goroutine.
type fileCipher struct {
	id     fileID
	check  [16]byte // what the right key derives
	values cipher.AEAD
	names  cipher.Block // of keys that would tell something
}

// newFile returns the cipher of a file that is made.
func (k *Key) newFile() (*fileCipher, error) {
	if k == nil {
		return nil, nil
	}
	var id fileID
	_, _ = rand.Read(id[:]) // never fails
	return k.file(id)
}

// file returns the cipher of the file with that id.
func (k *Key) file(id fileID) (*fileCipher, error) {
	c := &fileCipher{id: id}
	derive := func(what string, size int) []byte {
		out, err := hkdf.Key(sha256.New, k.secret[:], id[:], "torjournal "+what, size)
		if err != nil {
			panic(err) // no size is too large
		}
		return out
	}
	copy(c.check[:], derive("check", len(c.check)))
	var err error
	if c.values, err = chacha20poly1305.NewX(derive("values", chacha20poly1305.KeySize)); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if c.names, err = aes.NewCipher(derive("names", 32)); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return c, nil
}

// entry returns what stands in meta.
func (c *fileCipher) entry() []byte {
	e := append(make([]byte, 0, cipherEntrySize), cipherMagic...)
	e = append(e, cipherVersion, 0, 0, 0)
	e = append(e, c.id[:]...)
	e = append(e, c.check[:]...)
	return binary.BigEndian.AppendUint32(e, crc32.Checksum(e, castagnoli))
}

// forEntry returns the cipher of the file whose meta has that entry, nil if it
// has none. The error wraps ErrEncrypted, ErrWrongKey, ErrNotEncrypted, or is
// a *DamageError.
func (k *Key) forEntry(e []byte) (*fileCipher, error) {
	if e == nil {
		if k != nil {
			return nil, ErrNotEncrypted
		}
		return nil, nil
	}
	if len(e) < cipherEntrySize || string(e[:4]) != cipherMagic {
		return nil, damaged("meta", 0, "%d bytes that begin with %q say nothing of an encryption", len(e), e[:min(4, len(e))])
	}
	if e[4] > cipherVersion {
		return nil, fmt.Errorf("it is encrypted in form %d, this program knows form %d: %w", e[4], cipherVersion, ErrNewerSchema)
	}
	body, sum := e[:cipherEntrySize-4], e[cipherEntrySize-4:]
	if crc := crc32.Checksum(body, castagnoli); len(e) != cipherEntrySize || e[4] != cipherVersion || crc != binary.BigEndian.Uint32(sum) {
		return nil, damaged("meta", 0, "what it says of its encryption is garbled")
	}
	if k == nil {
		return nil, ErrEncrypted
	}
	c, err := k.file(fileID(body[8:24]))
	if err == nil && subtle.ConstantTimeCompare(c.check[:], body[24:40]) != 1 {
		err = ErrWrongKey
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}
