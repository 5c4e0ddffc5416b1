package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

func TestOpenCreates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state", "tor", "journal.db")
	closeTest(t, openTest(t, path, Options{}))
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Join(dir, "state"): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", p, info.Mode(), err, want)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v; want the journal alone", left, err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// What is no journal, or one that cannot be read, gives a clear error and
// stays as it is.
func TestOpenRefuses(t *testing.T) {
	foreign := func(t *testing.T, path string, key, value []byte) {
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("meta"))
			if err == nil && key != nil {
				err = b.Put(key, value)
			}
			return err
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		make func(*testing.T, string)
		want error
		text string // the next step
	}{
		"text":          {write("to whom it may concern\n" + strings.Repeat("hello\n", 5000)), ErrNotJournal, "--journal"},
		"short text":    {write("x"), ErrNotJournal, "--journal"},
		"zero length":   {write(""), ErrNotJournal, "remove it"},
		"zeros":         {write(strings.Repeat("\x00", 1<<16)), ErrNotJournal, "--journal"},
		"folder":        {func(t *testing.T, p string) { _ = os.Mkdir(p, 0o700) }, ErrNotJournal, "name a file"},
		"other program": {func(t *testing.T, p string) { foreign(t, p, []byte("a"), []byte("b")) }, ErrNotJournal, "--journal"},
		"newer schema": {func(t *testing.T, p string) {
			foreign(t, p, []byte("schema"), binary.BigEndian.AppendUint64(nil, 99))
		}, ErrNewerSchema, "install"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			c.make(t, path)
			before, _ := os.ReadFile(path)
			check := func(what string, err error) {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v; want %v, the path, and %q", what, err, c.want, c.text)
				}
			}
			_, err := Open(path, Options{})
			check("Open", err)
			_, err = OpenFile(path, nil)
			check("OpenFile", err)
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			lockFree(t, path)
		})
	}
}

// lockFree fails the test if a lock was left on path by this process.
func lockFree(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if err := lock(f, true, 0); err != nil {
		t.Errorf("a lock is left on the file: %v", err)
	}
}

func TestOpenLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	for _, size := range []int64{1, MinMaxSize - 1, -5, 1 << 60} {
		if _, err := Open(path, Options{MaxSize: size}); !errors.Is(err, ErrLimit) {
			t.Errorf("MaxSize %d: %v, want ErrLimit", size, err)
		}
	}
	if _, err := Open(path, Options{MaxAge: -1}); err == nil {
		t.Error("a negative age is accepted")
	}
	if _, err := OpenFile(path, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenFile of nothing: %v", err)
	}
	closeTest(t, openTest(t, filepath.Join(path, "below", "a.db"), Options{})) // a folder that can be made
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(blocked, "journal.db"), Options{}); err == nil {
		t.Error("a file as folder is accepted")
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{})
	opens := map[string]func() error{
		"Open":     func() error { _, err := Open(path, Options{lockTimeout: 50 * time.Millisecond}); return err },
		"OpenFile": func() error { _, err := OpenFile(path, nil); return err },
		"Verify":   func() error { _, err := Verify(path, nil); return err },
	}
	for name, open := range opens {
		err := open()
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want ErrLocked and the path", name, err)
		}
		if pid := fmt.Sprint("process ", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(err.Error(), pid) {
			t.Errorf("%s: %v, want the holder %q", name, err, pid)
		}
	}
	appendAll(t, j, bw(1, 1)...) // the first one is not disturbed
}

// A File does not keep the journal from being opened, and says who has it then.
func TestFileGivesWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{})
	appendAll(t, j, bw(1, 10)...)
	closeTest(t, j)
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if recs, _ := readAll(t, f, Range{}); len(recs) != 10 {
		t.Fatalf("%d records", len(recs))
	}
	j = openTest(t, path, Options{lockTimeout: time.Second})
	if _, err := f.Bounds(within(t)); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a daemon: %v, want ErrLocked", err)
	}
	closeTest(t, j)
	if _, err := f.Bounds(within(t)); err != nil {
		t.Errorf("after it: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Bounds(within(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// sample makes a closed journal with blocks, a tail and two sessions.
func sample(t testing.TB, key *Key) (path string, records uint64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{Key: key, MaxSize: 8 << 20, sealBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	begin := func(pid int) {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: pid}); err != nil {
			t.Fatal(err)
		}
	}
	begin(1)
	noisy := make([]event.Event, 300) // a block at once, of several pages
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noisy {
		noisy[i] = raw("650 NOTICE %x %x", r.Uint64(), r.Uint64())
	}
	appendAll(t, j, noisy...)
	for i := range 60 {
		if i == 40 {
			begin(2)
		}
		appendAll(t, j, bw(i*40, 40)...)
	}
	appendAll(t, j, raw("650 NS %s", strings.Repeat("abc", 20_000)))
	waitForSeal(t, j)
	appendAll(t, j, bw(1, 5)...)
	v := closeTest(t, j)
	if v.Blocks == 0 || v.Batches == 0 {
		t.Fatalf("%+v: want blocks and a tail", v)
	}
	return path, v.Records
}

// waitForSeal returns when at least one block is in the file, and nothing more
// is to be sealed: on a quick disk the sealer is behind.
func waitForSeal(t testing.TB, j *Journal) {
	t.Helper()
	for {
		restSealed(t, j)
		n := 0
		err := j.store.view(func(tx *txn) error {
			return tx.bolt.Bucket(bucketIndex).ForEach(func(_, _ []byte) error { n++; return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		if err := within(t).Err(); err != nil {
			t.Fatal("nothing was sealed")
		}
		appendAll(t, j, bw(1, 1)...)
	}
}
