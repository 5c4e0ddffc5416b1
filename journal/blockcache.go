package journal

import (
	"context"
	"slices"
	"sync"
)

// cachedBlocks is how many decoded blocks are kept for cursors that read from
// the file, shared by all of them. = 3 × (4 MiB of records before compression
// and 88 bytes for each) = about 18 MiB. Beyond that a cursor's block is
// decoded again, so that thousands of slow cursors cost time and no memory.
const cachedBlocks = 3

// decoded is a run of records in memory, shared and never changed.
type decoded struct {
	first, last uint64
	recs        []Record // all of them, contiguous
}

// blockCache keeps the runs used last, and lets one cursor after the other
// read another: a thousand that read at once would need ten gigabytes, and be
// no faster. It is zstd and the columns that take the time, and those keep a
// core busy; the writer and the live subscribers have the others.
type blockCache struct {
	turn chan struct{} // capacity 1; holds a token while somebody reads

	mu   sync.Mutex
	runs []*decoded // guarded by mu; used last comes last
}

func newBlockCache() *blockCache { return &blockCache{turn: make(chan struct{}, 1)} }

// begin waits for the turn to read and decode a run; end gives it back.
func (b *blockCache) begin(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *blockCache) end() { <-b.turn }

// get returns the run that holds seq, nil if it is not there.
func (b *blockCache) get(seq uint64) *decoded {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.runs, func(d *decoded) bool { return d.first <= seq && seq <= d.last })
	if i < 0 {
		return nil
	}
	d := b.runs[i]
	b.runs = append(slices.Delete(b.runs, i, i+1), d)
	return d
}

func (b *blockCache) add(d *decoded) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.runs) >= cachedBlocks {
		b.runs = slices.Delete(b.runs, 0, 1)
	}
	b.runs = append(b.runs, d)
}
