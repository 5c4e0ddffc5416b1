package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// latency sends events at a pace, and measures from the write into tor's
// socket to the read at the subscriber's. In turns with it, bare bbolt commits
// of the same events are made at the same pace on the same disk: a commit
// after a pause takes several times as long as one in a row. A recorder that
// keeps nothing takes a turn too: what the way from socket to socket costs is
// in our figure and not in a bare commit's.
func latency(ctx context.Context, b *bench) (rows []row, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	r, err := b.record(ctx, torjournal, dir, "unix:"+b.socket("ctl"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if serr := r.stop(); err == nil {
			err = serr
		}
	}()
	bare, err := openBare(filepath.Join(dir, "bare"))
	if err != nil {
		return nil, err
	}
	defer bare.close()
	trip, err := newRoundTrip(r, b.client)
	if err != nil {
		return nil, err
	}
	defer trip.close()
	idle, err := b.record(ctx, nothing, dir, "unix:"+b.socket("idle"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if serr := idle.stop(); err == nil {
			err = serr
		}
	}()
	way, err := newRoundTrip(idle, b.client)
	if err != nil {
		return nil, err
	}
	defer way.close()

	for _, p := range []struct {
		perSecond, rounds int
		each              time.Duration
	}{
		{10, pick(b, 4, 1), pick(b, 8*time.Second, 5*time.Second)},
		{1000, pick(b, 4, 2), pick(b, 3*time.Second, 2*time.Second)},
	} {
		trip.took, way.took, bare.took = nil, nil, nil
		for range p.rounds {
			if err := trip.run(p.perSecond, p.each); err != nil {
				return rows, err
			}
			if err := way.run(p.perSecond, p.each); err != nil {
				return rows, err
			}
			if err := paced(p.perSecond, p.each, bare.commit(b.client)); err != nil {
				return rows, err
			}
		}
		rows = append(rows, latencyRows(p.perSecond, trip.took, way.took, bare.took)...)
	}
	return rows, nil
}

func latencyRows(perSecond int, ours, way, theirs []time.Duration) []row {
	slices.Sort(way)
	slices.Sort(ours)
	slices.Sort(theirs)
	line := func(p int, g goal) row {
		o, t := percentile(ours, p), percentile(theirs, p)
		return row{
			what: fmt.Sprintf("source → subscriber, %s events/s, p%d", count(float64(perSecond)), p),
			ours: micros(o), peer: "bare bbolt commit " + micros(t),
		}.against(float64(o), float64(t), g)
	}
	return []row{line(50, atMost(1.4)), line(99, atMost(3)), {
		what: fmt.Sprintf("a recorder that keeps nothing, %s events/s, p50", count(float64(perSecond))),
		ours: micros(percentile(way, 50)),
	}}
}

// roundTrip measures how long events take from tor's socket to a subscriber's.
type roundTrip struct {
	r    *recorder
	c    *corpus
	f    *follower
	sent int64 // bytes

	mu   sync.Mutex
	open []departure // guarded by mu; on their way, in order
	took []time.Duration
}

type departure struct {
	at  time.Time
	end int64 // bytes that the subscriber has got with it
}

func newRoundTrip(r *recorder, c *corpus) (t *roundTrip, err error) {
	t = &roundTrip{r: r, c: c}
	t.f, err = follow(r.serves, t.came)
	return t, err
}

func (t *roundTrip) came(got int64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.open) > 0 && t.open[0].end <= got {
		t.took = append(t.took, at.Sub(t.open[0].at))
		t.open = t.open[1:]
	}
}

// run sends at a pace, and returns when everything has come.
func (t *roundTrip) run(perSecond int, during time.Duration) error {
	if err := paced(perSecond, during, t.send); err != nil {
		return err
	}
	return t.f.wait(t.sent)
}

func (t *roundTrip) send(i int) error {
	wire := t.c.events[i%len(t.c.events)].wire
	t.sent += int64(len(wire))
	t.mu.Lock()
	t.open = append(t.open, departure{time.Now(), t.sent})
	t.mu.Unlock()
	return t.r.tor.send(wire)
}

func (t *roundTrip) close() { t.f.close() }

// bare is a bbolt file that takes one put a commit.
type bare struct {
	db   *bolt.DB
	took []time.Duration
	next uint64
}

func openBare(path string) (*bare, error) {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return nil, err
	}
	return &bare{db: db}, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("event"))
		return err
	})
}

func (b *bare) commit(c *corpus) func(int) error {
	return func(i int) error {
		begin := time.Now()
		err := b.db.Update(func(tx *bolt.Tx) error {
			b.next++
			return tx.Bucket([]byte("event")).Put(binary.BigEndian.AppendUint64(nil, b.next), c.events[i%len(c.events)].wire)
		})
		b.took = append(b.took, time.Since(begin))
		return err
	}
}

func (b *bare) close() { _ = b.db.Close() }
