package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"torjournal/journal"
	"torjournal/tor/controlport"
	"torjournal/tor/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come. It is no bound on
// speed: machines under the race detector, with other tests beside, are slow.
const patience = 2 * time.Minute

// written makes a journal of n records and closes it.
func written(t *testing.T, path string, n int) {
	t.Helper()
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := j.Append(t.Context(), event.NewRaw([]byte("650 BW 1 2\r\n"))); err != nil {
			t.Fatal(err)
		}
		if err := j.Flush(t.Context()); err != nil { // a batch each
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// running starts a daemon whose tor is nowhere, and returns what ends it.
func running(t *testing.T, path string) (stop func() error) {
	t.Helper()
	return runningWith(t, Config{Journal: path, Logger: slog.New(slog.DiscardHandler)})
}

func runningWith(t *testing.T, cfg Config) (stop func() error) {
	t.Helper()
	nowhere := controlport.Address{Network: "unix", Addr: filepath.Join(t.TempDir(), "tor")} // a port could become somebody's
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	cfg.Version, cfg.Attach, cfg.Record = "test", []controlport.Address{nowhere}, "auto"
	cfg.Ready = func() { close(ready) }
	go func() { ended <- Run(ctx, cfg) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the daemon did not start: %v", err)
	}
	once := false
	stop = func() error {
		if once {
			return nil
		}
		once = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// noisy returns n events of 16 KiB that do not compress.
func noisy(n int) (evs []event.Event) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		b := fmt.Appendf(nil, "650 NOTICE %d ", i)
		for range 16 << 10 {
			b = append(b, byte(' '+r.IntN(94)))
		}
		evs = append(evs, event.NewRaw(append(b, "\r\n"...)))
	}
	return evs
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// opened returns a reader of a journal, which is closed when the test ends.
func opened(t *testing.T, path string, key KeyFile) *Reader {
	t.Helper()
	rd, err := OpenReader(t.Context(), path, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rd.Close() })
	return rd
}

// everything reads all batches by sequence, as they are stored, and counts
// their records.
func everything(t *testing.T, rd journal.Reader) (batches []string, records int) {
	t.Helper()
	for seq := uint64(1); ; {
		st, err := rd.Fetch(t.Context(), seq, journal.Range{})
		if errors.Is(err, io.EOF) {
			return batches, records
		}
		if err != nil {
			t.Fatal(err)
		}
		recs, err := st.Decode(event.Set{})
		if err != nil {
			t.Fatal(err)
		}
		batches, records = append(batches, string(st.Data)), records+len(recs)
		seq = st.Last + 1
	}
}

// The daemon hands out the very bytes that lie in the file.
func TestDaemonAndFileAnswerTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 5)
	file := opened(t, path, KeyFile{})
	if file.Daemon() {
		t.Fatal("no daemon runs, but one is said to")
	}
	want, n := everything(t, file)

	stop := running(t, path)
	sock := opened(t, path, KeyFile{})
	if !sock.Daemon() {
		t.Fatal("a daemon runs, but the file is read")
	}
	if got, _ := everything(t, sock); n != 5 || !slices.Equal(got, want) {
		t.Errorf("the daemon hands out %d batches, the file %d with %d records; or they differ", len(got), len(want), n)
	}
	one, err := sock.Fetch(t.Context(), 1, journal.Range{Types: event.NewSet(event.CIRC)})
	if !errors.Is(err, io.EOF) {
		t.Errorf("circuits in a journal of bandwidth: %v, %v", one, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(SocketPath(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of an ended daemon is still there: %v", err)
	}
}

// A reader that follows changes over when a daemon comes and when it goes,
// and misses nothing.
func TestFollowerChangesOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 3)
	rd := opened(t, path, KeyFile{})

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type step struct {
		last   uint64
		daemon bool
		err    error
	}
	for round := range 2 { // a daemon without a tor records nothing itself
		waited := make(chan step, 1)
		go func() {
			err := rd.Wait(ctx, uint64(4+round))
			b, berr := rd.Bounds(ctx)
			waited <- step{b.Last, rd.Daemon(), errors.Join(err, berr)}
		}()
		stop := running(t, path)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		written(t, path, 1)
		if got := <-waited; got.err != nil || got.last != uint64(4+round) {
			t.Fatalf("round %d: %+v", round, got)
		}
	}
	if _, n := everything(t, rd); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 1)
	running(t, path)
	rd := opened(t, path, KeyFile{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- rd.Wait(ctx, 99) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v", err)
	}
}

// A journal may lie deeper than a socket's address can say.
func TestSocketInADeepFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	path := filepath.Join(dir, "journal.db")
	stop := running(t, path)
	rd, err := OpenReader(t.Context(), path, KeyFile{})
	if err != nil || !rd.Daemon() {
		t.Fatalf("daemon %v, %v", rd.Daemon(), err)
	}
	rd.Close()
	fi, err := os.Stat(SocketPath(path))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", fi.Mode(), err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestPrivateSocketRefusesNonsense(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 1)
	running(t, path)
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, q := range []string{"/fetch?seq=x", "/fetch?seq=1&since=soon", "/fetch?seq=1&session=-1", "/wait?seq=", "/nothing?"} {
		place, query, _ := strings.Cut(q, "?")
		resp, err := c.ask(t.Context(), http.MethodGet, place, query)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was answered", q)
		} else if errors.Is(err, errUnreachable) {
			t.Errorf("%s: %v", q, err)
		}
	}
	if _, err := c.Bounds(t.Context()); err != nil {
		t.Errorf("after the nonsense: %v", err)
	}
}

