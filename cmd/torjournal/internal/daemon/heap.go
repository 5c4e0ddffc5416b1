package daemon

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// HeapBudget is what a recorder's Go heap may have, garbage included, in
// bytes: MEMORY.md says what lives in it. What lies between that and this is
// what the collector lets come together before it runs; it needs 2 MiB more
// to notice.
const HeapBudget = 62 << 20

// heapLook is how often the collector is told anew how much else there is: the
// stacks of connections come and go.
const heapLook = time.Second

// What the runtime calls the heap is the first three; the rest of the total is
// stacks and what it needs itself.
var heapClasses = []string{
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
	"/memory/classes/heap/released:bytes", "/memory/classes/total:bytes",
}

// keepHeap makes the collector run before the heap has more than budget bytes,
// and what besides says is needed for the time being, until ctx ends. The runtime knows a limit of all its memory only, so it is
// moved along with what is not heap. Where that leaves little room the
// collector runs often, but takes half of the processor's time at most, as the
// runtime sees to it: memory beyond the budget comes then, not a standstill.
// A limit that the user has set by GOMEMLIMIT is left as it is.
//
// The way that lost: a lower GOGC. It collects more often at all times, and
// bounds nothing.
func keepHeap(ctx context.Context, budget int64, besides func() int64) {
	if budget == 0 || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	samples := make([]metrics.Sample, len(heapClasses))
	for i, name := range heapClasses {
		samples[i].Name = name
	}
	tick := time.NewTicker(heapLook)
	defer tick.Stop()
	for set := int64(0); ; {
		// Each call stops the world for a moment: small changes do not matter.
		if limit := budget + besides() + besideHeap(samples); limit-set > heapStep || set-limit > heapStep {
			debug.SetMemoryLimit(limit)
			set = limit
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// heapStep is how far the limit may be from what it should be.
const heapStep = 256 << 10

// besideHeap returns how many bytes the runtime has that are not heap.
func besideHeap(samples []metrics.Sample) int64 {
	metrics.Read(samples)
	var heap uint64
	for _, s := range samples[:len(samples)-1] {
		heap += s.Value.Uint64()
	}
	return int64(samples[len(samples)-1].Value.Uint64() - heap)
}
