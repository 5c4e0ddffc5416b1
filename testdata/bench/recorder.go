package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// recorder is a process that records a tor and serves its events: torjournal,
// or a peer that does the same with another store.
type recorder struct {
	tor    *fakeTor
	cmd    *exec.Cmd
	serves string // where subscribers connect
	file   string // what it writes, and the beginning of further files' names
	log    string // what it says

	exited chan struct{}
	err    error // of the process; after exited
}

// kinds of recorders.
const (
	torjournal = "torjournal"
	textLog    = "text"
	sqliteDB   = "sqlite"
	nothing    = "nothing" // keeps nothing: what the way through a recorder takes alone
)

// record starts a recorder of the given kind in a folder, and returns when it
// has subscribed to a fake tor and serves.
func (b *bench) record(ctx context.Context, kind, dir, serves string, extra ...string) (r *recorder, err error) {
	r = &recorder{serves: serves, file: filepath.Join(dir, kind), log: filepath.Join(dir, "log"), exited: make(chan struct{})}
	path := b.socket("tor")
	if r.tor, err = startTor(path); err != nil {
		return nil, err
	}
	program, args := b.program, []string{"run", "--attach", "unix:" + path, "--control", serves + ",no-auth,history", "--journal", r.file, "--record", "all"}
	if kind != torjournal {
		if program, err = b.peer(); err != nil {
			r.tor.stop()
			return nil, err
		}
		args = []string{"record", kind, path, serves, r.file}
	}
	r.cmd = exec.CommandContext(ctx, program, append(args, extra...)...)
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = patience
	if kind == torjournal {
		r.cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	}
	if err := r.start(); err != nil {
		r.tor.stop()
		return nil, err
	}
	return r, nil
}

func (r *recorder) start() error {
	log, err := os.Create(r.log)
	if err != nil {
		return err
	}
	defer log.Close()
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.exited)
	}()
	if err := r.tor.wait(); err != nil {
		_ = r.end()
		return fmt.Errorf("%w: %s", err, r.said())
	}
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		s, err := dial(r.serves)
		if err == nil {
			s.close()
			return nil
		}
		if time.Since(begin) > patience {
			_ = r.end()
			return fmt.Errorf("%w: %s", err, r.said())
		}
	}
}

// said is the end of what the process wrote.
func (r *recorder) said() string {
	data, _ := os.ReadFile(r.log)
	return string(data[max(0, len(data)-1000):])
}

func (r *recorder) end() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	<-r.exited
	return r.err
}

// stop ends the recorder and its tor.
func (r *recorder) stop() error {
	err := r.end()
	r.tor.stop()
	if err != nil {
		return fmt.Errorf("%w: %s", err, r.said())
	}
	return nil
}

// cpu is what the process used; after stop.
func (r *recorder) cpu() time.Duration {
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
}

// follower reads as one subscriber, and says how far it is.
type follower struct {
	sock socket
	done sync.WaitGroup

	mu    sync.Mutex
	moved sync.Cond
	got   int64 // guarded by mu; bytes
	err   error // guarded by mu
}

// follow subscribes and reads in a goroutine; each read is told to came, if
// that is not nil.
func follow(address string, came func(got int64, at time.Time)) (*follower, error) {
	sock, err := subscribe(address)
	if err != nil {
		return nil, err
	}
	f := &follower{sock: sock}
	f.moved.L = &f.mu
	f.done.Go(func() {
		buf := make([]byte, 256<<10)
		for {
			n, err := sock.read(buf)
			at := time.Now()
			f.mu.Lock()
			if f.got += int64(n); n <= 0 {
				f.err = errors.Join(errors.New("the recorder closed the connection"), err)
			}
			got, err := f.got, f.err
			f.moved.Broadcast()
			f.mu.Unlock()
			if err != nil {
				return
			}
			if came != nil {
				came(got, at)
			}
		}
	})
	return f, nil
}

// wait returns when n bytes have come.
func (f *follower) wait(n int64) error {
	late := time.AfterFunc(2*patience, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.err = fmt.Errorf("%d of %d bytes came within %v", f.got, n, 2*patience)
		f.moved.Broadcast()
	})
	defer late.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.got < n && f.err == nil {
		f.moved.Wait()
	}
	if f.got < n {
		return f.err
	}
	return nil
}

func (f *follower) close() {
	f.sock.end()
	f.done.Wait()
	f.sock.close()
}

// freePort returns a loopback address that nobody listens on just now.
func freePort() (string, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
