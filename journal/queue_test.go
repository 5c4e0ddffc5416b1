package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/tor/event"
)

func queueItem(typ event.Type, size int) item {
	return item{wire: make([]byte, size), typ: typ, bit: bitOf(typ)}
}

func takeAll(q *queue) (types []event.Type, dropped map[event.Type]uint64) {
	dropped = map[event.Type]uint64{}
	for {
		items, lost, _ := q.take(nil, 1<<20)
		for t, n := range lost {
			dropped[t] += n
		}
		if len(items) == 0 {
			return types, dropped
		}
		for _, it := range items {
			types = append(types, it.typ)
		}
		q.release()
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestQueueTakesByBytesAndOps(t *testing.T) {
	q := newQueue(1<<20, time.Now)
	ctx := context.Background()
	events := []item{queueItem(event.BW, 100), queueItem(event.CIRC, 100), queueItem(event.INFO, 300)}
	if err := q.put(ctx, append(events, item{op: &op{}}, queueItem(event.ERR, 1))); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		items, _, _ := q.take(nil, 200)
		if len(items) == 0 {
			break
		}
		var turn []string
		for _, it := range items {
			turn = append(turn, string(it.typ))
		}
		got = append(got, strings.Join(turn, "+"))
	}
	if want := []string{"BW+CIRC", "INFO", "", "ERR"}; !slices.Equal(got, want) {
		t.Fatalf("turns %q, want %q", got, want)
	}
	if q.bytes != 0 || q.ops != 0 {
		t.Fatalf("%d bytes and %d ops are left", q.bytes, q.ops)
	}
}

// Appenders wait while the queue is full, and enter in the order they came.
func TestQueueBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1000, time.Now)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				typ := event.Type(fmt.Sprint("T", i))
				if err := q.put(t.Context(), []item{queueItem(typ, 400)}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // in this order
		}
		if q.bytes > 1000 || len(q.waiting) != 8 {
			t.Fatalf("%d bytes inside, %d wait; want at most 1000 and 8", q.bytes, len(q.waiting))
		}
		var got []event.Type
		for len(got) < 10 {
			items, _, _ := q.take(nil, 400)
			for _, it := range items {
				got = append(got, it.typ)
			}
			q.release()
			synctest.Wait()
			if q.bytes > 1000 {
				t.Fatalf("%d bytes inside", q.bytes)
			}
		}
		wg.Wait()
		for i, typ := range got {
			if want := fmt.Sprint("T", i); string(typ) != want {
				t.Fatalf("order %v", got)
			}
		}
	})
}

