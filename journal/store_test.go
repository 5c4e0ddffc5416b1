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
			_, err = OpenFile(path)
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
	if _, err := OpenFile(path); !errors.Is(err, os.ErrNotExist) {
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
		"OpenFile": func() error { _, err := OpenFile(path); return err },
		"Verify":   func() error { _, err := Verify(path); return err },
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
	f, err := OpenFile(path)
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
func sample(t *testing.T) (path string, records uint64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{MaxSize: 8 << 20, sealBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	begin := func(pid int) {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: pid}); err != nil {
			t.Fatal(err)
		}
	}
	begin(1)
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

// waitForSeal returns when at least one block is in the file.
func waitForSeal(t *testing.T, j *Journal) {
	t.Helper()
	for {
		n := 0
		err := j.store.view(func(tx *bolt.Tx) error {
			return tx.Bucket(bucketIndex).ForEach(func(_, _ []byte) error { n++; return nil })
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

// Whatever is done to a file, it gives all its records or an error; nothing
// panics or faults, no record is missing in silence and no lock is left.
func TestDamage(t *testing.T) {
	path, records := sample(t)
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	meta, err := newestMeta(bytes.NewReader(intact))
	if err != nil {
		t.Fatal(err)
	}
	used := int(meta.pages)
	type damage struct {
		name string
		do   func([]byte) []byte
		must bool // be an error of Open
	}
	cases := []damage{
		{"intact", func(b []byte) []byte { return b }, false},
		{"half of what is used", func(b []byte) []byte { return b[:used*page/2] }, true},
		{"one page less than is used", func(b []byte) []byte { return b[:(used-1)*page] }, true},
		{"only the metas", func(b []byte) []byte { return b[:2*page] }, true},
		{"half of a meta", func(b []byte) []byte { return b[:40] }, true},
		{"both metas garbled", func(b []byte) []byte { b[30], b[page+30] = ^b[30], ^b[page+30]; return b }, true},
		{"metas zeroed", func(b []byte) []byte { clear(b[:2*page]); return b }, true},
	}
	for p := 2; p < used; p++ {
		cases = append(cases,
			damage{fmt.Sprintf("page %d zeroed", p), func(b []byte) []byte { clear(b[p*page : (p+1)*page]); return b }, false},
			damage{fmt.Sprintf("page %d garbled", p), func(b []byte) []byte {
				r := rand.New(rand.NewPCG(uint64(p), 1))
				for i := p * page; i < (p+1)*page; i++ {
					b[i] = byte(r.Uint32())
				}
				return b
			}, false},
			damage{fmt.Sprintf("page %d bit flips", p), func(b []byte) []byte {
				r := rand.New(rand.NewPCG(uint64(p), 2))
				for range 3 {
					b[p*page+r.IntN(page)] ^= 1 << r.IntN(8)
				}
				return b
			}, false},
			damage{fmt.Sprintf("page %d header", p), func(b []byte) []byte {
				r := rand.New(rand.NewPCG(uint64(p), 3))
				b[p*page+r.IntN(48)] ^= 1 << r.IntN(8)
				return b
			}, false},
			damage{fmt.Sprintf("page %d swapped", p), func(b []byte) []byte {
				q := 2 + (p+3)%(used-2)
				copy(b[p*page:(p+1)*page], intact[q*page:(q+1)*page])
				return b
			}, false},
		)
	}
	noticed := 0
	for _, c := range cases {
		damagedPath := filepath.Join(t.TempDir(), "journal.db")
		if err := os.WriteFile(damagedPath, c.do(bytes.Clone(intact)), 0o600); err != nil {
			t.Fatal(err)
		}
		errFile := readDamaged(t, c.name, damagedPath, records)
		errOpen := appendDamaged(t, c.name, damagedPath)
		if c.must && (errFile == nil || errOpen == nil) {
			t.Errorf("%s: OpenFile %v, Open %v; want errors", c.name, errFile, errOpen)
		}
		if errFile != nil {
			noticed++
			if !strings.Contains(errFile.Error(), damagedPath) && !errors.Is(errFile, ErrNotJournal) {
				t.Errorf("%s: %v does not name the file", c.name, errFile)
			}
		}
		lockFree(t, damagedPath)
	}
	t.Logf("%d of %d damages hit something that is read", noticed, len(cases))
	if noticed < len(cases)/6 { // how many pages are free depends on who was faster
		t.Errorf("only %d of %d damages were noticed", noticed, len(cases))
	}
}

// readDamaged reads all of a file, and fails the test if that gives fewer
// records without an error.
func readDamaged(t *testing.T, name, path string, records uint64) error {
	t.Helper()
	f, err := OpenFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Sessions(within(t)); err != nil {
		return err
	}
	if _, err := f.Rollups(within(t), time.Time{}, time.Time{}); err != nil {
		return err
	}
	var n uint64
	for rec, err := range Records(within(t), f, Range{}) {
		if err != nil {
			var d *DamageError
			if !errors.As(err, &d) {
				t.Errorf("%s: %v, want a *DamageError", name, err)
			}
			return at(path, err)
		}
		if n++; rec.Seq != n {
			t.Errorf("%s: record %d after %d", name, rec.Seq, n-1)
		}
	}
	if n != records {
		t.Errorf("%s: %d records of %d, and no error", name, n, records)
	}
	return nil
}

// appendDamaged opens a damaged file for writing and appends; all that
// matters is that it ends, and with an error if it failed.
func appendDamaged(t *testing.T, name, path string) error {
	t.Helper()
	j, err := Open(path, Options{MaxSize: 8 << 20, sealBytes: 16 << 10})
	if err != nil {
		return err
	}
	for i := range 3 {
		_ = j.Append(within(t), bw(i, 10)...)
	}
	err = j.Close()
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("%s: %v does not name the file", name, err)
	}
	return err
}

// Checksums stand before everything: a flipped bit inside a block that bbolt
// cannot notice is named with the block's number.
func TestDamagedBlockIsNamed(t *testing.T) {
	path, _ := sample(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, liveBlock(t, path))
	h, err := parseHeader(b[at:])
	if err != nil {
		t.Fatal(err)
	}
	hit := 0
	for i := at; i >= 0; {
		if g, err := parseHeader(b[i:]); err == nil && g.first == h.first {
			b[i+headerSize+10] ^= 4
			hit++
		}
		next := bytes.Index(b[i+4:], []byte(magic))
		if next < 0 {
			break
		}
		i += 4 + next
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var d *DamageError
	for _, err = range Records(within(t), f, Range{}) {
		if err != nil {
			break
		}
	}
	_, verr := Verify(path)
	for what, err := range map[string]error{"Records": err, "Verify": verr} {
		if !errors.As(err, &d) || d.Seq != h.first || !strings.Contains(err.Error(), damageHint) {
			t.Errorf("%s: %v, want record %d and the next step (%d copies were changed)", what, err, h.first, hit)
		}
	}
}
