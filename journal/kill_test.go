package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A process that records as fast as it can into a small ring is killed at any
// moment, and the next one goes on with what it left: what a subscriber had
// received is in the journal, under its number, unless the ring has taken it,
// and nothing is there twice or in another order.
func TestKill(t *testing.T) {
	t.Parallel()
	plainAndEncrypted(t, testKill)
}

func testKill(t *testing.T, key *Key) {
	r := seeded(t)
	rounds := 20
	if key != nil {
		rounds = 5
	}
	if testing.Short() {
		rounds = 3
	}
	if *soak {
		rounds = 100
	}
	path := filepath.Join(t.TempDir(), "journal.db")
	received, evicted := 0, false
	var last uint64
	for round := range rounds {
		lines := killed(t, path, key, 300+r.IntN(1200), time.Duration(r.IntN(3000))*time.Microsecond)
		if _, err := Verify(path, key); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		f, err := OpenFile(path, key)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		recs, gaps := readAll(t, f, Range{})
		if len(recs) == 0 || len(gaps) > 0 || !slices.Equal(numbers(recs), span(recs[0].Seq, recs[0].Seq+uint64(len(recs))-1)) {
			t.Fatalf("round %d: the journal has %v, gaps %v", round, numbers(recs), gaps)
		}
		first, end := recs[0].Seq, recs[len(recs)-1].Seq
		evicted = evicted || first > 1
		if end < last {
			t.Fatalf("round %d: the journal ends with %d, before it ended with %d", round, end, last)
		}
		next := last + 1 // that the subscriber must receive
		last = end
		for _, line := range lines {
			var from, seq uint64
			var wire string
			if _, err := fmt.Sscanf(line, "gap %d %d", &from, &seq); err == nil && from == next {
				next = seq + 1
				continue
			}
			if _, err := fmt.Sscanf(line, "record %d %q", &seq, &wire); err != nil {
				t.Fatalf("round %d: %q: %v", round, line, err)
			}
			if seq != next {
				t.Fatalf("round %d: the subscriber received %d, want %d", round, seq, next)
			}
			next++
			received++
			if seq > end || seq >= first && head(recs[seq-first].Wire) != fmt.Sprintf("%q", wire) {
				t.Fatalf("round %d: the subscriber received %d as %q, the journal has %d to %d", round, seq, wire, first, end)
			}
		}
		checkOnce(t, recs)
	}
	if !evicted && rounds >= 20 {
		t.Error("the ring has taken nothing: that was no load")
	}
	t.Logf("%d records received in %d rounds, the last is %d", received, rounds, last)
}

// checkOnce fails the test unless the events of each process are there once, in
// order and without a hole.
func checkOnce(t *testing.T, recs []Record) {
	t.Helper()
	next := map[int]int{}
	for _, rec := range recs {
		var pid, n int
		if _, err := fmt.Sscanf(string(rec.Wire), "650 BW %d %d ", &pid, &n); err != nil {
			t.Fatalf("record %d is %s: %v", rec.Seq, head(rec.Wire), err)
		}
		if want, seen := next[pid]; seen && n != want || !seen && n != 0 && rec.Seq != recs[0].Seq {
			t.Fatalf("record %d is event %d of process %d, want %d", rec.Seq, n, pid, want)
		}
		next[pid] = n + 1
	}
}

// killed runs childLoad, kills it some time after it has printed n lines, and
// returns all whole lines that it printed.
func killed(t *testing.T, path string, key *Key, n int, after time.Duration) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = childEnviron("load", path, key)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // what is left is half a line
		}
		if err != nil {
			t.Error(err)
			break
		}
		if lines = append(lines, strings.TrimSuffix(line, "\n")); len(lines) == n {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	return lines
}
