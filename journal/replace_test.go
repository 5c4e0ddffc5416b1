package journal

import (
	"errors"
	"fmt"
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

// What a killed salvage left beside the new journal is gone after the next one,
// but nothing of another journal's, and nothing that another salvage is at.
func TestSalvageSweepsDrafts(t *testing.T) {
	dir := t.TempDir()
	old, saved := filepath.Join(dir, "old.db"), filepath.Join(dir, "saved.db")
	j := openTest(t, old, Options{})
	appendAll(t, j, bw(1, 3)...)
	closeTest(t, j)
	for _, name := range []string{".saved.db.new-1", ".old.db.new-1", ".saved.db.newer"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old records"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opt, _ := Options{}.withDefaults()
	other, err := newLockedDraft(saved, opt) // of a salvage that runs
	if err != nil {
		t.Fatal(err)
	}
	defer other.abandon()
	if s, err := Salvage(within(t), old, saved, SalvageOptions{}); err != nil || s.Records != 3 || s.Leftover != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	want := []string{".old.db.new-1", ".saved.db.newer", filepath.Base(other.path), "old.db", "saved.db"}
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
	// Who opens the journal leaves it alone, too; and it replaces nothing.
	closeTest(t, openTest(t, saved, Options{}))
	if got := names(t, dir); !slices.Contains(got, filepath.Base(other.path)) {
		t.Errorf("the folder holds %q", got)
	}
	if err := placeNew(other.path, saved); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v, want that it exists", err)
	}
}

// A draft that is swept away between its making and its lock is made again.
func TestDraftIsLockedOrMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "saved.db")
	stop, swept := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				swept <- nil
				return
			default:
			}
			if err := sweepDrafts(path); err != nil {
				swept <- err
				return
			}
		}
	}()
	opt, _ := Options{MaxSize: MinMaxSize}.withDefaults()
	for range 100 {
		s, err := newLockedDraft(path, opt)
		if err != nil {
			t.Error(err)
			break
		}
		if named, err := hasName(s.file, s.path); !named || err != nil {
			t.Errorf("a locked draft was swept away: %v", err)
		}
		s.abandon()
		_ = os.Remove(s.path)
	}
	close(stop)
	if err := <-swept; err != nil {
		t.Error(err)
	}
}

// A migration that has nothing to do removes what a killed vacuum left.
func TestMigrateSweepsDrafts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	closeTest(t, openTest(t, path, Options{}))
	if err := os.WriteFile(filepath.Join(dir, ".journal.db.new-1"), []byte("old records"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := Migrate(path); err != nil || m.From != m.To {
		t.Fatalf("%+v, %v", m, err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"journal.db"}) {
		t.Errorf("the folder holds %q", got)
	}
}

// Errors name what the user named.
func TestErrorsNameNoDraft(t *testing.T) {
	draft := &os.PathError{Op: "write", Path: "/x/.journal.db.new-17", Err: os.ErrPermission}
	link := &os.LinkError{Op: "rename", Old: "/x/.journal.db.new-17", New: "/x/journal.db", Err: os.ErrPermission}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("copy: %w", draft), "copy: write /x/journal.db: permission denied"},
		{link, "rename the new file to /x/journal.db: permission denied"},
		{&os.PathError{Op: "write", Path: "/x/.other.db.new-17", Err: os.ErrPermission}, "write /x/.other.db.new-17: permission denied"},
	} {
		err := ofTarget(c.err, "/x/journal.db")
		if got := err.Error(); got != c.want || !errors.Is(err, os.ErrPermission) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
