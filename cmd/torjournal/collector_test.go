package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// hold does as an answer does that holds twice what it shall take, and goes on
// using memory: it prints how often the collector ran.
func hold() {
	collectLater(os.Getenv)
	boundMemory(os.Getenv)
	var held [][]byte
	for range 2 * readingMemory / (1 << 20) {
		held = append(held, make([]byte, 1<<20))
	}
	for range 2048 {
		sink = make([]byte, 1<<20)
	}
	runtime.KeepAlive(held)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println(m.NumGC)
}

var sink []byte

// The collector does not run all the time where an answer holds more than the
// bound; where the user sets a bound, that one holds.
func TestBoundMemory(t *testing.T) {
	cycles := func(env ...string) int {
		t.Helper()
		cmd := exec.Command("hold")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.Output()
		n, nerr := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || nerr != nil {
			t.Fatal(err, nerr)
		}
		return n
	}
	// 2 GiB in parts of 160 MiB and what came before; a bound that stays lets it run
	// as often as it may.
	if ours, own := cycles("GOMEMLIMIT="), cycles("GOMEMLIMIT=160MiB"); 2*ours > own {
		t.Errorf("the collector ran %d times, and %d times below a bound of the user's own", ours, own)
	}
}
