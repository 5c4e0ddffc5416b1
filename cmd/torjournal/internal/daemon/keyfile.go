package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"torjournal/journal"
)

// KeyFile is where the key of an encrypted journal lies.
type KeyFile struct {
	Path       string // "": the journal is not encrypted
	Credential bool   // systemd has put it there, and keeps others from it
}

// CredentialName is the name under which systemd gives a service the key.
const CredentialName = "torjournal.key"

// Credential returns the key that systemd has given this service, if it has.
func Credential() (KeyFile, bool) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return KeyFile{}, false
	}
	f := KeyFile{Path: filepath.Join(dir, CredentialName), Credential: true}
	return f, isThere(f.Path)
}

func (f KeyFile) secret() secretFile {
	return secretFile{
		path: f.Path, size: journal.KeySize, what: "the journal's key",
		other:   "name the file that holds the journal's key with --key-file",
		exposed: "and encrypt the journal anew if they have: `torjournal vacuum --decrypt`, then --encrypt with another key",
		guarded: f.Credential,
	}
}

// Read returns the key, nil if there is to be none.
func (f KeyFile) Read() (*journal.Key, error) {
	if f.Path == "" {
		return nil, nil
	}
	secret, err := f.secret().read()
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is not the journal that is not there
		return nil, fmt.Errorf("--key-file: %v: name the file that holds the journal's key", err)
	case err != nil:
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	return journal.NewKey(secret)
}

// ReadOrMake returns the key for a journal, and makes the file if neither it
// nor the journal is there: a new key for a journal that exists would be the
// wrong one. made is called if it does.
func (f KeyFile) ReadOrMake(path string, made func(KeyFile)) (*journal.Key, error) {
	if f.Path == "" || f.Credential || isThere(f.Path) {
		return f.Read()
	}
	if isThere(path) {
		return nil, fmt.Errorf("--key-file: %s is not there, but %s is, and no new key opens it: name the file that holds its key, or leave out --key-file if it is not encrypted", f.Path, path)
	}
	return f.Make(made)
}

// Make returns the key in the file, which is made if it is not there.
func (f KeyFile) Make(made func(KeyFile)) (*journal.Key, error) {
	err := f.secret().make(os.Link)
	switch {
	case err == nil:
		made(f)
	case !errors.Is(err, fs.ErrExist): // else it was there, or another process was first
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	return f.Read()
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// KeyMade is what whoever makes a key must tell its user.
const KeyMade = "a key for the journal has been made; WITHOUT THIS FILE THE JOURNAL IS LOST: keep a copy of it in another place"
