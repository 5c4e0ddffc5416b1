package journal

import "errors"

// keyring decrypts what is read past bbolt, also where the file's own word on
// its encryption is gone: every cryptogram says of which file it is. The zero
// keyring reads a file that is not encrypted. It is owned by one goroutine.
type keyring struct {
	key  *Key        // nil: nothing is encrypted
	file *fileCipher // of the file if sure, else of the cryptogram read last
	sure bool        // the file has said what it is: cryptograms of others do not count
}

// learn takes what meta says of the encryption, nil if it says nothing. Beside
// a *DamageError the keyring goes by the cryptograms themselves.
func (r *keyring) learn(entry []byte) error {
	c, err := r.key.forEntry(entry)
	if err == nil {
		r.file, r.sure = c, true
	}
	return err
}

// of returns the cipher for a stored value.
func (r *keyring) of(data []byte) (*fileCipher, error) {
	if r.key == nil {
		if isCryptogram(data) {
			return nil, ErrEncrypted
		}
		return nil, nil
	}
	h, err := parseCryptogram(data)
	if err == nil && (r.file == nil || !r.sure && r.file.id != h.file) {
		r.file, err = r.key.file(h.file)
	}
	return r.file, err
}

// decrypt appends to dst the value of that kind that lies under key as data,
// or returns data if nothing is encrypted. shown is what the key means.
func (r *keyring) decrypt(dst []byte, kind byte, key, data []byte) (shown, plain []byte, err error) {
	c, err := r.of(data)
	if err != nil {
		return key, nil, err
	}
	shown = c.show(key)
	plain, err = c.decrypt(dst, kind, shown, data)
	return shown, plain, err
}

// isCryptogram reports whether data begins as one.
func isCryptogram(data []byte) bool {
	return len(data) >= len(cryptoMagic) && string(data[:len(cryptoMagic)]) == cryptoMagic
}

// keyError reports whether err says that the right key is needed, rather than
// that something is wrong with the file.
func keyError(err error) bool {
	return errors.Is(err, ErrEncrypted) || errors.Is(err, ErrWrongKey) || errors.Is(err, ErrNotEncrypted) || errors.Is(err, ErrNewerSchema)
}
