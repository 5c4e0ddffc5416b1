package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pass is what one recorder did in one round of ingest.
type pass struct {
	single float64 // events/s when each has a commit of its own
	bulk   float64 // events/s as fast as they are taken
	cpu    float64 // of the recorder, ns an event
	stored float64 // bytes of its files, an event
}

// ingest sends events as fast as the recorder takes them; its clock runs from
// the first byte sent until the one subscriber has got the last, which is
// after its commit. Before that it sends events one by one, each when the one
// before has come.
func ingest(ctx context.Context, b *bench) (rows []row, err error) {
	events, singles := pick(b, 2_000_000, 500_000), pick(b, 1500, 500)
	kinds := []string{torjournal, textLog, sqliteDB}
	passes := map[string][]pass{}
	for range pick(b, 3, 1) {
		for _, kind := range kinds {
			p, err := b.ingestOnce(ctx, kind, events, singles)
			if err != nil {
				return rows, fmt.Errorf("%s: %w", kind, err)
			}
			b.say("  %-10s %s events/s, %s/s one by one, %.0f ns CPU and %.1f B an event", kind, count(p.bulk), count(p.single), p.cpu, p.stored)
			passes[kind] = append(passes[kind], p)
		}
	}
	mid := func(kind string, of func(pass) float64) float64 {
		var vs []float64
		for _, p := range passes[kind] {
			vs = append(vs, of(p))
		}
		return median(vs)
	}
	bulk := func(p pass) float64 { return p.bulk }
	single := func(p pass) float64 { return p.single }
	stored := func(p pass) float64 { return p.stored }
	rate := func(kind string) string {
		return fmt.Sprintf("%s events/s (%.0f ns CPU each)", count(mid(kind, bulk)), mid(kind, func(p pass) float64 { return p.cpu }))
	}
	const what = "durable ingest, one subscriber"
	ours := mid(torjournal, bulk)
	rows = append(rows,
		row{what: what, ours: rate(torjournal)}.aim(ours, atLeast(800_000), "%.0f/s"),
		row{what: what, ours: rate(torjournal), peer: "text log, fdatasync: " + rate(textLog)}.against(ours, mid(textLog, bulk), atLeast(0.4)),
		row{what: what, ours: rate(torjournal), peer: "SQLite, WAL, FULL: " + rate(sqliteDB)}.against(ours, mid(sqliteDB, bulk), atLeast(2)),
		row{what: "the same, bytes of the files an event", ours: fmt.Sprintf("%.1f", mid(torjournal, stored)),
			peer: fmt.Sprintf("SQLite %.1f", mid(sqliteDB, stored))}.against(mid(torjournal, stored), mid(sqliteDB, stored), atMost(0.1)),
		row{what: "durable ingest, one event a commit", ours: count(mid(torjournal, single)) + "/s",
			peer: "SQLite " + count(mid(sqliteDB, single)) + "/s"}.against(mid(torjournal, single), mid(sqliteDB, single), atLeast(0.7)),
		row{what: "durable ingest, one event a commit", ours: count(mid(torjournal, single)) + "/s", peer: "text log " + count(mid(textLog, single)) + "/s"},
	)
	slow, err := b.ingestStem(ctx, pick(b, 60_000, 20_000))
	if err != nil {
		return rows, err
	}
	return append(rows, row{what: what, ours: rate(torjournal), peer: "python, stem, unsynced text: " + count(slow) + " events/s"}.
		against(ours, slow, atLeast(40))), nil
}

func (b *bench) ingestOnce(ctx context.Context, kind string, events, singles int) (p pass, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return p, err
	}
	defer remove()
	r, err := b.record(ctx, kind, dir, "unix:"+b.socket("ctl"))
	if err != nil {
		return p, err
	}
	sent, err := p.stream(b, r, events, singles)
	if serr := r.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return p, err
	}
	size, err := fileBytes(r.file)
	p.cpu, p.stored = float64(r.cpu().Nanoseconds())/float64(sent), float64(size)/float64(sent)
	return p, err
}

func (p *pass) stream(b *bench, r *recorder, events, singles int) (sent int, err error) {
	f, err := follow(r.serves, nil)
	if err != nil {
		return 0, err
	}
	defer f.close()
	total := int64(0)
	begin := time.Now()
	for i := range singles {
		wire := b.client.events[i%len(b.client.events)].wire
		total += int64(len(wire))
		if err := r.tor.send(wire); err != nil {
			return 0, err
		}
		if err := f.wait(total); err != nil {
			return 0, err
		}
	}
	p.single = float64(singles) / time.Since(begin).Seconds()

	wire, ends := b.client.stream()
	begin = time.Now()
	for left := events; left > 0; {
		n := min(left, len(ends))
		if err := r.tor.send(wire[:ends[n-1]]); err != nil {
			return 0, err
		}
		total, left = total+int64(ends[n-1]), left-n
	}
	err = f.wait(total)
	p.bulk = float64(events) / time.Since(begin).Seconds()
	return events + singles, err
}

//go:embed stemlogger.py
var stemLogger string

// ingestStem measures a logger as users write them: python, stem's event
// listener, a line an event.
func (b *bench) ingestStem(ctx context.Context, events int) (perSecond float64, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return 0, err
	}
	defer remove()
	path := b.socket("tor")
	tor, err := startTor(path)
	if err != nil {
		return 0, err
	}
	defer tor.stop()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", stemLogger, path, filepath.Join(dir, "log"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	late := time.AfterFunc(3*patience, func() { _ = cmd.Process.Signal(os.Kill) })
	defer late.Stop()
	if err := tor.wait(); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, fmt.Errorf("python with stem (Debian: python3-stem): %w: %s", err, said.String())
	}
	wire, ends := b.client.stream()
	begin := time.Now()
	for left := events; left > 0; left -= len(ends) {
		if err := tor.send(wire[:ends[min(left, len(ends))-1]]); err != nil {
			break // Wait says why
		}
	}
	_ = tor.send([]byte("650 NOTICE end\r\n"))
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("python with stem: %w: %s", err, said.String())
	}
	return float64(events) / time.Since(begin).Seconds(), nil
}
