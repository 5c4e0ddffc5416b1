package journal

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/tor/event"
)

// offer appends count events from each of several goroutines as fast as it
// can.
func offer(t *testing.T, j *Journal, sources, count int, next func(source, i int) event.Event) {
	t.Helper()
	var wg sync.WaitGroup
	for s := range sources {
		wg.Go(func() {
			for i := range count {
				if err := j.Append(t.Context(), next(s, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// premade is an event whose wire form costs nothing to make.
type premade struct {
	typ  event.Type
	wire []byte
}

func (p *premade) Type() event.Type { return p.typ }
func (p *premade) Format() []byte   { return p.wire }

// Sources that offer without pause are held back, not dropped, and memory is
// what the queue and the window may have, however much faster than the disk
// they are.
func TestOfferedMoreThanTheDiskTakes(t *testing.T) {
	sources, count := 4, scaled(500_000, 20_000)
	j := openTest(t, "", Options{})
	c := j.NewCursor(0, event.AllTypes())
	defer c.Close()

	// One event for a thousand: what the test itself holds is small.
	events := make([][]premade, sources)
	for s := range events {
		for k := range count / 1000 {
			events[s] = append(events[s], premade{event.BW, fmt.Appendf(nil, "650 BW %d %d\r\n", s, k)})
		}
	}

	stop, watched := make(chan struct{}), make(chan uint64)
	runtime.GC()
	base := liveHeap()
	go func() {
		var most uint64
		for !isClosed(stop) {
			waiting, _ := j.q.waitingBytes()
			j.win.mu.RLock()
			held := j.win.bytes
			j.win.mu.RUnlock()
			if waiting > queueBytes || held > windowBytes+turnBytes+turnEvents*recordCost {
				t.Errorf("%d bytes wait, %d are held", waiting, held)
			}
			most = max(most, liveHeap())
			time.Sleep(time.Millisecond)
		}
		watched <- most
	}()
	begin := time.Now()
	offer(t, j, sources, count, func(s, i int) event.Event { return &events[s][i/1000] })
	took := time.Since(begin)
	if err := j.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	close(stop)
	most := <-watched
	t.Logf("%d events in %v, at most %d KiB of heap beside %d", sources*count, took, (most-min(most, base))>>10, base>>10)
	if limit := uint64(64 << 20); most > base+limit {
		t.Errorf("the heap grew by %d bytes, at most %d may be", most-base, limit)
	}
	st := j.Stats()
	if st.Dropped != 0 || st.Records != uint64(sources*count) {
		t.Errorf("%d dropped, %d recorded of %d", st.Dropped, st.Records, sources*count)
	}
	// The cursor has read nothing so far: it goes through the file.
	next := make([]int, sources)
	for seq := uint64(1); seq <= uint64(sources*count); {
		ch, err := c.Next(within(t))
		if err != nil || ch.Gap != nil || ch.empty() {
			t.Fatalf("at %d: gap %v, %v", seq, ch.Gap, err)
		}
		for _, r := range ch.Records {
			f := strings.Fields(string(r.Wire))
			s, _ := strconv.Atoi(f[2])
			if k, _ := strconv.Atoi(f[3]); r.Seq != seq || k != next[s]/1000 {
				t.Fatalf("record %d, want %d: %q is event %d of its source", r.Seq, seq, r.Wire, next[s])
			}
			next[s]++
			seq++
		}
	}
}

// A source that offers 20 million events a second, by a clock that stands still
// while anybody works: first to a disk that takes 400,000 of them a second, then
// to one that stands still. It is held back, and when it has been for 30 s
// events are dropped; what is kept is bounded all the time, and each event that
// was offered is delivered, in order, or counted as dropped in the journal.
func TestTwentyMillionASecond(t *testing.T) {
	during := 300 * time.Millisecond // of each half
	if testing.Short() {
		during /= 6
	}
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		stands := false
		j := openTest(t, "", Options{wrapCommit: func(commit commitFunc) commitFunc {
			return func(c *change) (outcome, error) {
				if stands {
					<-gate
				}
				if c.batch != nil {
					time.Sleep(time.Duration(c.batch.hdr.count()) * time.Second / 400_000)
				}
				return commit(c)
			}
		}})
		c := j.NewCursor(0, event.AllTypes())
		defer c.Close()
		runtime.GC()
		base := liveHeap()

		src := millions{j: j}
		if held := src.offer(t, during); held < during/2 {
			t.Errorf("it was held back for %v of %v", held, during)
		}
		if err := j.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if st := j.Stats(); st.Dropped != 0 || st.Records != src.offered {
			t.Errorf("%d offered to the slow disk, %d recorded, %d dropped", src.offered, st.Records, st.Dropped)
		}

		stands = true
		before := src.offered
		if held := src.offer(t, overloadAfter+during); held != overloadAfter {
			t.Errorf("the disk that stands still held it back for %v", held)
		}
		if n, most := src.offered-before, uint64(perSecond*(during+time.Second).Seconds()); n < uint64(perSecond*during.Seconds()) || n > most {
			t.Errorf("%d were offered to the disk that stands still", n)
		}
		close(gate)
		if err := j.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		if live := liveHeap(); live > base+64<<20 {
			t.Errorf("%d MiB are held at the end, %d in the beginning", live>>20, base>>20)
		}
		delivered, told := src.delivered(t, c)
		st := j.Stats()
		t.Logf("%d offered, %d delivered, %d dropped", src.offered, delivered, st.Dropped)
		if told != st.Dropped || delivered+told != src.offered || told == 0 {
			t.Errorf("%d offered, %d delivered, %d dropped, the journal tells of %d", src.offered, delivered, st.Dropped, told)
		}
	})
}

const (
	perSecond = 20_000_000
	perCall   = 250 // as many as one read from a control port brings
)

// millions is a source of perSecond events. Those of one call are the same, so
// that they cost nothing to make.
type millions struct {
	j       *Journal
	offered uint64
}

// offer offers events for a time, and says how much of it it was held back.
func (m *millions) offer(t *testing.T, during time.Duration) (held time.Duration) {
	t.Helper()
	begin := time.Now()
	evs := make([]event.Event, perCall)
	for time.Since(begin) < during {
		for range perSecond / 1000 / perCall {
			ev := &premade{event.BW, fmt.Appendf(nil, "650 BW %d 0\r\n", m.offered/perCall)}
			for i := range evs {
				evs[i] = ev
			}
			since := time.Now()
			if err := m.j.Append(t.Context(), evs...); err != nil {
				t.Fatal(err)
			}
			held += time.Since(since)
			m.offered += perCall
		}
		waiting, _ := m.j.q.waitingBytes()
		m.j.win.mu.RLock()
		window := m.j.win.bytes
		m.j.win.mu.RUnlock()
		if waiting > queueBytes || window > windowBytes+turnBytes+turnEvents*recordCost {
			t.Fatalf("%d bytes wait, %d are in the window", waiting, window)
		}
		time.Sleep(time.Millisecond)
	}
	return held
}

// delivered reads what came of it: how many events, and of how many drops the
// journal tells.
func (m *millions) delivered(t *testing.T, c *Cursor) (events, dropped uint64) {
	t.Helper()
	call, of := uint64(0), 0 // the call that the last event was of, and how many of it have come
	for {
		ch, err := c.Next(within(t))
		if err != nil || ch.Gap != nil || ch.Lost != nil {
			t.Fatalf("%v, gap %v, lost %v", err, ch.Gap, ch.Lost)
		}
		if ch.empty() {
			return events, dropped
		}
		for _, r := range ch.Records {
			f := strings.Fields(string(r.Wire))
			if r.Type == event.JOURNAL {
				_, count, _ := strings.Cut(f[4], "=")
				n, _ := strconv.ParseUint(count, 10, 64)
				dropped += n
				continue
			}
			n, _ := strconv.ParseUint(f[2], 10, 64)
			if n > call {
				call, of = n, 0
			}
			if of++; n < call || of > perCall {
				t.Fatalf("event %d of call %d comes after call %d", of, n, call)
			}
			events++
		}
	}
}

// liveHeap returns the bytes that the last garbage collection found in use.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// A disk that stands still stops the sources; after 30 s events are dropped,
// what is worth least first, nobody waits any more, and every drop is in the
// journal.
func TestDiskStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var hold bool
		j := openTest(t, "", Options{walPages: noLog, queueBytes: 1 << 20, wrapCommit: func(commit commitFunc) commitFunc {
			return func(c *change) (outcome, error) {
				if hold {
					<-gate
				}
				return commit(c)
			}
		}})
		appendAll(t, j, raw("650 CIRC 0"))
		hold = true
		if err := j.Append(t.Context(), raw("650 CIRC held")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the writer has it

		const sources, count = 4, 10_000
		kinds := []event.Type{event.CIRC, event.INFO, event.DEBUG, event.STREAM}
		begin := time.Now()
		offer(t, j, sources, count, func(s, i int) event.Event {
			ev := event.Event(&premade{kinds[i%4], fmt.Appendf(nil, "650 %s %d %d\r\n", kinds[i%4], s, i)})
			if kinds[i%4] == event.STREAM {
				return event.Live{Event: ev}
			}
			return ev
		})
		if waited := time.Since(begin); waited != overloadAfter {
			t.Errorf("the sources were held up for %v, want %v", waited, overloadAfter)
		}
		if n, _ := j.q.waitingBytes(); n > 1<<20 {
			t.Errorf("%d bytes wait", n)
		}
		close(gate)
		appendAll(t, j, raw("650 CIRC after"))

		st := j.Stats()
		recs, _ := readAll(t, j, Range{})
		kept := map[event.Type]uint64{}
		var told uint64
		for _, r := range recs {
			kept[r.Type]++
			if r.Type == event.JOURNAL {
				ev, err := event.Parse(r.Wire)
				if err != nil {
					t.Fatal(err)
				}
				n, _ := ev.(*event.Journal).Keywords.Get("COUNT")
				k, _ := strconv.ParseUint(n, 10, 64)
				told += k
			}
		}
		if told != st.Dropped || told == 0 || st.Records+st.LiveOnly-kept[event.JOURNAL]+told != sources*count+3 {
			t.Errorf("%d offered: %d recorded, %d live, %d dropped, %d told", sources*count+3, st.Records, st.LiveOnly, st.Dropped, told)
		}
		if kept[event.INFO] != 0 || kept[event.DEBUG] != 0 || st.LiveOnly != 0 {
			t.Errorf("kept %v and %d live", kept, st.LiveOnly)
		}
		// What stood in the queue at the end are circuits: 1 MiB of them.
		if least := uint64(1<<20) / (itemCost + 20); kept[event.CIRC] < least*3/4 {
			t.Errorf("%d circuits are kept, there was room for %d", kept[event.CIRC], least)
		}
	})
}

// A source that stalls costs nothing and loses nothing: no commit is made for
// it, and what comes after is recorded as what came before.
func TestSourceStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := openTest(t, "", Options{walPages: noLog})
		c := j.NewCursor(0, event.AllTypes())
		defer c.Close()
		appendAll(t, j, bw(1, 100)...)
		before := j.Stats().Commits
		time.Sleep(6 * time.Hour)
		if n := j.Stats().Commits - before; n != 0 {
			t.Errorf("%d commits while nothing came", n)
		}
		appendAll(t, j, bw(101, 100)...)
		recs, gaps, lost := drain(t, c)
		if !equalNumbers(recs, 200) || len(gaps) > 0 || len(lost) > 0 {
			t.Errorf("records %v, gaps %v, lost %v", numbers(recs), gaps, lost)
		}
		if apart := recs[100].Time.Sub(recs[99].Time); apart < 6*time.Hour || apart > 7*time.Hour {
			t.Errorf("%v apart", apart)
		}
	})
}

