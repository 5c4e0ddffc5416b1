package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"torjournal/journal"
)

// heap lets a thousand subscribers ask a daemon with a full ring for its whole
// history, each from another place, and read nothing, while events come as
// fast as they are taken. The heap is what the collector tells of itself.
func heap(ctx context.Context, b *bench) (rows []row, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	ring, err := b.ring(ctx)
	if err != nil {
		return nil, err
	}
	file, err := journal.OpenFile(ring, nil)
	if err != nil {
		return nil, err
	}
	held, err := file.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	// The ring moves: the recorder's file has a name of its own.
	path := filepath.Join(dir, torjournal)
	if err := os.Rename(ring, path); err != nil {
		return nil, err
	}
	defer func() { _ = os.Rename(path, ring) }()
	// A Unix socket: the system's buffer of a TCP one takes megabytes until
	// its peer is seen to be stalled.
	r, err := b.record(ctx, torjournal, dir, "unix:"+b.socket("ctl"), "--max-size", fmt.Sprintf("%dMiB", b.ringBytes()>>20))
	if err != nil {
		return nil, err
	}
	most, err := b.stall(r, held)
	if serr := r.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return nil, err
	}
	peak, err := peakHeap(r.log)
	what := fmt.Sprintf("heap of the daemon, journal of %s, %s stalled replays, flooded", mib(float64(b.ringBytes())), count(subscribers))
	return []row{row{what: what, ours: fmt.Sprintf("%d MiB; anonymous memory %s", peak, mib(float64(most)))}.aim(float64(peak), atMost(64), "%.0f MiB")}, err
}

// stall opens the connections and floods; it returns the most anonymous memory
// that the recorder had.
func (b *bench) stall(r *recorder, held journal.Bounds) (most int64, err error) {
	watch := watchMemory(r.cmd.Process.Pid)
	defer func() { most = watch() }()
	for i := range subscribers {
		s, err := subscribe(r.serves)
		if err != nil {
			return 0, err
		}
		defer s.close()
		from := held.First + (held.Last-held.First)*uint64(i)/subscribers
		if err := s.say(fmt.Sprintf("REPLAY FROM=%d\r\n", from), "250 OK\r\n"); err != nil {
			return 0, err
		}
	}
	f, err := follow(r.serves, nil)
	if err != nil {
		return 0, err
	}
	defer f.close()
	wire, _ := b.client.stream()
	total := int64(0)
	for begin := time.Now(); time.Since(begin) < pick(b, 15*time.Second, 5*time.Second); {
		if err := r.tor.send(wire); err != nil {
			return 0, err
		}
		total += int64(len(wire))
	}
	return 0, f.wait(total)
}

var collected = regexp.MustCompile(`(?m)^gc \d+ .* \d+->(\d+)->\d+ MB`)

// peakHeap finds the largest heap at the end of a collection, garbage
// included, in what GODEBUG=gctrace=1 has told, in MiB.
func peakHeap(log string) (most int, err error) {
	data, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	for _, m := range collected.FindAllSubmatch(data, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			return 0, err
		}
		most = max(most, n)
	}
	if most == 0 {
		return 0, fmt.Errorf("the recorder did not tell of its collections")
	}
	return most, nil
}