func TestSecondDaemonLeavesTheFirstOnesSocket(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a lock until it gives up")
	}
	path := filepath.Join(t.TempDir(), "journal.db")
	running(t, path)
	err := Run(t.Context(), Config{Journal: path, Record: "auto", Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, journal.ErrLocked) {
		t.Fatalf("the second daemon: %v", err)
	}
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatalf("the first daemon's socket: %v", err)
	}
	c.Close()
}

// A range comes through the socket's query as it went in.
func TestRangeSurvivesTheSocket(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 15, 30, 123456000, time.UTC)
	for _, r := range []journal.Range{
		{},
		{To: 9, Since: at, Until: at.Add(time.Hour), Session: 3, Types: event.NewSet(event.CIRC, event.BW, "NEW_IN_2030")},
	} {
		q := rangeQuery(7, r)
		seq, got, err := parseRange(q)
		if err != nil || seq != 7 || got.To != r.To || !got.Since.Equal(r.Since) || !got.Until.Equal(r.Until) ||
			got.Session != r.Session || !got.Types.Equal(r.Types) {
			t.Errorf("%v became %d %+v, %v", q, seq, got, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("seq=1&since=5&types=CIRC+BW&session=2")
	f.Add("seq=-1&until=99999999999999999999")
	f.Fuzz(func(t *testing.T, query string) {
		req, err := http.NewRequest(http.MethodGet, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.RawQuery = query
		seq, r, err := parseRange(req.URL.Query())
		if err != nil {
			return
		}
		again, r2, err := parseRange(rangeQuery(seq, r))
		if err != nil || again != seq || !r2.Types.Equal(r.Types) || !r2.Since.Equal(r.Since) {
			t.Fatalf("%q: %+v became %+v, %v", query, r, r2, err)
		}
	})
}

// A daemon that does not answer, and a reader whose time is up meanwhile.
func TestReaderSurvivesADeadlineWhileItChangesOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 1)
	rd := opened(t, path, KeyFile{})
	l, err := net.Listen("unix", SocketPath(path)) // accepts and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*pollFile)
	defer cancel()
	if err := rd.Wait(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait returned %v", err)
	}
	if _, err := rd.Fetch(t.Context(), 1, journal.Range{}); err != nil {
		t.Errorf("the file, after that: %v", err)
	}
}

// A daemon holds the file for a while before it answers, and after: a
// follower waits for it.
func TestFollowerWaitsForALockedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 1)
	rd := opened(t, path, KeyFile{})
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		waited <- rd.Wait(ctx, 2)
	}()
	select { // long enough that the reader has met the lock
	case err := <-waited:
		t.Fatalf("Wait returned %v while the file was locked", err)
	case <-time.After(3 * pollFile):
	}
	if err := j.Append(t.Context(), event.NewRaw([]byte("650 BW 1 2\r\n"))); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("Wait returned %v", err)
	}
}

// A folder that the daemon makes lets the group pass; one that was there is
// left as it is, and the way to let the group pass is told.
func TestFolderLetsTheGroupPass(t *testing.T) {
	g, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	log := slog.New(slog.NewTextHandler(&told, nil))
	fresh := filepath.Join(t.TempDir(), "a", "b")
	if err := makeFolder(fresh, g.Name, log); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(fresh)
	if err != nil || fi.Mode().Perm() != 0o710 || told.Len() != 0 {
		t.Errorf("a new folder: mode %v, %v; told: %s", fi.Mode(), err, &told)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(old, g.Name, log); err != nil {
		t.Fatal(err)
	}
	fi, err = os.Stat(old)
	if err != nil || fi.Mode().Perm() != 0o700 || !strings.Contains(told.String(), "chmod 710 "+old) {
		t.Errorf("an old folder: mode %v, %v; told: %s", fi.Mode(), err, &told)
	}
	if err := makeFolder(old, "no-such-group", log); err == nil {
		t.Error("a group that there is not was taken")
	}
}
