package control

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// cookieLen is the length of a control cookie in bytes (control-spec,
// section 3.24).
const cookieLen = 32

// Keys of the two hashes of SAFECOOKIE (control-spec, section 3.24).
const (
	safeServerKey = "Tor safe cookie authentication server-to-controller hash"
	safeClientKey = "Tor safe cookie authentication controller-to-server hash"
)

// writeCookie puts a new random cookie at path, readable by its owner alone.
// A reader never sees half of one.
func writeCookie(path string) ([]byte, error) {
	cookie := make([]byte, cookieLen)
	if _, err := rand.Read(cookie); err != nil {
		return nil, fmt.Errorf("control: make a cookie: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".cookie-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("control: write the cookie file %s: %w", path, err)
	}
	_, err = f.Write(cookie)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("control: write the cookie file %s: %w", path, err)
	}
	return cookie, nil
}

// keptCookie reads the cookie that an earlier server has left at path, for one
// that cannot write a new one. It is as good as long as nobody but its owner
// could read it.
func keptCookie(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("control: look for an old cookie: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("control: the old cookie file %s has mode %v: others may know the cookie", path, info.Mode())
	}
	return readCookie(path)
}

// readCookie reads a cookie file that somebody else wrote.
func readCookie(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("control: read the cookie file: %w", err)
	}
	defer f.Close()
	b := make([]byte, cookieLen+1)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("control: read the cookie file %s: %w", path, err)
	}
	if n != cookieLen {
		return nil, fmt.Errorf("control: %s is no cookie file: a cookie has %d bytes", path, cookieLen)
	}
	return b[:cookieLen], nil
}

// safeHash is the hash of one side in the SAFECOOKIE exchange.
func safeHash(key string, cookie, clientNonce, serverNonce []byte) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(cookie)
	h.Write(clientNonce)
	h.Write(serverNonce)
	return h.Sum(nil)
}
