package testnet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// crashVariable makes this test binary start a network and come to grief.
const crashVariable = "TORJOURNAL_TESTNET_CRASH"

// crash starts a network, says which processes and which folder it has, and
// ends as told, without Close.
func crash(end string) {
	n, err := Start(context.Background(), Options{Log: os.Stderr})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if err := n.Relays()[0].Pause(); err != nil { // the hardest to end
		fmt.Println("error", err)
		os.Exit(1)
	}
	for _, node := range n.nodes() {
		fmt.Println("pid", node.PID())
	}
	fmt.Println("dir", n.Dir())
	fmt.Println("ready", os.Getpid())
	if end == "panic" {
		panic("as the test wants")
	}
	select {} // until the signal
}

func TestCrashedParent(t *testing.T) {
	for name, end := range map[string]syscall.Signal{"panic": 0, "killed": syscall.SIGKILL, "interrupted": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			child := exec.CommandContext(ctx, os.Args[0])
			child.Env = append(os.Environ(), crashVariable+"="+name)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			defer child.Wait()
			pids, dir := readCrash(t, bufio.NewScanner(out))
			if end != 0 {
				if err := child.Process.Signal(end); err != nil {
					t.Fatal(err)
				}
			}
			for _, pid := range pids {
				eventually(t, ctx, func() error {
					if alive(pid) {
						return fmt.Errorf("tor %d outlived its parent", pid)
					}
					return nil
				})
			}
			child.Wait()
			sweepRunDirs()
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder %s stays after a sweep", dir)
			}
		})
	}
}

func readCrash(t *testing.T, lines *bufio.Scanner) (pids []int, dir string) {
	t.Helper()
	for lines.Scan() {
		what, value, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "pid":
			pid, err := strconv.Atoi(value)
			if err != nil || !alive(pid) {
				t.Fatalf("process %q of the network does not run (%v)", value, err)
			}
			pids = append(pids, pid)
		case "dir":
			dir = value
		case "ready":
			if len(pids) != 4 {
				t.Fatalf("the network has processes %v, want 4", pids)
			}
			return pids, dir
		default:
			t.Fatal(lines.Text())
		}
	}
	t.Fatal("the child ended before its network was up")
	return nil, ""
}

// alive says whether a process runs; one that only waits for its parent to
// notice its death does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name, in brackets, may hold anything
	return !strings.HasPrefix(after, "Z")
}
