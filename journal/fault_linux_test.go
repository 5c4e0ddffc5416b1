package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"torjournal/tor/event"
)

// faultSwitch puts another file in the place of the journal's descriptor: the
// lock stays, and every write fails as it would on a full or broken disk.
type faultSwitch struct {
	t     *testing.T
	file  *os.File // what bbolt holds
	saved int      // a duplicate of its descriptor
}

func (s *faultSwitch) open(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	s.file = f
	if s.saved, err = syscall.Dup(int(f.Fd())); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = syscall.Close(s.saved) })
	return f, nil
}

func (s *faultSwitch) breakBy(path string, flag int) {
	bad, err := os.OpenFile(path, flag, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer bad.Close()
	if err := syscall.Dup3(int(bad.Fd()), int(s.file.Fd()), 0); err != nil {
		s.t.Fatal(err)
	}
}

func (s *faultSwitch) heal() {
	if err := syscall.Dup3(s.saved, int(s.file.Fd()), 0); err != nil {
		s.t.Fatal(err)
	}
}

// While the disk fails, events wait and status says why; when it is well again
// everything is recorded once, in order, under the numbers it would have had.
func TestFailingDisk(t *testing.T) {
	for name, breakIt := range map[string]func(*faultSwitch, string){
		"full":      func(s *faultSwitch, _ string) { s.breakBy("/dev/full", os.O_RDWR) },
		"read only": func(s *faultSwitch, path string) { s.breakBy(path, os.O_RDONLY) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &faultSwitch{t: t}
			path := filepath.Join(t.TempDir(), "journal.db")
			j := openTest(t, path, Options{openFile: s.open})
			c := j.NewCursor(0, event.AllTypes())
			defer c.Close()
			appendAll(t, j, bw(1, 10)...)
			breakIt(s, path)
			if err := j.Append(within(t), bw(11, 10)...); err != nil {
				t.Fatal(err)
			}
			for j.Stats().WriteError == "" {
				if within(t).Err() != nil {
					t.Fatal("no write error")
				}
				time.Sleep(time.Millisecond)
			}
			short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := j.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Flush: %v, want that it waits", err)
			}
			if recs, _, _ := drain(t, c); !slices.Equal(numbers(recs), span(1, 10)) {
				t.Errorf("delivered %v while the disk fails", numbers(recs))
			}
			s.heal()
			appendAll(t, j, bw(21, 10)...)
			if recs, _, _ := drain(t, c); !slices.Equal(numbers(recs), span(11, 30)) {
				t.Errorf("delivered %v afterwards", numbers(recs))
			}
			if st := j.Stats(); st.WriteError != "" || st.Records != 30 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A journal that closes while the disk fails says so, and the file is intact.
func TestFailingDiskAtClose(t *testing.T) {
	s := &faultSwitch{t: t}
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{openFile: s.open})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, bw(1, 10)...)
	s.breakBy("/dev/full", os.O_RDWR)
	if err := j.Append(within(t), bw(11, 5)...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err == nil || !strings.Contains(err.Error(), "5 events are lost") {
		t.Errorf("Close: %v, want that 5 events are lost", err)
	}
	_ = syscall.Flock(s.saved, syscall.LOCK_UN) // the test's duplicate still has it
	if v, err := Verify(path); err != nil || v.Last != 10 {
		t.Errorf("%+v, %v", v, err)
	}
}