// Who cannot wait never does: what finds no room, or finds others waiting for
// it, is dropped and told.
func TestQueueOfferNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1000, time.Now)
		offer := func(typ event.Type, size int) {
			it := queueItem(typ, size)
			if err := q.offer(&it); err != nil {
				t.Error(err)
			}
		}
		offer(event.JOURNAL, 300)
		offer(event.BW, 300)
		offer(event.CIRC, 300) // no room
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := q.put(t.Context(), []item{queueItem(event.STREAM, 800)}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		offer(event.GUARD, 1) // there would be room, but it is another one's turn
		types, dropped := takeAll(q)
		wg.Wait()
		more, _ := takeAll(q)
		if got := append(types, more...); !slices.Equal(got, []event.Type{event.JOURNAL, event.BW, event.STREAM}) {
			t.Errorf("took %v", got)
		}
		if len(dropped) != 2 || dropped[event.CIRC] != 1 || dropped[event.GUARD] != 1 {
			t.Errorf("told of as dropped: %v", dropped)
		}
		q.close()
		it := queueItem(event.BW, 1)
		if err := q.offer(&it); !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

func TestQueueLetsOneLargeEventPass(t *testing.T) {
	q := newQueue(1000, time.Now)
	if err := q.put(t.Context(), []item{queueItem(event.NS, 5000)}); err != nil {
		t.Fatal(err)
	}
	if items, _, _ := q.take(nil, 10); len(items) != 1 || len(items[0].wire) != 5000 {
		t.Fatalf("took %d items", len(items))
	}
}

func TestQueueWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(100, time.Now)
		_ = q.put(t.Context(), []item{queueItem(event.BW, 500)})
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { errs <- q.put(ctx, []item{queueItem(event.BW, 1)}) }()
		synctest.Wait()
		go func() { errs <- q.put(t.Context(), []item{queueItem(event.BW, 1)}) }()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		q.close()
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := q.put(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

// After 30 s without room events are dropped: those that are worth least
// first, each counted, and nobody waits any more until the writer goes on.
func TestQueueOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4*(100+itemCost), time.Now)
		live := queueItem(event.STREAM, 100)
		live.live = true
		_ = q.put(t.Context(), []item{queueItem(event.CIRC, 100), queueItem(event.INFO, 100), live, queueItem(event.DEBUG, 100)})
		begin := time.Now()
		if err := q.put(t.Context(), []item{queueItem(event.ORCONN, 100)}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited != overloadAfter {
			t.Errorf("waited %v, want %v", waited, overloadAfter)
		}
		// Room for two more, then everything is dropped at once.
		for range 4 {
			_ = q.put(t.Context(), []item{queueItem(event.BW, 100)})
		}
		if waited := time.Since(begin); waited != overloadAfter {
			t.Errorf("waited %v though the queue is overloaded", waited)
		}
		types, dropped := takeAll(q)
		if want := []event.Type{event.CIRC, event.ORCONN, event.BW, event.BW}; !slices.Equal(types, want) {
			t.Errorf("kept %v, want %v", types, want)
		}
		want := "650 JOURNAL DROPPED TYPES=BW,DEBUG,INFO,STREAM COUNT=5\r\n"
		if got := string(dropNotice(dropped).Format()); got != want {
			t.Errorf("notice %q, want %q", got, want)
		}
		if _, total := q.waitingBytes(); total != 5 {
			t.Errorf("total %d, want 5", total)
		}
		if q.overload {
			t.Error("still overloaded after the writer took everything")
		}
	})
}

// Waiting starts anew when the writer makes progress: a bulk import that is
// faster than the disk loses nothing.
func TestQueueSlowIsNoOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2*(100+itemCost), time.Now)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				if err := q.put(t.Context(), []item{queueItem(event.INFO, 100)}); err != nil {
					t.Error(err)
				}
			}
		}()
		n := 0
		for n < 20 {
			time.Sleep(overloadAfter - time.Second)
			synctest.Wait()
			items, dropped, _ := q.take(nil, 100)
			if dropped != nil {
				t.Fatalf("dropped %v", dropped)
			}
			n += len(items)
			q.release()
		}
		<-done
	})
}

func TestQueueSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(150+itemCost, time.Now)
		if !isClosed(q.settled(time.Now())) {
			t.Fatal("an empty queue is not settled")
		}
		t0 := time.Now()
		time.Sleep(time.Millisecond)
		_ = q.put(t.Context(), []item{queueItem(event.BW, 100)})
		t1 := time.Now()
		time.Sleep(time.Millisecond)
		go func() { _ = q.put(t.Context(), []item{queueItem(event.CIRC, 100)}) }() // waits for room
		synctest.Wait()
		t2 := time.Now()
		if !isClosed(q.settled(t0)) {
			t.Error("what came later keeps t0 open")
		}
		s1, s2 := q.settled(t1), q.settled(t2)
		q.take(nil, 1)
		synctest.Wait()
		if isClosed(s1) {
			t.Error("settled while the writer still holds the event")
		}
		q.release()
		if !isClosed(s1) || isClosed(s2) {
			t.Errorf("after the first event: %v, %v; want true, false", isClosed(s1), isClosed(s2))
		}
		q.take(nil, 1)
		q.release()
		if !isClosed(s2) {
			t.Error("not settled though everything is published")
		}
	})
}
