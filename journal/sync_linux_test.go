package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"torjournal/tor/event"
)

// Crash images take it for granted that bbolt syncs where it should. Here the
// kernel is asked: how many pages of the file are not on disk.

// unsyncedPages returns how many pages of the file that fd is are in memory
// only.
func unsyncedPages(fd int) (int, error) {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(fd), &unix.CachestatRange{}, &st, 0)
	return int(st.Dirty + st.Writeback), err
}

// needCachestat puts the test's folders on the disk, and skips it where the
// kernel cannot tell: before Linux 6.5, and where that is in memory too.
func needCachestat(t *testing.T) {
	t.Helper()
	onDisk(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	before, err := unsyncedPages(int(f.Fd()))
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) {
		t.Skipf("no cachestat(2) here, which Linux 6.5 has: %v", err)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	if after, err := unsyncedPages(int(f.Fd())); before == 0 || after != 0 || err != nil {
		t.Skipf("the kernel does not tell here what is synced: %d pages before a sync, %d after it, %v", before, after, err)
	}
}

// syncWatch looks at a journal's file whenever something must be on disk.
type syncWatch struct {
	t    *testing.T
	fd   int                             // a descriptor of the file
	next func(b []byte, off int64) error // takes part in every write, after the look; nil: nobody

	mu     sync.Mutex
	begun  bool // guarded by mu; the transaction has written something
	looked int  // guarded by mu
	logged int  // owned by the writer: how often the log was written
	bad    []string
}

// open opens a journal that is watched.
func (s *syncWatch) open(path string, opt Options) *Journal {
	inner := opt.wrapCommit
	opt.wrapCommit = func(commit commitFunc) commitFunc {
		if inner != nil {
			commit = inner(commit)
		}
		return func(c *change) (outcome, error) {
			out, err := commit(c)
			s.mu.Lock()
			s.begun = false
			s.mu.Unlock()
			if err == nil {
				s.look("a commit's return")
			}
			return out, err
		}
	}
	opt.wrapLog = func(log logFunc) logFunc {
		return func(turn logTurn) error {
			err := log(turn)
			if err == nil {
				s.logged++
				s.look("the log's return")
			}
			return err
		}
	}
	var f *os.File
	s.t.Cleanup(func() { _ = f.Close() }) // behind the journal, which seals on by itself
	j := openTest(s.t, path, opt)
	var err error
	f, err = os.Open(j.store.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.fd = int(f.Fd())
	s.look("Open's return")
	s.hook(j)
	return j
}

// hook looks before every write that relies on a sync.
func (s *syncWatch) hook(j *Journal) {
	if err := j.inWriter(within(s.t), func(w *writer) error {
		j.store.beforeLog = func(b []byte, off int64) error {
			if kindInLog(w, off) == logWrite {
				s.look("a page of the log")
			}
			return nil
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	writeHook(s.t, j.store.db, func(b []byte, off int64) error {
		s.mu.Lock()
		first := !s.begun
		s.begun = !isMeta(j.store.db, off)
		s.mu.Unlock()
		switch {
		case isMeta(j.store.db, off):
			s.look("the meta page")
		case first:
			// It may overwrite what the state before the last was made of.
			s.look("a transaction's first page")
		}
		if s.next != nil {
			return s.next(b, off)
		}
		return nil
	})
}

func (s *syncWatch) look(what string) {
	n, err := unsyncedPages(s.fd)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked++
	if n != 0 {
		s.bad = append(s.bad, fmt.Sprintf("look %d: before %s %d pages are not on disk", s.looked, what, n))
	}
}

func (s *syncWatch) check(least int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked < least {
		s.t.Errorf("looked %d times only", s.looked)
	}
	if len(s.bad) > 0 {
		s.t.Errorf("%d of %d times: %q", len(s.bad), s.looked, s.bad[:min(len(s.bad), 5)])
	}
}

// busy makes the journal append, seal, promote, evict, grow, begin sessions
// and vacuum.
func busy(t *testing.T, j *Journal) {
	t.Helper()
	for i := range 24 {
		if i%5 == 0 {
			if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: i + 1}); err != nil {
				t.Fatal(err)
			}
		}
		appendAll(t, j, bw(i*100, 1+i*7%40)...)
		appendAll(t, j, raw("650 CIRC %s", noise(i, 80<<10)))
	}
	waitForSeal(t, j)
}

// Everything is on disk before the meta page that leads to it is written,
// before anybody receives it, and before the pages of the state before are
// used again.
func TestSyncedBeforeItCounts(t *testing.T) {
	needCachestat(t)
	s := &syncWatch{t: t}
	j := s.open("", Options{MaxSize: MinMaxSize, sealBytes: 8 << 10, parkLimits: parkOften})
	busy(t, j)
	if b, err := j.Bounds(within(t)); err != nil || b.First == 1 {
		t.Errorf("nothing was evicted: %+v, %v", b, err)
	}
	closeTest(t, j)
	s.look("Close's return")
	if s.check(150); s.logged < 5 {
		t.Errorf("the log was written %d times", s.logged)
	}
}

// The watch sees it if the syncs are left out.
func TestMissingSyncIsSeen(t *testing.T) {
	needCachestat(t)
	s := &syncWatch{t: t}
	j := s.open("", Options{walPages: noLog})
	j.store.db.NoSync = true
	for i := range 20 {
		appendAll(t, j, bw(i, 1)...)
	}
	if len(s.bad) < 20 {
		t.Errorf("of 20 commits without sync %d were seen", len(s.bad))
	}
}

// What a vacuum puts in the journal's place is on disk when it has the name.
func TestVacuumIsSyncedBeforeItCounts(t *testing.T) {
	needCachestat(t)
	s := &syncWatch{t: t}
	path := filepath.Join(t.TempDir(), "journal.db")
	j := s.open(path, Options{vacuumStep: func(step string) {
		if step != "swap" {
			return
		}
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if n, err := unsyncedPages(int(f.Fd())); n != 0 || err != nil {
			t.Errorf("the new file has its name, and %d pages are not on disk, %v", n, err)
		}
	}})
	busy(t, j)
	if _, err := j.Vacuum(within(t), Limits{}); err != nil {
		t.Fatal(err)
	}
}

// A process that was killed has left pages that no sync has covered. Before
// anybody reads them, and before the next one overwrites anything, they must be on
// disk.
func TestSyncedAfterKill(t *testing.T) {
	needCachestat(t)
	j := loggedJournal(t, Options{})
	appendAll(t, j, bw(1, 10)...)
	data := image(t, j)
	path := filepath.Join(t.TempDir(), "unsynced.db") // a file that is truncated and written again is synced by some file systems
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if n, err := unsyncedPages(int(f.Fd())); n == 0 || err != nil {
		t.Errorf("nothing is tested: what was just written is on disk already; %v", err)
	}
	s := &syncWatch{t: t}
	j = s.open(path, Options{})
	appendAll(t, j, bw(11, 10)...)
	s.check(3)
}

// The last sync of a commit fails: the transaction is in the file, readers see
// it, and the disk may not have it. Before the next one overwrites what the
// disk has instead, it must.
func TestSyncedAfterFailedSync(t *testing.T) {
	needCachestat(t)
	sw := &faultSwitch{t: t}
	s := &syncWatch{t: t}
	j := s.open("", Options{walPages: noLog, openFile: sw.open, wrapCommit: func(commit commitFunc) commitFunc {
		return func(c *change) (outcome, error) {
			sw.heal()
			return commit(c)
		}
	}})
	fail := false
	s.next = func(b []byte, off int64) error {
		if !fail || !isMeta(j.store.db, off) {
			return nil
		}
		fail = false
		_, err := unix.Pwrite(sw.saved, b, off)
		sw.breakBy(os.DevNull, os.O_RDWR) // takes every write, and no sync
		return err
	}
	for i := range 5 {
		appendAll(t, j, bw(i*10, 10)...)
		if err := j.inWriter(within(t), func(*writer) error { fail = true; return nil }); err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, bw(i*10, 10)...)
		if fail {
			t.Fatal("nothing failed")
		}
	}
	s.check(40)
}
