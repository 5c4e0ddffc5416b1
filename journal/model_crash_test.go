package journal

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// tape records the writes of the model's journal, from a moment at which
// everything was synced.
type tape struct {
	mu     sync.Mutex
	on     bool        // guarded by mu
	base   []byte      // guarded by mu; the file at that moment
	writes []tapeWrite // guarded by mu
}

// tapeWrite is a write and what was published before.
type tapeWrite struct {
	write
	published uint64
}

// writeKind says when the file is synced: before and after a meta page, and after
// a turn's writes to the log, which may be several.
type writeKind int

const (
	dataWrite writeKind = iota
	metaWrite
	logWrite
	logGoesOn
)

// synced reports whether the file is synced between two writes.
func synced(before, after writeKind) bool {
	return after == metaWrite || after == logWrite || before == metaWrite || before != dataWrite && after == dataWrite
}

func (p *tape) note(j *Journal, b []byte, off int64, kind writeKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on {
		p.writes = append(p.writes, tapeWrite{write{off: off, data: bytes.Clone(b), kind: kind}, j.win.published()})
	}
}

// kindOf returns the kind of a write of bbolt's.
func kindOf(db *bolt.DB, off int64) writeKind {
	if isMeta(db, off) {
		return metaWrite
	}
	return dataWrite
}

// kindInLog returns the kind of a write to the log: a turn begins with its first
// page.
func kindInLog(w *writer, off int64) writeKind {
	if l := &w.wal; off == l.region.at(l.next) {
		return logWrite
	}
	return logGoesOn
}

// crash lets power fail at one of the writes of what is appended now, and goes
// on with what the disk has then.
func (m *model) crash(t *rapid.T) {
	m.flush(t)
	m.faults.Store(nil)
	err := m.j.inWriter(context.Background(), func(*writer) (err error) {
		m.tape.mu.Lock()
		defer m.tape.mu.Unlock()
		m.tape.on, m.tape.writes = true, nil
		m.tape.base, err = os.ReadFile(m.path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	acked := uint64(len(m.records))
	for range rapid.IntRange(1, 4).Draw(t, "appends") {
		if rapid.Bool().Draw(t, "large") {
			m.appendBig(t)
		} else {
			m.append(t)
		}
	}
	m.flush(t)
	m.tape.mu.Lock()
	m.tape.on = false
	writes, image := m.tape.writes, m.tape.base
	m.tape.mu.Unlock()
	m.close(t)
	if len(writes) > 0 { // all may have been live only
		k := rapid.IntRange(0, len(writes)-1).Draw(t, "write")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "sectors"), 0))
		image = crashImage(image, writes[:k+1], random)
		acked = max(acked, writes[k].published)
	}
	m.goOnWith(t, image, acked)
}

// crashImage is what the disk may have after the last of the writes: all that
// was synced, and any sectors of the rest.
func crashImage(image []byte, writes []tapeWrite, r *rand.Rand) []byte {
	var epoch []write
	for i, w := range writes {
		if i > 0 && synced(writes[i-1].kind, w.kind) {
			image = applyWrites(image, epoch, nil)
			epoch = nil
		}
		epoch = append(epoch, w.write)
	}
	return applyWrites(image, epoch, r)
}

// goOnWith opens image in the journal's place. It must hold the records up to
// acked, and may hold more.
func (m *model) goOnWith(t *rapid.T, image []byte, acked uint64) {
	if err := os.WriteFile(m.path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := Verify(m.path, m.opt.Key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(m.path, m.opt.Key)
	if err != nil {
		t.Fatal(err)
	}
	last, err := f.last()
	if err != nil {
		t.Fatal(err)
	}
	if last < acked || last > uint64(len(m.records)) {
		t.Fatalf("after a crash the file ends with %d; %d were committed, %d appended", last, acked, len(m.records))
	}
	m.records = m.records[:last]
	m.compareSums(t)
	if m.first = last + 1; v.Records != 0 {
		m.first = v.First
	}
	m.open(t)
}

// readFile reads the journal while it is closed.
func (m *model) readFile(t *rapid.T) {
	m.close(t)
	f, err := OpenFile(m.path, m.opt.Key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Bounds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if b.Last == 0 {
		b.First = uint64(len(m.records) + 1)
	}
	r := Range{Types: drawTypes(t), Session: uint64(rapid.IntRange(0, int(m.session)).Draw(t, "session"))}
	r.From = uint64(rapid.IntRange(0, len(m.records)+1).Draw(t, "from"))
	r.To = uint64(rapid.IntRange(0, len(m.records)+1).Draw(t, "to"))
	var got, want []uint64
	for rec, err := range Records(context.Background(), f, r) {
		var gap *Gap
		if errors.As(err, &gap) && gap.To < b.First {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		m.compare(t, rec)
		got = append(got, rec.Seq)
	}
	for i := range m.records {
		if rec := &m.records[i]; rec.Seq >= b.First && r.Match(rec) {
			want = append(want, rec.Seq)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("range %+v of the file: %v, want %v", r, got, want)
	}
	m.open(t)
}
