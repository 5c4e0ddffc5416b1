package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"torjournal/journal"
)

// commitBytes measures what one commit of one BW event writes, in a young
// journal, in a full ring, and after a burst that came faster than it could be
// packed; sealing and eviction are in the mean.
func commitBytes(ctx context.Context, b *bench) (rows []row, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	aged, err := b.ring(ctx)
	if err != nil {
		return nil, err
	}
	seconds, burst := pick(b, 7200, 1800), pick(b, 2_000_000, 200_000)
	for _, f := range []struct {
		what, path string
		limit      int64
		burst      int
	}{
		{"a young journal", filepath.Join(dir, "journal.db"), journal.DefaultMaxSize, 0},
		{fmt.Sprintf("after a burst of %s events", count(float64(burst))), filepath.Join(dir, "burst.db"), journal.DefaultMaxSize, burst},
		{"an aged, full ring", aged, b.ringBytes(), 0},
	} {
		w, err := build(f.path, f.limit)
		if err != nil {
			return rows, err
		}
		if f.burst > 0 {
			l := timeline{corpus: b.client, start: time.Now().Add(-24 * time.Hour)}
			if err := w.fill(ctx, l, 0, f.burst, groupEvents); err != nil {
				return rows, errors.Join(err, w.Close())
			}
			w.settle()
		}
		first, last, disk, err := idleSeconds(ctx, w, f.path, seconds)
		if cerr := w.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return rows, err
		}
		// Half of the time each: a tail that grows would show.
		out := row{
			what: "bytes written for a commit a second (BW alone), " + f.what,
			ours: fmt.Sprintf("%s; first half %s, second %s; %s", kib((first+last)/2), kib(first), kib(last), diskText(disk, "at the disk %s")),
		}
		if f.burst == 0 { // what a burst leaves is parked once, in the first half
			out = out.aim((first+last)/2/1024, atMost(20), "%.0f KiB")
		}
		rows = append(rows, out)
	}
	return rows, nil
}

func diskText(v float64, format string) string {
	if v < 0 {
		return "the disk's own count is not to be had here"
	}
	return fmt.Sprintf(format, kib(v))
}

// idleSeconds commits one BW event for each of so many seconds, and returns the mean bytes of a commit in each half.
func idleSeconds(ctx context.Context, w builder, path string, seconds int) (first, last, disk float64, err error) {
	var halves [2]float64
	start := time.Now()
	for h := range halves {
		m, err := startWriting(filepath.Dir(path))
		if err != nil {
			return 0, 0, 0, err
		}
		for i := range seconds / 2 {
			s := h*(seconds/2) + i
			ev := journal.Arrival{Time: start.Add(time.Duration(s) * time.Second), Wire: idleBW(s)}
			if err := w.Import(ctx, []journal.Arrival{ev}); err != nil {
				return 0, 0, 0, err
			}
		}
		own, onDisk, err := m.end()
		if err != nil {
			return 0, 0, 0, err
		}
		halves[h], disk = own/float64(seconds/2), onDisk/float64(seconds/2)
	}
	return halves[0], halves[1], disk, nil
}

// idleBW is what a tor says of a second in which little happens: nothing
// mostly, a keep-alive now and then.
func idleBW(second int) []byte {
	if second%11 != 0 {
		return []byte("650 BW 0 0\r\n")
	}
	return fmt.Appendf(nil, "650 BW %d %d\r\n", 514*(1+second%3), 514*(1+second%7))
}

// writtenBytes measures bytes written for each byte kept: of an idle tor for
// some hours, and of the client corpus at its own pace. With a commit delay
// the events of each delay share a commit.
func writtenBytes(ctx context.Context, b *bench) (rows []row, err error) {
	hours := pick(b, 6, 1)
	idle := func(i int) (time.Time, []byte) { return time.Unix(1e9+int64(i), 0), idleBW(i) }
	client := timeline{corpus: b.client, start: time.Unix(1e9, 0)}
	passes := max(1, pick(b, 20_000, 5_000)/len(b.client.events))
	for _, load := range []struct {
		what   string
		event  func(int) (time.Time, []byte)
		events int
	}{
		{fmt.Sprintf("an idle tor, %d hours", hours), idle, hours * 3600},
		{"the client corpus at its own pace", client.event, min(passes*len(b.client.events), pick(b, 1<<30, 8000))},
	} {
		for _, delay := range []time.Duration{0, 100 * time.Millisecond, 10 * time.Second} {
			w, err := b.writtenFor(ctx, load.event, load.events, delay)
			if err != nil {
				return rows, err
			}
			what := "no commit delay"
			if delay > 0 {
				what = fmt.Sprintf("`--commit-delay %v`", delay)
			}
			rows = append(rows, row{
				what: fmt.Sprintf("bytes written for each byte kept, %s, %s", load.what, what),
				ours: fmt.Sprintf("%.1f (%s in %s commits, %s kept; %.0f B written an event)", w.own/w.kept, mib(w.own), count(w.commits), kib(w.kept), w.own/float64(load.events)),
			})
		}
	}
	return rows, nil
}

type written struct{ own, kept, commits float64 }

func (b *bench) writtenFor(ctx context.Context, event func(int) (time.Time, []byte), events int, delay time.Duration) (w written, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return w, err
	}
	defer remove()
	path := filepath.Join(dir, "journal.db")
	j, err := build(path, journal.DefaultMaxSize)
	if err != nil {
		return w, err
	}
	m, err := startWriting(dir)
	if err == nil {
		w.commits, err = j.grouped(ctx, event, events, delay)
	}
	if cerr := j.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return w, err
	}
	if w.own, _, err = m.end(); err == nil {
		w.kept, err = keptBytes(path)
	}
	return w, err
}

// usualCommit is how long a commit takes on a machine that is not busy: what
// arrives meanwhile shares the next.
const usualCommit = 700 * time.Microsecond

// grouped appends events and commits them as the writer would at their pace:
// it waits for the delay after the first that has come, and takes all that
// have come by then.
func (w builder) grouped(ctx context.Context, event func(int) (time.Time, []byte), events int, delay time.Duration) (commits float64, err error) {
	var free time.Time // when the writer has finished its commit
	for i := 0; i < events; commits++ {
		var group []journal.Arrival
		first, _ := event(i)
		closes := first.Add(delay)
		if free.After(closes) {
			closes = free
		}
		for ; i < events; i++ {
			at, wire := event(i)
			if at.After(closes) {
				break
			}
			group = append(group, journal.Arrival{Time: at, Wire: wire})
		}
		if err := w.Import(ctx, group); err != nil {
			return commits, err
		}
		free = closes.Add(usualCommit)
	}
	return commits, nil
}
