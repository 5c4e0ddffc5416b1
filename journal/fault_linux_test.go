package journal

import (
	"fmt"
	"os"
	"os/exec"
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

// A disk that fails in any of these ways holds nobody up: events are delivered,
// marked, without numbers; when it is well again the journal goes on by itself
// and says what is missing.
func TestFailingDisk(t *testing.T) {
	for name, breakIt := range map[string]func(*faultSwitch, string){
		"full":       func(s *faultSwitch, _ string) { s.breakBy("/dev/full", os.O_RDWR) },
		"read only":  func(s *faultSwitch, path string) { s.breakBy(path, os.O_RDONLY) },
		"sync fails": func(s *faultSwitch, _ string) { s.breakBy(os.DevNull, os.O_RDWR) }, // swallows writes; fdatasync: EINVAL
	} {
		t.Run(name, func(t *testing.T) {
			s := &faultSwitch{t: t}
			path := filepath.Join(t.TempDir(), "journal.db")
			j := openTest(t, path, Options{openFile: s.open, outageRetry: 5 * time.Millisecond})
			c := j.NewCursor(0, event.AllTypes())
			defer c.Close()
			appendAll(t, j, bw(1, 10)...)
			breakIt(s, path)
			settle(t, j, bw(11, 10)...)
			settle(t, j, bw(21, 10)...)
			st := j.Stats()
			if st.WriteError == "" || st.Outage.IsZero() || st.Unjournaled != 20 || st.Last != 10 {
				t.Errorf("during the outage %+v", st)
			}
			recs, _, _ := drain(t, c)
			want := append(span(1, 10), make([]uint64, 21)...)
			if !slices.Equal(numbers(recs), want) || !strings.HasPrefix(string(recs[10].Wire), "650 JOURNAL UNJOURNALED SINCE=") {
				t.Errorf("delivered %v during the outage, then %q", numbers(recs), recs[10].Wire)
			}
			s.heal()
			awaitEnd(t, j)
			appendAfterOutage(t, j, bw(31, 10)...)
			recs, _, _ = drain(t, c)
			if !slices.Equal(numbers(recs), span(21, 31)) { // the mark has 21
				t.Errorf("delivered %v afterwards", numbers(recs))
			}
			recs, _ = readAll(t, j, Range{})
			if !strings.HasPrefix(string(recs[20].Wire), "650 JOURNAL JOURNALED COUNT=10 TYPES=BW SINCE=") || strings.Contains(string(recs[20].Wire), path) {
				t.Errorf("the mark is %q", recs[20].Wire)
			}
			if st := j.Stats(); st.WriteError != "" || !st.Outage.IsZero() || st.Unjournaled != 10 || st.Records != 31 || len(recs) != 31 {
				t.Errorf("%d records, %+v", len(recs), st)
			}
		})
	}
}

// A small file-size limit is a full disk made by the system: the file cannot
// grow, until there is room again. It holds for all of a process, whose log of
// opened files go test keeps: so the test runs in a process of its own.
func TestFileSizeLimit(t *testing.T) {
	const inOwnProcess = "TORJOURNAL_TEST_LIMIT"
	if os.Getenv(inOwnProcess) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFileSizeLimit$", "-test.v")
		cmd.Env = append(os.Environ(), inOwnProcess+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestFileSizeLimit") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(old)

	j := openTest(t, "", Options{MaxSize: 8 << 20, outageRetry: 5 * time.Millisecond})
	c := j.NewCursor(0, event.NewSet(event.BW))
	defer c.Close()
	limit(syscall.Rlimit{Cur: uint64(j.Stats().Size) + 600<<10, Max: old.Max})
	n := 0
	add := func() {
		settle(t, j, raw("650 BW %d %s", n, noise(n, 30<<10)))
		n++
	}
	for j.Stats().Outage.IsZero() {
		add()
		if n > 500 {
			t.Fatal("the limit is never met: nothing is tested")
		}
	}
	full := n
	for range 5 {
		add()
	}
	if st := j.Stats(); st.Outage.IsZero() {
		t.Errorf("it is written though there is no room: %+v", st)
	}
	limit(old)
	awaitEnd(t, j)
	for range 5 {
		add()
	}
	recs, _, _ := drain(t, c)
	for i, r := range recs {
		if !strings.HasPrefix(string(r.Wire), fmt.Sprintf("650 BW %d ", i)) {
			t.Errorf("event %d is delivered as number %d", i, r.Seq)
		}
	}
	if len(recs) != n {
		t.Errorf("%d events are delivered of %d", len(recs), n)
	}
	missing, marks := 0, 0
	recs, gaps := readAll(t, j, Range{})
	for _, r := range recs {
		if k, ok := markCount(r); ok {
			missing += int(k)
			marks++
		}
	}
	// A seal may have met the limit before an event did: then one more is missing.
	if got := len(recs) - marks; got+missing != n || missing < 5 || missing > 6 || len(gaps) > 0 {
		t.Errorf("%d events came, %d before it was full; the file has %d of them, %d are marked as missing", n, full, got, missing)
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
	if v, err := Verify(path, nil); err != nil || v.Last != 10 {
		t.Errorf("%+v, %v", v, err)
	}
}
