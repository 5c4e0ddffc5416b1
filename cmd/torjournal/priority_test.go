package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every thread of what records takes short turns, and every thread of what reads
// its history takes long ones at the lowest priority, those that begin later too.
func TestTurns(t *testing.T) {
	needReal(t)
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	kept := own.Runtime != 0 // Linux 6.12 and later keep how long a turn shall be
	nowhere := "unix:" + t.TempDir() + "/nowhere"
	r := startRecorder(t, journalIn(t), "--attach", nowhere, "--control", "unix:"+t.TempDir()+"/control")
	follows := exec.Command("torjournal", "replay", "--follow", "--journal", r.journal)
	if err := follows.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = follows.Process.Kill()
		_ = follows.Wait()
	}()
	for _, c := range []struct {
		what string
		pid  int
		nice int32
		turn time.Duration
	}{
		{"run", r.cmd.Process.Pid, own.Nice, shortTurn},
		{"replay --follow", follows.Process.Pid, lowestNice, longTurn},
	} {
		r.await("each thread of "+c.what+" has the turns it should have", func() bool {
			threads := threadsOf(t, c.pid)
			for _, a := range threads {
				if a.Nice != c.nice || kept && a.Runtime != uint64(c.turn) {
					return false
				}
			}
			return len(threads) > 3
		})
	}
}

// What reads history leaves a processor to the recorder that answers, and to
// nobody if none does; a GOMAXPROCS of the user's own stays.
func TestQuestionLeavesAProcessor(t *testing.T) {
	needReal(t)
	own := runtime.GOMAXPROCS(0)
	runtime.SetDefaultGOMAXPROCS() // what the processes below begin with, whatever this one was given
	all := runtime.GOMAXPROCS(own)
	r := startRecorder(t, journalIn(t), "--attach", "unix:"+t.TempDir()+"/nowhere", "--control", "unix:"+t.TempDir()+"/control")
	uses := func(env string, n int) {
		t.Helper()
		var said lockedBuffer
		cmd := exec.Command("torjournal", "replay", "--follow", "--journal", r.journal)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") }), "GODEBUG=schedtrace=10", env)
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
		want := fmt.Sprintf(" gomaxprocs=%d ", n)
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			lines := strings.Split(strings.TrimSpace(said.String()), "\n")
			if len(lines) > 20 && strings.Contains(lines[len(lines)-1], want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("with %q it does not come to%s: %s", env, want, lines[len(lines)-1])
			}
		}
	}
	uses("A=1", max(1, all-1))
	uses(fmt.Sprintf("GOMAXPROCS=%d", all+1), all+1)
	_ = r.cmd.Process.Kill()
	<-r.exited
	uses("A=1", all)
}

// threadsOf returns how each thread of a process is scheduled.
func threadsOf(t *testing.T, pid int) (attrs []unix.SchedAttr) {
	t.Helper()
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(tid, 0); err == nil { // else it has ended
			attrs = append(attrs, *attr)
		}
	}
	return attrs
}
