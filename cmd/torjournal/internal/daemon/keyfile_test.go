package daemon

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"torjournal/journal"
	"torjournal/tor/event"
)

func writeFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A key is made together with a journal, once, and told; never for a journal
// that is there.
func TestKeyIsMadeWithTheJournalOnly(t *testing.T) {
	dir := t.TempDir()
	path, f := filepath.Join(dir, "journal.db"), KeyFile{Path: filepath.Join(dir, "key")}
	var keys [8]*journal.Key
	var mu sync.Mutex
	made := 0
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			var err error
			keys[i], err = f.ReadOrMake(path, func(KeyFile) { mu.Lock(); made++; mu.Unlock() })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, k := range keys {
		if k == nil || *k != *keys[0] {
			t.Fatal("several keys")
		}
	}
	if made != 1 {
		t.Errorf("%d keys were told of", made)
	}
	if fi, err := os.Stat(f.Path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	j, err := journal.Open(path, journal.Options{Key: keys[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	never := func(KeyFile) { t.Error("a key was made") }
	if k, err := f.ReadOrMake(path, never); err != nil || *k != *keys[0] {
		t.Errorf("again: %v", err)
	}
	other := KeyFile{Path: filepath.Join(dir, "other")}
	if _, err := other.ReadOrMake(path, never); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--key-file") {
		t.Errorf("for a journal that is there: %v", err)
	}
	if k, err := (KeyFile{}).ReadOrMake(path, never); k != nil || err != nil {
		t.Errorf("without --key-file: %v", err)
	}
	lost := KeyFile{Path: filepath.Join(dir, "lost"), Credential: true}
	if _, err := lost.ReadOrMake(filepath.Join(dir, "new.db"), never); err == nil {
		t.Error("a credential that is not there gives a key")
	}
}

func TestKeyFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	good := strings.Repeat("ab", journal.KeySize)
	for _, c := range []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"empty", "", 0o600, "holds no key"},
		{"short", "abcd\n", 0o600, "holds no key"},
		{"no hex", strings.Repeat("xy", journal.KeySize), 0o600, "holds no key"},
		{"long", good + "ab", 0o600, "64 hex digits"},
		{"public", good + "\n", 0o640, "chmod 600"},
		{"writable", good + "\n", 0o602, "chmod 600"},
	} {
		f := KeyFile{Path: filepath.Join(dir, c.name)}
		writeFile(t, f.Path, c.content, c.mode)
		if _, err := f.Read(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--key-file") {
			t.Errorf("%s: %v; want …%s…", c.name, err, c.want)
		}
	}
	for name, path := range map[string]string{"a folder": dir, "nothing": filepath.Join(dir, "nothing")} {
		_, err := KeyFile{Path: path}.Read()
		if err == nil || errors.Is(err, fs.ErrNotExist) { // which would say that the journal is not there
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		f := KeyFile{Path: filepath.Join(dir, "good")}
		writeFile(t, f.Path, good+end, 0o400)
		if k, err := f.Read(); err != nil || k == nil {
			t.Errorf("with %q behind it: %v", end, err)
		}
	}
}

// systemd gives a key by a file whose mode shows an access list, not who may
// read it.
func TestCredential(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if f, ok := Credential(); ok {
		t.Errorf("without systemd: %+v", f)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if f, ok := Credential(); ok {
		t.Errorf("with other credentials only: %+v", f)
	}
	writeFile(t, filepath.Join(dir, "torjournal.key"), strings.Repeat("cd", journal.KeySize), 0o440)
	f, ok := Credential()
	if !ok {
		t.Fatal("the credential is not found")
	}
	if k, err := f.Read(); err != nil || k == nil {
		t.Error(err)
	}
}

// A daemon makes the key of a new journal and says so; tools that ask it need no
// key, and get what the file gives to who has it.
func TestDaemonOnEncryptedJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "journal.db")
	f := KeyFile{Path: path + ".key"} // in a folder that the daemon makes
	var log bytes.Buffer
	cfg := Config{Journal: path, Key: f, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	stop := runningWith(t, cfg)
	sock, err := OpenReader(t.Context(), path, KeyFile{})
	if err != nil || !sock.Daemon() {
		t.Fatalf("daemon %v, %v", err == nil && sock.Daemon(), err)
	}
	defer sock.Close()
	got, n := everything(t, sock)
	if st, err := sock.client.Status(t.Context()); err != nil || !st.Journal.Encrypted {
		t.Errorf("status: %+v, %v", st.Journal, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), KeyMade) || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), f.Path) {
		t.Errorf("the key is not told of: %s", &log)
	}
	if _, err := OpenReader(t.Context(), path, KeyFile{}); !errors.Is(err, journal.ErrEncrypted) {
		t.Errorf("the file without the key: %v", err)
	}
	file := opened(t, path, f)
	want, m := everything(t, file)
	if m < n || len(got) > 0 && !strings.HasPrefix(strings.Join(want, ""), strings.Join(got, "")) {
		t.Errorf("%d records from the daemon, %d from the file; or they differ", n, m)
	}
	log.Reset()
	stop = runningWith(t, cfg)
	if err := stop(); err != nil || strings.Contains(log.String(), KeyMade) {
		t.Errorf("a second start: %v, %s", err, &log)
	}
	if err := Run(t.Context(), Config{Journal: path, Logger: cfg.Logger, Record: "auto"}); !errors.Is(err, journal.ErrEncrypted) {
		t.Errorf("a start without the key: %v", err)
	}
}

// The daemon hands out, without a key, what the file gives to who has it.
func TestEncryptedFileAndDaemonAnswerTheSame(t *testing.T) {
	dir := t.TempDir()
	f := KeyFile{Path: filepath.Join(dir, "key")}
	key, err := f.Make(func(KeyFile) {})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "journal.db")
	j, err := journal.Open(path, journal.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range noisy(20) {
		if err := errors.Join(j.Append(t.Context(), ev, event.NewRaw([]byte("650 BW 1 2\r\n"))), j.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	file := opened(t, path, f)
	want, n := everything(t, file)
	runningWith(t, Config{Journal: path, Key: f, Logger: slog.New(slog.DiscardHandler)})
	sock, err := OpenReader(t.Context(), path, KeyFile{})
	if err != nil || !sock.Daemon() {
		t.Fatal(err)
	}
	defer sock.Close()
	got, m := everything(t, sock)
	if n != 40 || m < n || !strings.HasPrefix(strings.Join(got, ""), strings.Join(want, "")) {
		t.Errorf("%d records from the daemon, %d from the file; or they differ", m, n)
	}
}
