package daemon

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// The runtime's limit is the heap's budget and what is not heap, as long as the
// daemon runs, unless the user has said what it shall be.
func TestKeepHeap(t *testing.T) {
	const budget, besides = 1 << 40, 1 << 30 // nothing of this process is collected for it
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); keepHeap(ctx, budget, func() int64 { return besides }) }()
	for debug.SetMemoryLimit(-1) == math.MaxInt64 {
		time.Sleep(time.Millisecond)
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	stacks, total := int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
	if limit := debug.SetMemoryLimit(-1); limit < budget+besides+stacks-2*heapStep || limit > budget+besides+total {
		t.Errorf("the limit is %d, of which %d is not heap; stacks have %d, all together %d", limit, limit-budget, stacks, total)
	}
	cancel()
	<-done
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		t.Errorf("it leaves a limit of %d", limit)
	}

	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 39))
	keepHeap(t.Context(), budget, nil) // returns at once
	if limit := debug.SetMemoryLimit(-1); limit != 1<<39 {
		t.Errorf("it changed the user's limit to %d", limit)
	}
}
