package journal

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A File does not look again at what it has found good, as long as nobody has
// written to it since: neither right after nor long after that.
func TestGlance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog, growBytes: 1})
	for i := range 100 {
		appendAll(t, j, bw(i, 1)...)
	}
	closeTest(t, j)
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hurt := garbleTail(t, path, intact)
	hourAgo := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name string
		age  time.Time // of what was found good; zero: just written
		hurt time.Time // of what was written then; zero: now
		seen bool
	}{
		{"old, then written now", hourAgo, time.Time{}, true},
		{"just written, then written again in the same tick", time.Time{}, time.Time{}, true},
		{"old, and it was not written", hourAgo, hourAgo, false},
	} {
		rewrite(t, path, intact, c.age)
		f, err := OpenFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := os.Stat(path)
		at := c.hurt
		if at.IsZero() && c.age.IsZero() {
			at = info.ModTime()
		}
		rewrite(t, path, hurt, at)
		var d *DamageError
		s, err := openStore(path, f.opt, true)
		if err == nil {
			_ = s.close()
		}
		if errors.As(err, &d) != c.seen {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	rewrite(t, path, intact, time.Time{})
}

// rewrite gives a file other bytes, and a time of its last change.
func rewrite(t *testing.T, path string, data []byte, at time.Time) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(data, 0)
		err = errors.Join(err, f.Close())
	}
	if err == nil && !at.IsZero() {
		err = os.Chtimes(path, at, at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// garbleTail returns the file with a tail whose branch leads back to itself.
func garbleTail(t *testing.T, path string, intact []byte) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta, err := newestMeta(f)
	if err != nil {
		t.Fatal(err)
	}
	root := newTree(f, meta, func(err error) { t.Error(err) }).buckets()[string(bucketTail)].root
	hurt := append([]byte(nil), intact...)
	page := hurt[root*uint64(meta.pageSize):]
	if binary.NativeEndian.Uint16(page[8:]) != pageBranch {
		t.Fatal("the tail has no branch page")
	}
	binary.NativeEndian.PutUint64(page[boltPageHeader+8:], root)
	return hurt
}
