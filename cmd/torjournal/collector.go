package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// readingGC is the GOGC of what reads history: the collector runs first when the heap has
// 4 MiB × 4 = 16 MiB, which an hour of a busy tor does not fill, and lets it
// grow to five times what is live after that. Live are 8 MiB that are read
// ahead, and the blocks that are decoded ahead.
const readingGC = 400

// collectLater spares a short command the collector, whose cycles cost as much
// as thousands of records. A GOGC of the user's own stays.
func collectLater(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(readingGC)
	}
}

// readingMemory is what an export or a question shall take of memory where it
// can, 160 MiB: the parquet form has pages of every column, and a question the
// events of some blocks, of which the collector that runs late would leave
// several times as much lying about.
const readingMemory = 160 << 20

// boundMemory makes the collector run sooner where there is more than
// readingMemory. A GOMEMLIMIT of the user's own stays.
//
// An answer that needs more, of a million rows that all stand until its end, gets
// half as much again as what it holds: a collector that is kept at a bound which it
// can not reach runs all the time, and took three times as long as the answer.
func boundMemory(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(readingMemory)
		eachCycle(func(live uint64) { debug.SetMemoryLimit(max(readingMemory, int64(live+live/2))) })
	}
}

// eachCycle calls do behind every cycle of the collector, from now on, with the
// bytes that it found in use.
func eachCycle(do func(live uint64)) {
	type dead struct{ _ *dead } // by the next cycle, which tells it
	runtime.AddCleanup(new(dead), func(do func(uint64)) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		do(live[0].Value.Uint64())
		eachCycle(do)
	}, do)
}
