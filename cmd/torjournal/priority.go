package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lowestNice is the nice value of the lowest priority.
const lowestNice = 19

// lowerPriority gives every thread of this process the lowest CPU priority;
// threads that start later inherit it. (setpriority with id 0 would lower the
// calling thread alone.) It is a courtesy: where the system refuses, the work
// is done all the same.
func lowerPriority() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, lowestNice)
		}
	}
}
