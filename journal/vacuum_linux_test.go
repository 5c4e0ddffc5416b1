package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A draft that cannot be written is given up, and the journal goes on as it
// was.
func TestVacuumThatCannotWrite(t *testing.T) {
	path, clock := aged(t, nil, false)
	want := contents(t, path, nil)
	broken := 0
	j := openTest(t, path, Options{MaxSize: 16 << 20, Now: clock.Now, openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err != nil || name == path {
			return f, err
		}
		broken++
		bad, err := os.Open(name) // reading goes on, writing fails
		if err != nil {
			return f, err
		}
		defer bad.Close()
		return f, syscall.Dup3(int(bad.Fd()), int(f.Fd()), 0)
	}})
	if _, err := j.Vacuum(within(t), Limits{}); err == nil || broken == 0 || errors.Is(err, ErrUnjournaled) {
		t.Errorf("%v after %d faults", err, broken)
	}
	appendAll(t, j, bw(1, 1)...)
	want = append(want, mustLast(t, j))
	closeTest(t, j)
	if !sameRecords(contents(t, path, nil), want) {
		t.Fatal("other records are there")
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db"}) {
		t.Errorf("the folder holds %q", got)
	}
}

func mustLast(t *testing.T, j *Journal) Record {
	t.Helper()
	recs, _ := readAll(t, j, Range{From: j.win.published()})
	if len(recs) != 1 {
		t.Fatalf("%d records", len(recs))
	}
	return recs[0]
}

// While the disk fails there is nothing to be made of a vacuum; afterwards
// there is.
func TestVacuumInOutage(t *testing.T) {
	s := &faultSwitch{t: t}
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{openFile: s.open, outageRetry: 1})
	appendAll(t, j, bw(1, 100)...)
	s.breakBy("/dev/full", os.O_RDWR)
	if _, err := j.Vacuum(within(t), Limits{}); !errors.Is(err, ErrUnjournaled) || !strings.Contains(err.Error(), "journal.db") {
		t.Errorf("Vacuum: %v, want ErrUnjournaled", err)
	}
	s.heal()
	for {
		v, err := j.Vacuum(within(t), Limits{})
		if errors.Is(err, ErrUnjournaled) {
			continue // not yet
		}
		if err != nil || v.First != 1 || v.Last < 100 {
			t.Errorf("healed: %+v, %v", v, err)
		}
		return
	}
}

// The new file is on disk before it gets the journal's name.
func TestVacuumIsOnDiskBeforeItsName(t *testing.T) {
	path, clock := aged(t, nil, false)
	steps := 0
	step := func(string) {
		steps++
		drafts, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".journal.db.new-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(drafts, path) {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var st unix.Cachestat_t
			if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &st, 0); err != nil {
				t.Skipf("this kernel does not tell what is on disk: %v", err)
			}
			if st.Dirty != 0 || st.Writeback != 0 {
				t.Errorf("of %s %d pages are dirty and %d being written", filepath.Base(name), st.Dirty, st.Writeback)
			}
		}
	}
	j := openTest(t, path, Options{MaxSize: 16 << 20, Now: clock.Now, vacuumStep: step})
	appendAll(t, j, bw(1, 10)...)
	if _, err := j.Vacuum(within(t), Limits{}); err != nil {
		t.Fatal(err)
	}
	closeTest(t, j)
	opt, err := vacuumOptions(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	opt.vacuumStep = step
	if _, err := vacuumFile(within(t), path, opt, Limits{}); err != nil {
		t.Fatal(err)
	}
	if steps != 4 {
		t.Errorf("%d steps", steps)
	}
}
