package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/tor/controlport"
)

// patience is how long a test waits for what must come; it is no measure of
// speed.
const patience = 3 * time.Minute

// needReal leaves a test on real processes out of -short runs.
func needReal(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
}

// needTime leaves a test out of -short runs that is at work for seconds, where
// others look at the same kind of promise.
func needTime(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes its time")
	}
}

// recorder is a torjournal daemon in a process of its own.
type recorder struct {
	t       *testing.T
	journal string
	cmd     *exec.Cmd
	log     *lockedBuffer
	exited  chan struct{} // closed when the process has ended
	err     error         // of the process; valid once exited is closed
}

// startRecorder runs `torjournal run` with args on journal and returns when
// it answers on its private socket.
func startRecorder(t *testing.T, journal string, args ...string) *recorder {
	t.Helper()
	r := launch(t, journal, args...)
	r.answers()
	return r
}

// answers waits until the recorder answers on its private socket.
func (r *recorder) answers() {
	r.t.Helper()
	r.await("the recorder answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := daemon.Dial(ctx, r.journal)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// launch runs `torjournal run` and does not wait for anything.
func launch(t *testing.T, journal string, args ...string) *recorder {
	t.Helper()
	return launchCommand(t, journal, exec.Command("torjournal", append([]string{"run", "--journal", journal}, args...)...))
}

// launchCommand is launch of a command that becomes a recorder on journal.
func launchCommand(t *testing.T, journal string, cmd *exec.Cmd) *recorder {
	t.Helper()
	r := &recorder{t: t, journal: journal, cmd: cmd, log: &lockedBuffer{}, exited: make(chan struct{})}
	r.cmd.Stderr = r.log
	r.cmd.Stdout = r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.exited)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.exited
		if t.Failed() {
			t.Logf("log of the recorder:\n%s", r.log)
		}
	})
	return r
}

// await fails the test if cond does not come true, or the recorder ends.
func (r *recorder) await(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		select {
		case <-r.exited:
			r.t.Fatalf("waiting until %s: the recorder ended: %v\n%s", what, r.err, r.log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("waiting until %s: not within %v\n%s", what, patience, r.log)
		}
	}
}

// attached waits until the recorder is attached to its tor.
func (r *recorder) attached() daemon.Status {
	r.t.Helper()
	var st daemon.Status
	r.await("the recorder is attached", func() bool {
		st = r.status()
		return st.Source.Attached
	})
	return st
}

func (r *recorder) status() daemon.Status {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := daemon.Dial(ctx, r.journal)
	if err != nil {
		r.t.Fatalf("status: %v\n%s", err, r.log)
	}
	defer c.Close()
	st, err := c.Status(ctx)
	if err != nil {
		r.t.Fatalf("status: %v", err)
	}
	return st
}

// kill ends the recorder as a power cut would.
func (r *recorder) kill() {
	_ = r.cmd.Process.Kill()
	<-r.exited
}

// stop ends the recorder as systemd would and checks that it ended well.
func (r *recorder) stop() {
	r.t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(patience):
		r.t.Fatalf("SIGTERM: still there after %v\n%s", patience, r.log)
	}
	if r.err != nil {
		r.t.Fatalf("SIGTERM: ended with %v\n%s", r.err, r.log)
	}
}

// torjournal runs a command line and returns what it printed; it must exit
// with code.
func torjournal(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "torjournal", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("torjournal %s: exit %d (%v), want %d\n%s%s", strings.Join(args, " "), got, err, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// subscriber is a controller that collects what it is sent.
type subscriber struct {
	*controlport.Conn
	mu    sync.Mutex
	bytes []byte   // guarded by mu: all events, in order
	wires []string // guarded by mu: the same, one by one
}

// subscribe connects to a control port and asks for types.
func subscribe(t *testing.T, addr string, cred controlport.Credentials, types string) *subscriber {
	t.Helper()
	s := connect(t, addr, cred)
	s.must(t, "SETEVENTS "+types)
	return s
}

// connect connects to a control port and authenticates.
func connect(t *testing.T, addr string, cred controlport.Credentials) *subscriber {
	t.Helper()
	s, err := tryConnect(addr, cred)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func tryConnect(addr string, cred controlport.Credentials) (*subscriber, error) {
	a, err := controlport.ParseAddress(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := &subscriber{}
	if s.Conn, err = controlport.Dial(ctx, a, s.take); err != nil {
		return nil, err
	}
	if err := s.Authenticate(ctx, cred); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *subscriber) take(wires [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range wires {
		s.bytes = append(s.bytes, w...)
		s.wires = append(s.wires, string(w))
	}
}

func (s *subscriber) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.wires...)
}

// must sends a command that has to succeed.
func (s *subscriber) must(t *testing.T, command string) controlport.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rep, err := s.Do(ctx, command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if err := rep.Err(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return rep
}

// awaitEvent waits for an event that want likes.
func (s *subscriber) awaitEvent(t *testing.T, what string, want func(wire string) bool) string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for seen := 0; ; {
		got := s.received()
		for ; seen < len(got); seen++ {
			if want(got[seen]) {
				return got[seen]
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; the last of %d events: %q", what, patience, len(got), tail(got, 5))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func tail[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// journalIn returns a place for a journal in a folder of the test's own.
func journalIn(t *testing.T) string {
	return filepath.Join(t.TempDir(), "journal.db")
}
