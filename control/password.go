package control

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// hashedPassword is a salted, iterated hash as "tor --hash-password" prints
// it: RFC 2440, section 3.6.1.3, with SHA-1 (control-spec, section 5.1).
type hashedPassword struct {
	salt      [8]byte
	indicator byte // how many bytes are hashed, as four bits each of mantissa and exponent
	key       [sha1.Size]byte
}

// parseHashedPassword reads "16:" and 58 hex digits.
func parseHashedPassword(s string) (hashedPassword, error) {
	var p hashedPassword
	digits, ok := strings.CutPrefix(s, "16:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(p.salt)+1+len(p.key) {
		return p, fmt.Errorf(`control: this is no hashed password; "tor --hash-password" prints one: 16: and 58 hex digits`)
	}
	copy(p.salt[:], b)
	p.indicator = b[len(p.salt)]
	copy(p.key[:], b[len(p.salt)+1:])
	return p, nil
}

// matches reports whether p is the hash of password. At most 31 << 21 bytes
// are hashed (65 MB, the largest count an indicator can say); tor writes 64 KiB.
func (p hashedPassword) matches(password []byte) bool {
	unit := append(p.salt[:len(p.salt):len(p.salt)], password...)
	count := (16 + int(p.indicator&15)) << (p.indicator>>4 + 6)
	h := sha1.New()
	for ; count > len(unit); count -= len(unit) {
		h.Write(unit)
	}
	h.Write(unit[:count])
	return subtle.ConstantTimeCompare(h.Sum(nil), p.key[:]) == 1
}
