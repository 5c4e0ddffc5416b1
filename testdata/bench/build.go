package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/journal"
)

// builder fills a journal through its door for events of the past.
type builder struct{ *journal.Journal }

// build opens a journal. Nothing is too old for it.
func build(path string, maxSize int64) (builder, error) {
	j, err := journal.Open(path, journal.Options{MaxSize: maxSize})
	return builder{j}, err
}

// fill writes events [from, to) of a timeline, `each` of them a commit.
func (w builder) fill(ctx context.Context, l timeline, from, to, each int) error {
	var group []journal.Arrival
	for i := from; i < to; i++ {
		at, wire := l.event(i)
		group = append(group, journal.Arrival{Time: at, Wire: wire})
		if len(group) == each || i+1 == to {
			if err := w.Import(ctx, group); err != nil {
				return err
			}
			group = group[:0]
		}
	}
	return nil
}

// settle returns when the journal has stopped to work on what it holds: what
// was left plain under load is encoded again while nothing comes.
func (w builder) settle() {
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
// to its limit and a tenth beyond it, by batches of mixed sizes, as an aged
// file's are. Between the client's events stand onion descriptors that nobody
// can compress: without them it would take sixty million events.
func (b *bench) ring(ctx context.Context) (path string, err error) {
	if b.ringPath != "" {
		return b.ringPath, nil
	}
	begin := time.Now()
	limit := b.ringBytes()
	path = filepath.Join(b.dir, "ring", "journal.db")
	l := timeline{corpus: b.client, start: time.Now().Add(-10 * 24 * time.Hour)}
	w, err := build(path, limit)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := w.Close(); err == nil {
			err = cerr
		}
	}()
	body := descriptors()
	next, past := 0, -1
	for past < 0 || next < past {
		group := 64 + next*7%1900
		if err := w.fill(ctx, l, next, next+group, group); err != nil {
			return "", err
		}
		at, _ := l.event(next + group)
		for range group / 64 {
			if err := w.Import(ctx, []journal.Arrival{{Time: at, Wire: body()}}); err != nil {
				return "", err
			}
		}
		next += group
		if past < 0 && next/100_000 != (next-group)/100_000 && w.Stats().First > 1 {
			past = next + next/10
		}
		if time.Since(begin) > 5*time.Minute {
			return "", fmt.Errorf("a ring of %s is not full after %v: %s", mib(float64(limit)), time.Since(begin), mib(float64(w.Stats().Size)))
		}
	}
	w.settle()
	b.say("  a full ring of %s: %s events, took %.0f s", mib(float64(limit)), count(float64(next+next/64)), time.Since(begin).Seconds())
	b.ringPath = path
	return path, nil
}

// descriptors returns a source of HS_DESC_CONTENT events of 14 kB.
func descriptors() func() []byte {
	rnd := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 10<<10)
	return func() []byte {
		_, _ = rnd.Read(data)
		wire := []byte("650+HS_DESC_CONTENT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad nz3kmmoyjqhyo0qrwcqv3yxfpt7z6wbp $3487DA83E386267730C95033CF1B1B4CE1FEF7A0~exit\r\nhs-descriptor 3\r\n")
		for part := range slices.Chunk(data, 48) {
			wire = append(base64.StdEncoding.AppendEncode(wire, part), "\r\n"...)
		}
		return append(wire, ".\r\n650 OK\r\n"...)
	}
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
