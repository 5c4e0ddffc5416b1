package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"torjournal/journal"
)

// replaySince asks a journal of 30 days for its last hour, again and again,
// each time a new process, and reads what it prints to the last byte. The
// journal's last commits hold one event each, as those of a tor that is left
// alone do: the tail is as long as it can be.
func replaySince(ctx context.Context, b *bench) ([]row, error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	path := filepath.Join(dir, "journal.db")
	const month = 30 * 24 * time.Hour
	events, span := pick(b, 10_000_000, 1_000_000), pick(b, month, month/10)
	begin := time.Now()
	if err := b.fillUntilNow(ctx, path, events, span); err != nil {
		return nil, err
	}
	b.say("  %s events in %s, took %.0f s", count(float64(events)), path, time.Since(begin).Seconds())
	var took, cpu []time.Duration
	lines := 0
	for range pick(b, 15, 7) {
		cmd := exec.CommandContext(ctx, b.program, "replay", "--since", "1h", "--journal", path)
		begin := time.Now()
		d, n, err := lastByte(cmd, begin)
		if err != nil {
			return nil, err
		}
		took, lines = append(took, d), n
		cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	if lines == 0 {
		return nil, fmt.Errorf("replay --since 1h printed nothing")
	}
	m := median(took)
	return []row{row{
		what: fmt.Sprintf("`replay --since 1h` from %s events over %.0f days", count(float64(events)), span.Hours()/24),
		ours: fmt.Sprintf("%s for %s lines (slowest of %d: %s; CPU time %s)",
			millis(m), count(float64(lines)), len(took), millis(took[len(took)-1]), millis(median(cpu))),
	}.aim(m.Seconds()*1000, atMost(25), "%.0f ms")}, nil
}

// fillUntilNow makes a journal of events spread evenly over a span that ends
// now.
func (b *bench) fillUntilNow(ctx context.Context, path string, events int, span time.Duration) error {
	last, _ := timeline{corpus: b.client}.event(events - 1)
	natural := last.Sub(time.Time{})
	l := timeline{corpus: b.client, start: time.Now().Add(-span), stretch: float64(span) / float64(natural)}
	w, err := build(path, journal.DefaultMaxSize)
	if err != nil {
		return err
	}
	alone := min(events, 10_000)
	err = w.fill(ctx, l, 0, events-alone, groupEvents)
	w.settle()
	if err == nil {
		err = w.fill(ctx, l, events-alone, events, 1)
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}

// lastByte runs a command and returns when its output had ended, and the
// lines of it.
func lastByte(cmd *exec.Cmd, begin time.Time) (took time.Duration, lines int, err error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	took = time.Since(begin)
	if err := cmd.Wait(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, said.String())
	}
	return took, lines, nil
}
