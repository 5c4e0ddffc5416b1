package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// questions asks a journal of 30 days what people ask, each time a new process,
// and exports it. Circuits and streams are numbered on, as one tor does. Then a
// recorder takes the journal over, and events are sent through it alone, beside
// a question that reads everything, and beside an export.
func questions(ctx context.Context, b *bench) (rows []row, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	const month = 30 * 24 * time.Hour
	events, span := pick(b, 10_000_000, 1_000_000), pick(b, month, month/10)
	path := b.asked
	if path == "" {
		path = filepath.Join(dir, torjournal)
		begin := time.Now()
		if err := b.fillMonth(ctx, path, events, span); err != nil {
			return nil, err
		}
		b.say("  %s events in %s, took %.0f s", count(float64(events)), path, time.Since(begin).Seconds())
	}
	newest := strconv.Itoa(events / len(b.client.events) * b.client.circuits) // the last of the last whole pass
	since := []string{"--since", "30d"}
	for _, q := range []struct {
		args   []string
		rounds int
		aim    float64 // s
	}{
		{append([]string{"query", "bandwidth"}, since...), pick(b, 7, 3), 0.3},
		{append([]string{"query", "failures", "--by", "link"}, since...), pick(b, 5, 3), 3},
		{[]string{"query", "circuit", "42"}, pick(b, 7, 3), 0.1},
		{[]string{"query", "circuit", newest}, pick(b, 7, 3), 0.1},
		{[]string{"query", "circuit", "999999999"}, pick(b, 7, 3), 0.1},
		{append([]string{"replay", "--circuit", "42"}, since...), pick(b, 7, 3), 0},
	} {
		r, err := b.ask(ctx, path, q.rounds, q.aim, events, q.args...)
		rows = append(rows, r)
		if err != nil {
			return rows, err
		}
	}
	for _, format := range []string{"jsonl", "parquet"} {
		got, err := b.exports(ctx, path, events, format, filepath.Join(dir, "out"))
		rows = append(rows, got...)
		if err != nil {
			return rows, err
		}
	}
	beside, err := b.beside(ctx, dir, path)
	return append(rows, beside...), err
}

// fillMonth makes a journal of one session over a span that ends now.
func (b *bench) fillMonth(ctx context.Context, path string, events int, span time.Duration) error {
	last, _ := timeline{corpus: b.client}.event(events - 1)
	begun := time.Now().Add(-span)
	l := timeline{corpus: b.client, start: begun, stretch: float64(span) / float64(last.Sub(time.Time{})), number: true}
	w, err := build(path, journal.DefaultMaxSize)
	if err != nil {
		return err
	}
	if _, err = w.BeginImport(ctx, event.Source{Name: "tor", Version: "0.4.9.11"}, begun); err == nil {
		err = w.fill(ctx, l, 0, events, groupEvents)
	}
	if err == nil {
		err = w.Pack(ctx)
	}
	return errors.Join(err, w.Close())
}

// run is what a process took.
type run struct {
	took, cpu time.Duration
	most      int64 // bytes in memory
	lines     int
}

// runs starts torjournal and reads what it prints to the last byte.
func (b *bench) runs(ctx context.Context, args ...string) (r run, err error) {
	cmd := exec.CommandContext(ctx, b.program, args...)
	forgetPeak()
	begin := time.Now()
	if r.took, r.lines, err = lastByte(cmd, begin); err != nil {
		return r, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.most = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return r, nil
}

// forgetPeak makes the most memory that this process had what it has now: a child
// that begins counts that as its own.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// ask asks one question several times.
func (b *bench) ask(ctx context.Context, path string, rounds int, aim float64, events int, args ...string) (row, error) {
	var all []run
	for range rounds {
		r, err := b.runs(ctx, append(slices.Clone(args), "--journal", path)...)
		if err != nil {
			return row{what: strings.Join(args, " "), ours: "failed"}, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y run) int { return int(x.took - y.took) })
	m := all[len(all)/2]
	out := row{
		what: fmt.Sprintf("`%s` of %s events", strings.Join(args, " "), count(float64(events))),
		ours: fmt.Sprintf("%s (slowest of %d: %s; CPU time %s, %s, %s lines)", millis(m.took), rounds, millis(all[len(all)-1].took), millis(m.cpu), mib(float64(m.most)), count(float64(m.lines))),
	}
	if aim > 0 && !b.quick {
		out = out.aim(m.took.Seconds(), atMost(aim), "%.1f s")
	}
	return out, nil
}

// exports writes everything to a file.
func (b *bench) exports(ctx context.Context, path string, events int, format, out string) ([]row, error) {
	r, err := b.runs(ctx, "export", "--since", "31d", "--format", format, "--to", out, "--replace", "--journal", path)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(out)
	if err != nil {
		return nil, err
	}
	perSecond := float64(events) / r.took.Seconds()
	return []row{row{
		what: fmt.Sprintf("`export --format %s` of %s events", format, count(float64(events))),
		ours: fmt.Sprintf("%s events/s (%.1f s, CPU time %.1f s, %s in memory, a file of %s)", count(perSecond), r.took.Seconds(), r.cpu.Seconds(), mib(float64(r.most)), mib(float64(file.Size()))),
	}.aim(perSecond, atLeast(5e5), "%.0f/s")}, nil
}
