package main

import "runtime/debug"

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
func boundMemory(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(readingMemory)
	}
}
