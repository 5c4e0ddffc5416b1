package journal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
			j := openTest(t, path, Options{openFile: s.open, outageRetry: 5 * time.Millisecond, parkLimits: parkOften})
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

// What Record has said is recorded is in the file, and once, whatever the disk
// does meanwhile and whoever else flushes.
func TestRecordOnAFailingDisk(t *testing.T) {
	s := &faultSwitch{t: t}
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{openFile: s.open, outageRetry: time.Millisecond})
	stop := make(chan struct{})
	var others, recorders sync.WaitGroup
	others.Go(func() {
		for i := 0; !isDone(stop); i++ {
			_ = j.Append(t.Context(), bw(1_000_000+i, 1)...)
			_ = j.Flush(t.Context())
		}
	})
	var mu sync.Mutex
	said := map[string]bool{}
	refused := 0
	for n := range 3 {
		recorders.Go(func() {
			for i := 0; !isDone(stop); i++ {
				wire := fmt.Sprintf("650 JOURNAL MARK CONN=%d TEXT=%d\r\n", n, i)
				err := j.Record(t.Context(), event.NewRaw([]byte(wire)))
				mu.Lock()
				if err == nil {
					said[wire] = true
				} else if refused++; !errors.Is(err, ErrUnjournaled) {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	comes := func(what func() bool) {
		for ctx := within(t); ctx.Err() == nil; time.Sleep(time.Millisecond) {
			mu.Lock()
			done := what()
			mu.Unlock()
			if done {
				return
			}
		}
	}
	for round := range 30 {
		time.Sleep(3 * time.Millisecond)
		if round == 0 {
			comes(func() bool { return len(said) > 0 })
		}
		s.breakBy("/dev/full", os.O_RDWR)
		time.Sleep(3 * time.Millisecond)
		if round == 0 {
			comes(func() bool { return refused > 0 })
		}
		s.heal()
		awaitEnd(t, j)
	}
	close(stop)
	recorders.Wait()
	others.Wait()
	times := map[string]int{}
	recs, _ := readAll(t, j, Range{})
	for _, r := range recs {
		times[string(r.Wire)]++
	}
	for wire := range said {
		if times[wire] != 1 {
			t.Errorf("%q was said to be recorded and is there %d times", wire, times[wire])
		}
	}
	if len(said) == 0 || refused == 0 {
		t.Errorf("%d were recorded, %d refused: nothing was tried", len(said), refused)
	}
}

func isDone(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Under overload, when all that finds no room is dropped, Record drops nothing.
func TestRecordUnderOverload(t *testing.T) {
	j := openTest(t, "", Options{})
	held, release := make(chan struct{}), make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		_ = j.inWriter(t.Context(), func(*writer) error { close(held); <-release; return nil })
	})
	<-held
	big := raw("650 BW %s", strings.Repeat("1", queueBytes-1024))
	if err := j.Append(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	j.q.mu.Lock()
	j.q.overloadLocked()
	j.q.mu.Unlock()
	mark := raw("650 JOURNAL MARK TEXT=%s", strings.Repeat("x", 1000))
	answer := make(chan error)
	go func() { answer <- j.Record(t.Context(), mark) }()
	for entered := false; !entered; time.Sleep(time.Millisecond) {
		j.q.mu.Lock()
		entered = j.q.ops > 0
		j.q.mu.Unlock()
	}
	close(release)
	holder.Wait()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	recs, _ := readAll(t, j, Range{})
	if last := recs[len(recs)-1]; string(last.Wire) != string(mark.Format()) {
		t.Errorf("the last of %d records is %.60q", len(recs), last.Wire)
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
