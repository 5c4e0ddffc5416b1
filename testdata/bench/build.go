package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/journal"
	"torjournal/tor/event"
)

// builder fills a journal through its own door, at times of its own.
type builder struct {
	*journal.Journal
	now atomic.Int64 // ns since 1970
}

// build opens a journal whose clock stands at start.
func build(path string, start time.Time, opt journal.Options) (w *builder, err error) {
	w = &builder{}
	w.now.Store(start.UnixNano())
	opt.Now = func() time.Time { return time.Unix(0, w.now.Load()).UTC() }
	w.Journal, err = journal.Open(path, opt)
	return w, err
}

// add appends one event that arrives at a time.
func (w *builder) add(ctx context.Context, at time.Time, wire []byte) error {
	w.now.Store(at.UnixNano())
	return w.Append(ctx, event.NewRaw(wire))
}

// fill appends events [from, to) of a timeline. What has come is committed
// at least every each events.
func (w *builder) fill(ctx context.Context, l timeline, from, to, each int) error {
	for i := from; i < to; i++ {
		at, wire := l.event(i)
		if err := w.add(ctx, at, wire); err != nil {
			return err
		}
		if (i+1)%each == 0 {
			if err := w.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return w.Flush(ctx)
}

// settle returns when the journal has stopped to work on what it holds: what
// was left plain under load is encoded again while nothing comes.
func (w *builder) settle() {
	const quiet = 700 * time.Millisecond
	commits, since := w.Stats().Commits, time.Now()
	for begin := time.Now(); time.Since(since) < quiet && time.Since(begin) < 2*patience; time.Sleep(20 * time.Millisecond) {
		if n := w.Stats().Commits; n != commits {
			commits, since = n, time.Now()
		}
	}
}

// groupEvents is how many events a commit takes where it does not matter.
const groupEvents = 2048

// ringBytes is the size of the full ring that several measurements use.
func (b *bench) ringBytes() int64 { return pick[int64](b, 1<<30, 128<<20) }

// ring returns a journal that is full and has gone round: it has been filled
// to its limit and a tenth beyond it. The batches are of mixed sizes, as an
// aged file's are.
func (b *bench) ring(ctx context.Context) (path string, err error) {
	if b.ringPath != "" {
		return b.ringPath, nil
	}
	begin := time.Now()
	limit := b.ringBytes()
	path = filepath.Join(b.dir, "ring", "journal.db")
	l := timeline{corpus: b.client, start: time.Now().Add(-60 * 24 * time.Hour)}
	w, err := build(path, l.start, journal.Options{MaxSize: limit})
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := w.Close(); err == nil {
			err = cerr
		}
	}()
	next, step, past := 0, 50_000, -1
	for past < 0 || next < past {
		if err := w.fill(ctx, l, next, next+step, 256+(next/step*977)%3000); err != nil {
			return "", err
		}
		next += step
		st := w.Stats()
		if past < 0 && st.First > 1 {
			past = next + next/10
		}
		if time.Since(begin) > 5*time.Minute {
			return "", fmt.Errorf("a ring of %d bytes is not full after %v: %d bytes", limit, time.Since(begin), st.Size)
		}
	}
	b.say("  a full ring of %s: %s events, took %.0f s", mib(float64(limit)), count(float64(next)), time.Since(begin).Seconds())
	b.ringPath = path
	return path, nil
}

// keptBytes is how much of a journal's file is in use.
func keptBytes(path string) (used float64, err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: patience, PreLoadFreelist: true})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	size := int64(db.Info().PageSize)
	err = db.View(func(tx *bolt.Tx) error {
		for id := range int(tx.Size() / size) {
			p, err := tx.Page(id)
			if err != nil {
				return err
			}
			if p != nil && p.Type != "free" {
				used += float64(size)
			}
		}
		return nil
	})
	return used, err
}
