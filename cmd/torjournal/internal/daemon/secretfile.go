package daemon

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretFile is a file that holds a secret as hexadecimal digits and a line
// end, and that only its owner may read.
type secretFile struct {
	path    string
	size    int    // of the secret, bytes
	what    string // the secret is, in errors
	other   string // the next step where the file holds no such secret
	exposed string // what may have to be done beside chmod where others may read it
	guarded bool   // whoever put it there keeps others from it: its mode says nothing
}

// read returns the secret.
func (f secretFile) read() ([]byte, error) {
	info, err := os.Stat(f.path) // before the file is opened: a pipe would block
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.what, err)
	}
	longest := int64(2*f.size + 2)
	if !info.Mode().IsRegular() || info.Size() > longest {
		return nil, f.isNone()
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.what, err)
	}
	secret, err := hex.AppendDecode(nil, bytes.TrimRight(text, "\r\n"))
	if err != nil || len(secret) != f.size {
		return nil, f.isNone()
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && !f.guarded {
		return nil, fmt.Errorf("others may read or change %s %s (mode %04o): `chmod 600 %s`, %s", f.what, f.path, mode, f.path, f.exposed)
	}
	return secret, nil
}

func (f secretFile) isNone() error {
	return fmt.Errorf("%s holds no key, which is %d hex digits: %s", f.path, 2*f.size, f.other)
}

// make writes a random secret to the file. It is whole as soon as it has its
// name; one that is there already is left, and the error wraps fs.ErrExist. On a
// file system that link finds no hard links on, as those of memory cards often
// have none, it is whole a moment later.
func (f secretFile) make(link func(from, to string) error) error {
	if err := f.write(link); err != nil {
		return fmt.Errorf("make %s: %w", f.what, err)
	}
	return nil
}

func (f secretFile) write(link func(from, to string) error) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".new*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if rerr := os.Remove(draft.Name()); err == nil {
			err = rerr
		}
	}()
	secret := make([]byte, f.size)
	_, _ = rand.Read(secret) // never fails
	if err := writeSecret(draft, secret); err != nil {
		return err
	}
	if err := link(draft.Name(), f.path); errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil {
		if err := placeSecret(f.path, secret); err != nil {
			return err
		}
	}
	return syncFolder(filepath.Dir(f.path))
}

// placeSecret writes a secret to a new file.
func placeSecret(path string, secret []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeSecret(f, secret); err != nil {
		_ = os.Remove(path) // half a secret must not be left
		return err
	}
	return nil
}

// writeSecret writes a secret to the disk and closes the file.
func writeSecret(f *os.File, secret []byte) error {
	_, err := fmt.Fprintf(f, "%x\n", secret)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncFolder makes what has happened to a folder's names last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
