package journal

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"torjournal/tor/event"
)

// counts is what Stats reports of the time since Open.
type counts struct {
	session atomic.Uint64
	commits atomic.Uint64

	mu      sync.Mutex
	records uint64                // guarded by mu
	live    uint64                // guarded by mu
	missing uint64                // guarded by mu; delivered and not journaled
	byBit   [otherBit + 1]uint64  // guarded by mu; by bit in event masks
	other   map[event.Type]uint64 // guarded by mu; types that have no bit of their own
}

func newCounts() *counts { return &counts{other: map[event.Type]uint64{}} }

// otherTypes bounds the names that are counted one by one: a source that
// makes names up must not fill the memory.
const otherTypes = 64

func (c *counts) add(b *batch) { c.count(b, &c.records) }

// unjournaled counts b, which is delivered though it is not in the file.
func (c *counts) unjournaled(b *batch) { c.count(b, &c.missing) }

// journaled says that n records that were counted as unjournaled are in the
// file now.
func (c *counts) journaled(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing -= n
	c.records += n
}

func (c *counts) count(b *batch, numbered *uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, bit := range b.bits {
		if b.recs[i].Seq == 0 {
			c.live++
		} else {
			*numbered++
		}
		if bit != otherBit {
			c.byBit[bit]++
		} else if t := b.recs[i].Type; c.other[t] > 0 || len(c.other) < otherTypes {
			c.other[t]++
		}
	}
}

func (c *counts) byType() map[event.Type]uint64 {
	out := map[event.Type]uint64{}
	for bit, n := range c.byBit[:len(typeNames)] {
		if n > 0 {
			out[typeNames[bit]] = n
		}
	}
	for t, n := range c.other {
		out[t] = n
	}
	return out
}

// Stats is what Journal.Stats reports.
type Stats struct {
	Bounds
	Path       string
	Size       int64                 // bytes of the file
	MaxSize    int64                 // bytes
	MaxAge     time.Duration         // 0: no limit
	Session    uint64                // current session, 0 before the first
	Records    uint64                // journaled since Open
	LiveOnly   uint64                // delivered but not journaled since Open
	Commits    uint64                // since Open
	Dropped    uint64                // events dropped under overload since Open
	Found      uint64                // first record that the file had, or would have had, when it was opened
	QueueBytes int                   // waiting for the writer now
	ByType     map[event.Type]uint64 // events since Open; of types this program does not know, the first 64 names
	WriteError string                // why commits fail now; "" when they succeed

	Encrypted bool // the file is

	Unjournaled uint64    // since Open, delivered but not in the file, because it could not be written
	Outage      time.Time // since when it cannot be written; zero: it can
}

// Stats reports what the journal holds and what it has done since Open. It
// reads the file for the bounds; if that fails they are zero.
func (j *Journal) Stats() Stats {
	limits := j.Limits()
	st := Stats{
		Path: j.store.path, Size: j.store.fileSize(), MaxSize: limits.MaxSize, MaxAge: limits.MaxAge,
		Encrypted: j.opt.Key != nil, Found: j.found,
		Session: j.counts.session.Load(), Commits: j.counts.commits.Load(), WriteError: j.writer.writeError(),
	}
	st.Bounds, _ = j.Bounds(context.Background())
	st.QueueBytes, st.Dropped = j.q.waitingBytes()
	if us := j.writer.since.Load(); us != 0 {
		st.Outage = time.UnixMicro(us).UTC()
	}
	j.counts.mu.Lock()
	defer j.counts.mu.Unlock()
	st.Unjournaled = j.counts.missing
	st.Records, st.LiveOnly, st.ByType = j.counts.records, j.counts.live, j.counts.byType()
	return st
}
