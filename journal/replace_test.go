package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// What a crash left of a draft is gone after the next opening, and nothing
// else is.
func TestOpenSweepsDrafts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	closeTest(t, openTest(t, path, Options{}))
	for _, name := range []string{".journal.db.new-123", ".journal.db.new-", ".other.db.new-1", "journal.db.sock", ".journal.db.newer"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old records"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	closeTest(t, openTest(t, path, Options{}))
	if got, want := names(t, dir), []string{".journal.db.newer", ".other.db.new-1", "journal.db", "journal.db.sock"}; !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

// Who waits for the lock of a journal that is replaced meanwhile gets the one
// that has the name, not the one that nobody will find again.
func TestLockFollowsTheName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	old := openTest(t, path, Options{})
	appendAll(t, old, bw(1, 3)...)
	draft, err := newDraft(path)
	if err != nil {
		t.Fatal(err)
	}
	opt, _ := Options{}.withDefaults()
	if err := initialise(draft, opt); err != nil {
		t.Fatal(err)
	}
	opening := make(chan struct{})
	got := make(chan error, 1)
	go func() {
		j, err := Open(path, Options{openFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(path, flag, mode)
			select {
			case <-opening:
			default:
				close(opening)
			}
			return f, err
		}})
		if err == nil {
			appendAll(t, j, bw(7, 1)...)
			err = j.Close()
		}
		got <- err
	}()
	<-opening
	if err := replaceBy(draft, path); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(path, nil); err != nil || v.Records != 1 {
		t.Errorf("the file that has the name: %+v, %v; want the one record", v, err)
	}
}

// A new journal never takes the place of one that is there.
func TestPlaceNew(t *testing.T) {
	for _, swept := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "journal.db")
		draft, err := newDraft(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("there"), 0o600); err != nil {
			t.Fatal(err)
		}
		if swept {
			if err := sweepDrafts(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := placeNew(draft, path); !errors.Is(err, os.ErrExist) {
			t.Errorf("swept %v: %v, want that it exists", swept, err)
		}
		if got, err := os.ReadFile(path); string(got) != "there" {
			t.Errorf("swept %v: it is %q now, %v", swept, got, err)
		}
		_ = os.Remove(path)
		if draft, err = newDraft(path); err != nil {
			t.Fatal(err)
		}
		if err := placeNew(draft, path); err != nil {
			t.Error(err)
		}
		if got := names(t, dir); swept && !slices.Equal(got, []string{"journal.db"}) {
			t.Errorf("the folder holds %q", got)
		}
	}
}

// Many that want to create the same journal at once all get it, one after the
// other.
func TestCreateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	const n = 8
	errs := make(chan error, n)
	for i := range n {
		go func() {
			j, err := Open(path, Options{lockTimeout: patience})
			if err == nil {
				appendAll(t, j, bw(i, 1)...)
				err = j.Close()
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if v, err := Verify(path, nil); err != nil || v.Records != n {
		t.Errorf("%+v, %v", v, err)
	}
}
