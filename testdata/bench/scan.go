package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"torjournal/journal"
	"torjournal/tor/event"
)

// encode runs the journal's own benchmark of sealing a block: what it measures
// is not to be had from outside.
func encode(ctx context.Context, b *bench) ([]row, error) {
	file := filepath.Join(b.corpus, "client.jsonl")
	if n, _ := filepath.Glob(file + "*"); len(n) > 0 {
		file = n[0]
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkSeal$", "-benchtime", pick(b, "3s", "1s"), "./journal", "-corpus", file)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	ns, err := metric(out, "ns/event")
	if err != nil {
		return nil, err
	}
	size, err := metric(out, "B/event")
	return []row{row{what: "making a sealed block, one core", ours: fmt.Sprintf("%.2f µs, %.1f B an event", ns/1000, size)}.
		aim(ns/1000, atMost(1.2), "%.1f µs")}, err
}

// metric finds a figure in the output of a benchmark.
func metric(out []byte, unit string) (float64, error) {
	m := regexp.MustCompile(`([0-9.]+) ` + regexp.QuoteMeta(unit)).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no %s in %s", unit, out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// scan reads a journal of the client corpus. Its clock is this process's CPU
// time, so that the collector's share on the other core counts.
func scan(ctx context.Context, b *bench) ([]row, error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	path := filepath.Join(dir, "journal.db")
	events := pick(b, 2_000_000, 500_000)
	l := timeline{corpus: b.client, start: time.Now().Add(-30 * 24 * time.Hour)}
	w, err := build(path, journal.DefaultMaxSize)
	if err != nil {
		return nil, err
	}
	err = w.fill(ctx, l, 0, events, groupEvents)
	w.settle()
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	all, _, err := readAll(ctx, path, journal.Range{}, events)
	if err != nil {
		return nil, err
	}
	bw, found, err := readAll(ctx, path, journal.Range{Types: event.NewSet(event.BW)}, events)
	return []row{
		row{what: "full scan, every line rebuilt", ours: count(all) + " records a CPU second"}.aim(all, atLeast(2e6), "%.0f/s"),
		row{what: fmt.Sprintf("BW only (%.1f %% of the records), from mixed blocks", 100*float64(found)/float64(events)), ours: count(bw) + " records passed a CPU second"}.aim(bw, atLeast(1e7), "%.0f/s"),
	}, err
}

// readAll returns how many records it passed in a second of CPU time, and how
// many there were of the range.
func readAll(ctx context.Context, path string, r journal.Range, events int) (perSecond float64, found int, err error) {
	begin, n := cpuTime(), 0
	const rounds = 3
	for range rounds {
		f, err := journal.OpenFile(path, nil)
		if err != nil {
			return 0, 0, err
		}
		n = 0
		for _, err := range journal.Records(ctx, f, r) {
			if err != nil {
				return 0, 0, err
			}
			n++
		}
	}
	if len(r.Types.List()) == 0 && n != events {
		return 0, n, fmt.Errorf("%d of %d records were read", n, events)
	}
	return float64(rounds*events) / (cpuTime() - begin).Seconds(), n, nil
}

// cpuTime is what this process has used of all cores.
func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
