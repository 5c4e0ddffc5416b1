package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// crashWriterArg makes this program append to a journal until it is killed.
const crashWriterArg = "crash-writer"

// crashWriter appends to the journal at path and says so after each commit.
func crashWriter(path string) {
	j, err := journal.Open(path, journal.Options{})
	for i := 0; err == nil; i++ {
		err = j.Append(context.Background(), event.NewRaw(fmt.Appendf(nil, "650 BW %d %d\r\n", i, 3*i)))
		if err == nil {
			err = j.Flush(context.Background())
		}
		fmt.Println(i)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// opening measures opening and the first commit of a full ring whose writer
// was killed in the midst of its commits.
func opening(ctx context.Context, b *bench) (rows []row, err error) {
	path, err := b.ring(ctx)
	if err != nil {
		return nil, err
	}
	for _, cold := range []bool{false, true} {
		var took []time.Duration
		for range pick(b, 10, 5) {
			d, err := b.openKilled(ctx, path, cold)
			if err != nil {
				return rows, err
			}
			took = append(took, d)
		}
		m := median(took)
		what, g := "warm", atMost(20)
		if cold {
			what, g = "cold", atMost(50)
		}
		rows = append(rows, row{
			what: fmt.Sprintf("open and first commit after kill -9, a full journal of %s, %s", mib(float64(b.ringBytes())), what),
			ours: fmt.Sprintf("%s (slowest of %d: %s)", millis(m), len(took), millis(took[len(took)-1])),
		}.aim(m.Seconds()*1000, g, "%.0f ms"))
	}
	return rows, nil
}

func (b *bench) openKilled(ctx context.Context, path string, cold bool) (took time.Duration, err error) {
	if err := killWriter(ctx, path); err != nil {
		return 0, err
	}
	if cold {
		if err := forget(path); err != nil {
			return 0, err
		}
	} else if _, err := os.ReadFile(path); err != nil {
		return 0, err
	}
	begin := time.Now()
	j, err := journal.Open(path, journal.Options{MaxSize: b.ringBytes()})
	if err != nil {
		return 0, err
	}
	err = j.Append(ctx, event.NewRaw([]byte("650 BW 1 1\r\n")))
	if err == nil {
		err = j.Flush(ctx)
	}
	took = time.Since(begin)
	if cerr := j.Close(); err == nil {
		err = cerr
	}
	return took, err
}

// killWriter starts a process that appends to a journal, and kills it after
// some commits.
func killWriter(ctx context.Context, path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, crashWriterArg, path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	commits := 0
	for sc := bufio.NewScanner(out); commits < 50 && sc.Scan(); {
		commits++
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	if commits < 50 {
		return fmt.Errorf("the writer that was to be killed ended after %d commits", commits)
	}
	return nil
}