func equalNumbers(recs []Record, n int) bool {
	for i, r := range recs {
		if r.Seq != uint64(i+1) {
			return false
		}
	}
	return len(recs) == n
}

// Who waits behind others when an overload begins, and is not reached before
// the writer goes on, begins one again after another 30 s.
func TestOverloadBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1000, time.Now)
		fill := func() { q.mu.Lock(); q.bytes = 1000; q.mu.Unlock() }
		_ = q.put(t.Context(), []item{queueItem(event.CIRC, 10)})
		fill()
		stands := &waiter{turn: make(chan struct{}, 1)} // never takes its turn
		q.waiting = append(q.waiting, stands)
		done := make(chan error, 1)
		go func() { done <- q.put(t.Context(), []item{queueItem(event.CIRC, 10)}) }()
		time.Sleep(overloadAfter + time.Second)
		q.mu.Lock()
		if !q.overload {
			t.Error("no overload after 30 s")
		}
		q.overload = false // as the writer does when it takes something
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		time.Sleep(overloadAfter)
		select {
		case err := <-done:
			if q.total != 1 {
				t.Errorf("%v, %d dropped", err, q.total)
			}
		default:
			t.Error("it waits for ever")
			q.close()
			<-done
		}
	})
}

// Names that a source makes up are counted under one after the first 128, and
// nothing is lost in a sum.
func TestTallyIsBounded(t *testing.T) {
	var c tally
	for i := range 10_000 {
		c.add(event.Type(fmt.Sprint("MADE_UP_", i)), 2)
		c.add(event.Types()[i%len(event.Types())], 1)
	}
	if len(c) > otherNames+len(event.Types())+1 || c.total() != 30_000 {
		t.Errorf("%d names, %d counted", len(c), c.total())
	}
	for _, typ := range event.Types() {
		if c[typ] == 0 {
			t.Errorf("%s is not counted under its name", typ)
		}
	}
	if c.name("MADE_UP_9999") != typeOther || c[typeOther] == 0 || c.name("MADE_UP_0") != "MADE_UP_0" {
		t.Errorf("%d under %q", c[typeOther], typeOther)
	}
	if n := len(dropNotice(c).Format()); n > 8<<10 {
		t.Errorf("the notice has %d bytes", n)
	}
}
