package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// watchdogEnv is what systemd sets for WatchdogSec=200ms.
var watchdogEnv = []string{"WATCHDOG_USEC=200000"}

// heard returns how often the manager is told that the recorder is alive while
// it listens for d.
func (m *serviceManager) heard(d time.Duration) (n int) {
	m.t.Helper()
	for end := time.After(d); ; {
		select {
		case got := <-m.told:
			if got == "WATCHDOG=1" {
				n++
			}
		case <-end:
			return n
		}
	}
}

// alive waits until the manager has been told n times that the recorder lives.
func (m *serviceManager) alive(n int) {
	m.t.Helper()
	for range n {
		m.await("WATCHDOG=1")
	}
}

// The manager hears that the recorder is alive while there is no tor and nothing
// to record, and hears nothing while the disk does not answer. When it does
// again, it hears on.
func TestWatchdogIsSilentWhileTheDiskIs(t *testing.T) {
	needReal(t)
	m := newServiceManager(t)
	journal, port := journalIn(t), freePort(t)
	nowhere := "unix:" + t.TempDir() + "/nowhere"
	r := m.launch(journal, nil, watchdogEnv, "--attach", nowhere, "--control", port)
	m.await("READY=1")
	m.await("STATUS=Waiting for a tor at " + nowhere)
	m.alive(3)

	w := dialWire(t, port, journal)
	release := holdDisk(t, r, func() { w.write("JOURNAL MARK \"on a disk that hangs\"\r\n") })
	// One may be on its way that was told before.
	if n := m.heard(10 * 200 * time.Millisecond); n > 1 {
		t.Errorf("the manager was told %d times that the recorder is alive while its disk hung", n)
	}
	release()
	if got := w.line(); got != "250 OK" && !strings.HasPrefix(got, "451 ") {
		t.Errorf("JOURNAL MARK: %q", got)
	}
	m.alive(3)
	r.stop() // once: at its end a second signal would kill it
	m.await("STOPPING=1")
}

// holdDisk makes every sync of the recorder hang from the one on that do causes,
// and returns when that one does. release lets the disk go on.
func holdDisk(t *testing.T, r *recorder, do func()) (release func()) {
	t.Helper()
	strace := exec.Command("strace", "-f", "-p", strconv.Itoa(r.cmd.Process.Pid), "-e", "signal=none",
		"-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=2000s")
	said, err := strace.StderrPipe()
	if err == nil {
		err = strace.Start()
	}
	if err != nil {
		t.Fatalf("strace: %v", err)
	}
	in := bufio.NewReader(said)
	await := func(sign string) {
		var all strings.Builder
		for !strings.Contains(all.String(), sign) {
			b, err := in.ReadByte()
			if err != nil {
				_ = strace.Wait()
				if strings.Contains(all.String(), "Operation not permitted") {
					t.Skipf("processes cannot be traced here: %s", &all)
				}
				t.Fatalf("strace ended: %s", &all)
			}
			all.WriteByte(b)
		}
	}
	ended := false
	release = func() {
		if ended {
			return
		}
		ended = true
		_ = strace.Process.Kill()
		_, _ = io.Copy(io.Discard, in)
		_ = strace.Wait()
	}
	t.Cleanup(release)
	await("attached")
	do()
	await("sync(")
	return release
}

// What the manager has not asked this process for it is not told.
func TestWatchdogOfAnotherProcess(t *testing.T) {
	needReal(t)
	m := newServiceManager(t)
	journal := journalIn(t)
	r := m.launch(journal, nil, append(watchdogEnv, "WATCHDOG_PID=1"), "--attach", "unix:"+t.TempDir()+"/nowhere")
	m.await("STATUS=")
	if n := m.heard(5 * 200 * time.Millisecond); n > 0 {
		t.Errorf("the manager was told %d times that the recorder is alive, but asked process 1", n)
	}
	if env, err := exec.Command("cat", fmt.Sprintf("/proc/%d/environ", r.cmd.Process.Pid)).Output(); err != nil || !strings.Contains(string(env), "WATCHDOG_PID=1") {
		t.Errorf("it was not started so: %v", err)
	}
	r.stop()
}
