package main

import (
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lowestNice is the nice value of the lowest priority.
const lowestNice = 19

// How long a thread's turn on a processor is. Since Linux 6.12 a thread that
// wakes takes the processor at once from one whose turn is longer; it would
// wait for the end of a turn as long as its own. (From 6.6 on all turns are as
// long; before, and there, these are without effect.) The extremes are what the
// kernel takes.
const (
	shortTurn = 100 * time.Microsecond // of what records
	longTurn  = 100 * time.Millisecond // of what reads history
)

// lowerPriority gives every thread of this process the lowest CPU priority and
// long turns, so that whatever else wakes goes first; threads that start later
// inherit both. (setpriority with id 0 would lower the calling thread alone.) It
// is a courtesy: where the system refuses, the work is done all the same.
//
// The way that lost: SCHED_IDLE. It is as good for who goes first, but on a
// machine that has no time to spare it gets a fifth of the little that the lowest
// nice value does, and most users cannot leave it again.
func lowerPriority() {
	eachThread(func(tid int) {
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, lowestNice)
		setTurn(tid, longTurn)
	})
}

// leaveProcessor leaves one processor, where there are several, to the recorder
// that answers when the command begins: priorities alone do not. Where a question
// has all of them, one commit of bbolt in a hundred takes three times as long,
// whoever makes it. A GOMAXPROCS of the user's own stays.
func leaveProcessor(getenv func(string) string) {
	if n := runtime.GOMAXPROCS(0); n > 1 && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n - 1)
	}
}

// shortenTurns lets every thread of this process, and those that it starts later,
// go before others that it has to wait for otherwise: an event should not wait for
// who is busy. It gets no more time than they do.
func shortenTurns() {
	eachThread(func(tid int) { setTurn(tid, shortTurn) })
}

// eachThread calls do for every thread, and for those that others have started
// meanwhile.
func eachThread(do func(tid int)) {
	done := map[string]bool{}
	for before := -1; before != len(done); {
		before = len(done)
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			if tid, err := strconv.Atoi(t.Name()); err == nil && !done[t.Name()] {
				done[t.Name()] = true
				do(tid)
			}
		}
	}
}

// setTurn changes nothing of a thread but its turns, and nothing at all of one
// that somebody has given a policy of its own (chrt, systemd's
// CPUSchedulingPolicy=).
func setTurn(tid int, turn time.Duration) {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return
	}
	attr.Runtime = uint64(turn)
	_ = unix.SchedSetAttr(tid, attr, 0)
}
