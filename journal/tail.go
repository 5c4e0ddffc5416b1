package journal

import (
	"slices"
	"time"
)

// tail is the writer's picture of the tail bucket, and says what of it becomes
// a block. A batch leaves the tail in one of two ways: the sealer packs small
// ones together, and a large one is a block as it is, because its bytes lie in
// a bucket of their own that can be moved.
type tail struct {
	// owned by the writer goroutine
	sealAt  int           // bytes of records that make a block
	sealAge time.Duration // the longest time a tail may span; 0: any
	lagAt   int           // bytes as stored from which the sealer counts as too slow; see lagLimit
	batches []header      // in order
	bytes   int           // of records in them
	stored  int           // bytes of the batches as stored

	// The batches at the head that were looked at and are no block yet.
	looked int
	size   int // of their records
	room   int // of them as stored
	events uint64
}

// lagLimit is how many bytes the tail may have before whatever can be moved
// becomes a block as it is: a quarter of the ring. While events come faster
// than blocks are made, they wait in the tail until there is time.
func lagLimit(maxSize int64) int { return int(maxSize / 4) }

// blockEvents bounds the events of a block where they are tiny: what a block is
// while it is made counts by events, not by bytes. = 65,536 × (a record of 80
// bytes, its columns) = 10 MiB.
const blockEvents = 64 << 10

// blockStored bounds what a block is made of, in bytes as stored, where records
// can hardly be compressed: a block that takes the place of others, and the ring
// that gives one up, leave as many pages free, and the list of them is written
// with each commit, as are the pages between blocks of other sizes. = 128 pages, a
// quarter of what one page can list.
const blockStored = 512 << 10

func (t *tail) empty() bool { return len(t.batches) == 0 }

func (t *tail) append(h header) {
	t.batches = append(t.batches, h)
	t.bytes += int(h.raw)
	t.stored += h.size()
}

// grow puts h in the place of the last n batches.
func (t *tail) grow(n int, h header) {
	keep := len(t.batches) - n
	for _, h := range t.batches[keep:] {
		t.bytes -= int(h.raw)
		t.stored -= h.size()
		if t.looked > keep {
			t.size -= int(h.raw)
			t.room -= h.size()
			t.events -= h.count()
		}
	}
	t.looked = min(t.looked, keep)
	t.batches = t.batches[:keep]
	t.append(h)
}

// drop forgets the first n batches.
func (t *tail) drop(n int) {
	for _, h := range t.batches[:n] {
		t.bytes -= int(h.raw)
		t.stored -= h.size()
	}
	t.batches = t.batches[n:]
	if n > 0 {
		t.looked, t.size, t.room, t.events = 0, 0, 0, 0
	}
}

// evicted forgets the batches up to record last.
func (t *tail) evicted(last uint64) {
	for len(t.batches) > 0 && t.batches[0].last <= last {
		t.drop(1)
	}
}

// begins reports whether h is still the oldest batch.
func (t *tail) begins(h header) bool { return len(t.batches) > 0 && t.batches[0] == h }

// large reports whether a batch is a block by itself.
func (t *tail) large(h *header) bool {
	return h.size() >= movable && (int(h.raw) >= t.sealAt/2 || t.stored > t.lagAt)
}

// blocks returns the batches at the head that are blocks by themselves.
func (t *tail) blocks() []header {
	n := 0
	for n < len(t.batches) && t.large(&t.batches[n]) {
		n++
	}
	return t.batches[:n:n]
}

// toSeal returns the batches at the head that make a block together, nil if
// they are too few: then all takes them if they are not very few. The caller
// may keep them.
func (t *tail) toSeal(all bool) []header {
	if t.empty() || t.large(&t.batches[0]) {
		return nil
	}
	n := t.blockful()
	if n == 0 && all && t.bytes >= fewRecords {
		n = len(t.batches)
	}
	if n > 0 {
		return slices.Clone(t.batches[:n])
	}
	return nil
}

// blockful returns how many batches at the head make a block: all of one
// session, about sealAt bytes, blockStored or blockEvents, or less where it is
// quiet; 0 if they are too few still. Each batch is looked at once: a tail can be
// thousands long, and every commit asks.
func (t *tail) blockful() int {
	for i := t.looked; i < len(t.batches); i++ {
		h := &t.batches[i]
		switch {
		case i > 0 && h.session != t.batches[0].session,
			i > 0 && t.size >= t.sealAt/4 && t.large(h),
			i > 0 && t.size+int(h.raw) > t.sealAt+t.sealAt/4:
			return i
		}
		if t.size+int(h.raw) >= t.sealAt || t.room+h.size() >= blockStored || t.events+h.count() >= blockEvents {
			return i + 1
		}
		t.looked, t.size, t.room, t.events = i+1, t.size+int(h.raw), t.room+h.size(), t.events+h.count()
	}
	n := len(t.batches)
	if n > 1 && t.tooLong(t.batches[0].minTime, t.batches[n-1].maxTime) {
		return n
	}
	return t.quiet()
}

// The pages that lead to the batches that grow are written by each small commit,
// and the more batches there are the more pages those are. So where quietEvents
// have come in small commits, what lies before becomes a block, unless it is
// little: half a block, or quietBatches, is worth the pages that it saves within
// minutes, and the little more room that its records take in it than in a whole one:
// it stays as it is. (Counted are events, not time: clocks are put back.)
const (
	quietEvents  = 256
	quietStored  = blockStored / 2
	quietBatches = 32
)

// quiet returns how many batches at the head make a block because only little has
// come since; 0 if none do. All are of one session.
func (t *tail) quiet() int {
	n := len(t.batches) - 2 // the last two may grow
	if n < 1 {
		return 0
	}
	old, young := &t.batches[n], &t.batches[n+1]
	if old.raw > oldRaw || young.raw > youngRaw || old.count()+young.count() < quietEvents {
		return 0
	}
	if n < quietBatches && t.stored-old.size()-young.size() < quietStored {
		return 0
	}
	return n
}

// tooLong reports whether a block must not span two times, in µs: what is
// evicted by age is evicted by blocks.
func (t *tail) tooLong(from, to int64) bool {
	return t.sealAge > 0 && time.Duration(to-from)*time.Microsecond > t.sealAge
}
