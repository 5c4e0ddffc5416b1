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
	"syscall"
	"testing"

	"torjournal/journal"
	"torjournal/tor/event"
	"torjournal/tor/scrub"
)

func TestScrubKeyIsMadeOnceAndItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var ids [8]string
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			h, err := OpenHasher(path, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = h.ID()
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("several keys: %q", ids)
		}
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode() != 0o600 || fi.Size() != 2*scrub.KeySize+1 {
		t.Errorf("%v, %v", fi, err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside the key lies %v, %v", names, err)
	}
	if h, err := OpenHasher("", nil); h != nil || err != nil {
		t.Errorf("without --scrub: %v, %v", h, err)
	}
}

// A file system without hard links takes a key too, and keeps one that is there.
func TestScrubKeyWithoutHardLinks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	noLinks := func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
	}
	if err := scrubKey(path).make(noLinks); err != nil {
		t.Fatal(err)
	}
	key, err := scrubKey(path).read()
	if err != nil {
		t.Fatal(err)
	}
	if err := scrubKey(path).make(noLinks); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second key: %v", err)
	}
	if again, err := scrubKey(path).read(); err != nil || !bytes.Equal(again, key) {
		t.Errorf("the key was changed: %v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("beside the key lies %v, %v", names, err)
	}
}

func TestScrubKeyThatIsNone(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"empty", "", 0o600, "holds no key"},
		{"short", "abcd\n", 0o600, "holds no key"},
		{"no hex", strings.Repeat("xy", scrub.KeySize), 0o600, "holds no key"},
		{"long", strings.Repeat("ab", scrub.KeySize+1), 0o600, "64 hex digits"},
		{"public", strings.Repeat("ab", scrub.KeySize) + "\n", 0o640, "chmod 600"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenHasher(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want …%s…", c.name, err, c.want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.content {
			t.Errorf("%s: the file was changed to %q, %v", c.name, got, err)
		}
	}
	if _, err := OpenHasher(dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a folder was taken for a key")
	}
	if _, err := OpenHasher(filepath.Join(dir, "no", "folder"), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "make its key") {
		t.Errorf("no folder: %v", err)
	}
}

func TestJournalRecordedOtherwiseIsTold(t *testing.T) {
	dir := t.TempDir()
	hasher := func(name string) *scrub.Hasher {
		h, err := OpenHasher(filepath.Join(dir, name), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	one, other := hasher("one"), hasher("other")
	for _, c := range []struct {
		name   string
		before []*scrub.Hasher // of the sessions; nil: recorded in clear
		now    *scrub.Hasher
		want   []string
	}{
		{"new", nil, one, nil},
		{"never", []*scrub.Hasher{nil}, nil, nil},
		{"always", []*scrub.Hasher{one, one}, one, nil},
		{"clear before", []*scrub.Hasher{nil, one}, one, []string{"recorded without --scrub before"}},
		{"clear now", []*scrub.Hasher{one}, nil, []string{"recorded with --scrub, but"}},
		{"another key", []*scrub.Hasher{other}, one, []string{"another key"}},
		{"all", []*scrub.Hasher{nil, other}, one, []string{"recorded without --scrub before", "another key"}},
	} {
		j, err := journal.Open(filepath.Join(t.TempDir(), "j.db"), journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range c.before {
			src := event.Source{Name: "tor", PID: i + 1}
			if h != nil {
				src = h.Describe(src)
			}
			if _, _, err := j.BeginSession(t.Context(), src); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		d := &Daemon{journal: j, hasher: c.now, cfg: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		if err := d.warnOfUnscrubbed(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: logged %q, want %q", c.name, log.String(), want)
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != len(c.want) {
			t.Errorf("%s: %d warnings, want %d: %s", c.name, n, len(c.want), log.String())
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
