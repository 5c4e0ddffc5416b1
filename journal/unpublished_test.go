package journal

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/tor/event"
)

// A commit that failed can be in the file and visible there, though a power
// loss would take it away. Until it is repeated with success nobody gets it,
// whichever way he reads.
func TestNobodySeesAFailedCommit(t *testing.T) {
	var failing atomic.Bool
	wrap := func(commit commitFunc) commitFunc {
		return func(c *change) (outcome, error) {
			out, err := commit(c)
			if err == nil && failing.Load() {
				err = errors.New("fdatasync: input/output error")
			}
			return out, err
		}
	}
	j := openTest(t, "", Options{walPages: noLog, windowBytes: 1, wrapCommit: wrap, outageRetry: time.Millisecond})
	appendAll(t, j, bw(1, 3)...)
	failing.Store(true)
	ctx := within(t)
	settle(t, j, bw(4, 2)...)
	if last, err := j.store.reread(); err != nil || last != 5 {
		t.Fatalf("record %d is the last in the file, %v: nothing is tested", last, err)
	}
	if _, err := j.Fetch(ctx, 4, Range{}); !errors.Is(err, io.EOF) {
		t.Errorf("Fetch: %v, want io.EOF", err)
	}
	if recs, _ := readAll(t, j, Range{}); len(recs) != 3 {
		t.Errorf("a Reader gets %v", numbers(recs))
	}
	c := j.NewCursor(1, event.AllTypes())
	defer c.Close()
	if recs, _, _ := drain(t, c); !slices.Equal(numbers(recs), []uint64{1, 2, 3, 0, 0}) {
		t.Errorf("a cursor gets %v", numbers(recs)) // delivered live, and said to be unjournaled
	}
	if b, err := j.Bounds(ctx); err != nil || b.Last != 3 {
		t.Errorf("bounds %+v, %v", b, err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := j.Wait(short, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v, want that it waits", err)
	}
	failing.Store(false)
	if err := j.Wait(ctx, 6); err != nil {
		t.Fatal(err)
	}
	if recs, _, _ := drain(t, c); len(recs) != 1 || recs[0].Seq != 6 || recs[0].Type != event.JOURNAL {
		t.Errorf("afterwards the cursor gets %v", numbers(recs))
	}
	if recs, _ := readAll(t, j, Range{}); !slices.Equal(numbers(recs), span(1, 6)) {
		t.Errorf("afterwards a Reader gets %v", numbers(recs))
	}
}

// An event has arrived when its Append is called, also while it waits for room
// and nothing stands before it any more.
func TestSettledCountsWhoWaitsForRoom(t *testing.T) {
	q := newQueue(1000, time.Now)
	now := time.Now()
	q.waiting = append(q.waiting, &waiter{mono: now.Sub(q.start), turn: make(chan struct{}, 1)})
	if isClosed(q.settled(now)) {
		t.Error("settled, but an event of that time still waits")
	}
	if !isClosed(q.settled(now.Add(-time.Nanosecond))) {
		t.Error("what arrived later keeps an earlier time open")
	}
}
