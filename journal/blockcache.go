package journal

import (
	"slices"
	"sync"
)

// cachedBlocks is how many decoded blocks are kept for cursors that read from
// the file, shared by all of them. = 2 × (4 MiB of records before compression
// and 88 bytes for each) = about 12 MiB: one that is being read, and one for who is
// a block ahead or behind. Beyond that a cursor's block is
// decoded again, so that thousands of slow cursors cost time and no memory.
const cachedBlocks = 2

// decoded is a run of records in memory, shared and never changed.
type decoded struct {
	first, last uint64
	recs        []Record // all of them, contiguous
}

// blockCache keeps the runs used last.
type blockCache struct {
	mu      sync.Mutex
	runs    []*decoded // guarded by mu; used last comes last
	evicted uint64     // guarded by mu; the last number that the ring has given up
}

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
	if d.first <= b.evicted {
		return // meanwhile
	}
	if len(b.runs) >= cachedBlocks {
		b.runs = slices.Delete(b.runs, 0, 1)
	}
	b.runs = append(b.runs, d)
}

// evict drops what the ring has given up, up to record last: nobody may read
// from memory what is gone from the file.
func (b *blockCache) evict(last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.evicted {
		return
	}
	b.evicted = last
	b.runs = slices.DeleteFunc(b.runs, func(d *decoded) bool { return d.first <= last })
}
