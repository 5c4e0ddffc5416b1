package main

import "runtime/debug"

// readingGC is replay's GOGC: the collector runs first when the heap has
// 4 MiB × 4 = 16 MiB, which an hour of a busy tor does not fill, and lets it
// grow to five times what is live after that. Live are 8 MiB that are read
// ahead, a block and its decoder at most.
const readingGC = 400

// collectLater spares a short command the collector, whose cycles cost as much
// as thousands of records. A GOGC of the user's own stays.
func collectLater(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(readingGC)
	}
}
