package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

func numbers(recs []Record) (out []uint64) {
	for _, r := range recs {
		out = append(out, r.Seq)
	}
	return out
}

func span(from, to uint64) (out []uint64) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// bw returns n BW events that begin with number from.
func bw(from, n int) (out []event.Event) {
	for i := range n {
		out = append(out, raw("650 BW %d %d", from+i, from+i))
	}
	return out
}

func ready(c *Cursor) bool {
	select {
	case <-c.Ready():
		return true
	default:
		return false
	}
}

func TestCursorFromAnywhere(t *testing.T) {
	for name, opt := range map[string]Options{
		"in memory":        {},
		"mostly from file": {windowBytes: 1, sealBytes: 16 << 10, MaxSize: 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			j := openTest(t, "", opt)
			for i := range 30 {
				appendAll(t, j, bw(i*100+1, 100)...)
			}
			for _, from := range []uint64{1, 2, 100, 101, 1717, 2999, 3000, 3001} {
				c := j.NewCursor(from, event.AllTypes())
				if !ready(c) {
					t.Errorf("from %d: not ready", from)
				}
				recs, gaps, _ := drain(t, c)
				if !slices.Equal(numbers(recs), span(from, 3000)) || gaps != nil {
					t.Errorf("from %d: %d records, gaps %v", from, len(recs), gaps)
				}
				if c.Position() != 3001 {
					t.Errorf("from %d: position %d", from, c.Position())
				}
				c.Close()
			}
			end := j.NewCursor(0, event.AllTypes())
			defer end.Close()
			ahead := j.NewCursor(3003, event.AllTypes())
			defer ahead.Close()
			appendAll(t, j, bw(3001, 5)...)
			if recs, _, _ := drain(t, end); !slices.Equal(numbers(recs), span(3001, 3005)) {
				t.Errorf("from the end: %v", numbers(recs))
			}
			if recs, _, _ := drain(t, ahead); !slices.Equal(numbers(recs), span(3003, 3005)) {
				t.Errorf("from a number to come: %v", numbers(recs))
			}
		})
	}
}

// Every cursor gets every record of its types once, in order, wherever and
// whenever it began, while records are sealed, evicted from memory and read
// from the file.
func TestCursorsExactlyOnce(t *testing.T) {
	const total, cursors = 20_000, 40
	j := openTest(t, "", Options{MaxSize: 64 << 20, sealBytes: 16 << 10, windowBytes: 32 << 10})
	sets := []event.Set{event.AllTypes(), event.NewSet(event.BW), event.NewSet(event.CIRC, event.NOTICE), event.NewSet("ODD")}
	typeOf := func(seq uint64) event.Type { return []event.Type{event.BW, event.CIRC, event.NOTICE, "ODD"}[seq%4] }
	var wg sync.WaitGroup
	read := func(from uint64, set event.Set, slow bool) {
		c := j.NewCursor(from, set)
		defer c.Close()
		next := max(from, 1)
		for next <= total {
			ch, err := c.Next(context.Background())
			if err != nil || ch.Gap != nil || ch.Lost != nil {
				t.Errorf("%v, gap %v, lost %v", err, ch.Gap, ch.Lost)
				return
			}
			for _, r := range ch.Records {
				for next < r.Seq && !set.Has(typeOf(next)) {
					next++
				}
				if r.Seq != next || string(r.Wire) != fmt.Sprintf("650 %s %d\r\n", typeOf(next), next) {
					t.Errorf("record %d %q, want %d", r.Seq, r.Wire, next)
					return
				}
				next++
			}
			for next <= total && !set.Has(typeOf(next)) {
				next++
			}
			if ch.empty() && next <= total {
				<-c.Ready()
			} else if slow && rand.IntN(20) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	for i := range cursors {
		wg.Go(func() { read(1+uint64(i%7)*500, sets[i%len(sets)], i%3 == 0) })
	}
	for seq := 1; seq <= total; {
		n := 1 + rand.IntN(200)
		var evs []event.Event
		for ; n > 0 && seq <= total; n-- {
			evs = append(evs, raw("650 %s %d", typeOf(uint64(seq)), seq))
			seq++
		}
		if err := j.Append(within(t), evs...); err != nil {
			t.Fatal(err)
		}
		if seq%5 == 0 {
			_ = j.Flush(within(t))
		}
	}
	wg.Wait()
}

// A cursor that the ring has overtaken is told once what is gone, and goes on
// with what is there.
func TestCursorGap(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: MinMaxSize, windowBytes: 1})
	fill(t, j, 4<<20)
	if err := j.Pack(within(t)); err != nil { // or a block that is sealed meanwhile evicts more
		t.Fatal(err)
	}
	b, err := j.Bounds(within(t))
	if err != nil || b.First < 100 {
		t.Fatalf("bounds %+v, %v: nothing was evicted", b, err)
	}
	for _, set := range []event.Set{event.AllTypes(), event.NewSet(event.HS_DESC_CONTENT)} {
		c := j.NewCursor(5, set)
		recs, gaps, _ := drain(t, c)
		if !slices.Equal(gaps, []Gap{{5, b.First - 1}}) {
			t.Errorf("gaps %v, want 5 to %d", gaps, b.First-1)
		}
		if !slices.Equal(numbers(recs), span(b.First, b.Last)) {
			t.Errorf("%d records, want %d to %d", len(recs), b.First, b.Last)
		}
		c.Close()
	}
	c := j.NewCursor(5, event.NewSet(event.STREAM)) // none there
	defer c.Close()
	if recs, gaps, _ := drain(t, c); len(recs) != 0 || !slices.Equal(gaps, []Gap{{5, b.First - 1}}) {
		t.Errorf("records %v, gaps %v", numbers(recs), gaps)
	}
}

// fill appends about that many bytes that hardly compress.
func fill(t testing.TB, j *Journal, size int) {
	t.Helper()
	r := rand.NewChaCha8([32]byte{1})
	for n := 0; n < size; n += 1000 {
		buf := make([]byte, 500)
		_, _ = r.Read(buf)
		if err := j.Append(within(t), raw("650 HS_DESC_CONTENT %x", buf)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
}

func TestCursorLiveOnly(t *testing.T) {
	j := openTest(t, "", Options{windowBytes: 4 << 10})
	live := func(format string, args ...any) event.Event { return event.Live{Event: raw(format, args...)} }
	all := j.NewCursor(0, event.AllTypes())
	defer all.Close()
	lagging := j.NewCursor(0, event.NewSet(event.STREAM, event.BW))
	defer lagging.Close()
	appendAll(t, j, live("650 STREAM 1"), raw("650 BW 1 1"), live("650 STREAM 2"), live("650 CIRC 1"), raw("650 BW 2 2"))
	recs, _, _ := drain(t, all)
	want := []string{"650 STREAM 1\r\n", "650 BW 1 1\r\n", "650 STREAM 2\r\n", "650 CIRC 1\r\n", "650 BW 2 2\r\n"}
	if !slices.Equal(wires(recs), want) || !slices.Equal(numbers(recs), []uint64{0, 1, 0, 0, 2}) {
		t.Errorf("got %q with numbers %v", wires(recs), numbers(recs))
	}
	for i := range 100 {
		appendAll(t, j, raw("650 BW 3 %d", i), live("650 STREAM 3"), live("650 NS"))
	}
	recs, gaps, lost := drain(t, lagging)
	var streams uint64
	var seqs []uint64
	for _, r := range recs {
		if r.Type == event.STREAM {
			streams++
		} else {
			seqs = append(seqs, r.Seq)
		}
	}
	if !slices.Equal(seqs, span(1, 102)) || gaps != nil {
		t.Errorf("recorded %v, gaps %v", seqs, gaps)
	}
	if streams == 0 || streams+lost[event.STREAM] != 102 || len(lost) != 1 {
		t.Errorf("%d live-only events came, lost %v; together they were 102", streams, lost)
	}
	replay := j.NewCursor(1, event.AllTypes())
	defer replay.Close()
	if _, _, lost := drain(t, replay); len(lost) != 0 {
		t.Errorf("a cursor that came later lost %v", lost)
	}
	if recs, _ := readAll(t, j, Range{}); !slices.Equal(numbers(recs), span(1, 102)) {
		t.Errorf("recorded %v", numbers(recs))
	}
}

// A cursor is woken for types that it wants and for no others, and what it
// does not want makes it neither lag nor lose.
func TestCursorWakesForItsTypes(t *testing.T) {
	j := openTest(t, "", Options{windowBytes: 4 << 10})
	c := j.NewCursor(0, event.NewSet(event.CIRC))
	defer c.Close()
	for i := range 200 {
		appendAll(t, j, bw(i, 1)...)
	}
	if ready(c) {
		t.Fatal("woken by BW")
	}
	if c.Position() != 201 {
		t.Errorf("position %d, want 201", c.Position())
	}
	appendAll(t, j, raw("650 CIRC 1 BUILT"))
	if !ready(c) {
		t.Fatal("not woken by CIRC")
	}
	for i := range 200 { // the node with CIRC must not be what saves it
		appendAll(t, j, bw(i, 1)...)
	}
	ch, err := c.Next(within(t))
	if err != nil || len(ch.Records) != 1 || ch.Records[0].Seq != 201 || ch.Gap != nil {
		t.Fatalf("got %+v, %v", ch, err)
	}
	if recs, _, lost := drain(t, c); len(recs) != 0 || len(lost) != 0 {
		t.Fatalf("then %v, lost %v", numbers(recs), lost)
	}
}

// New types hold from where the cursor is: one that has read everything gets
// nothing of the past, not even what it was not woken for.
func TestCursorSetTypes(t *testing.T) {
	j := openTest(t, "", Options{})
	c := j.NewCursor(0, event.NewSet(event.CIRC))
	defer c.Close()
	appendAll(t, j, bw(1, 3)...)
	c.SetTypes(event.NewSet(event.CIRC, event.BW))
	appendAll(t, j, bw(4, 2)...)
	if !ready(c) {
		t.Fatal("not woken for a new type")
	}
	if recs, _, _ := drain(t, c); !slices.Equal(numbers(recs), span(4, 5)) {
		t.Fatalf("got %v, want 4 and 5", numbers(recs))
	}
	c.SetTypes(event.NewSet())
	ready(c)
	appendAll(t, j, bw(6, 1)...)
	if recs, _, _ := drain(t, c); ready(c) || len(recs) != 0 {
		t.Fatal("an empty set selects nothing")
	}
	c.SetTypes(event.AllTypes())
	c.Seek(2)
	if recs, _, _ := drain(t, c); !slices.Equal(numbers(recs), span(2, 6)) {
		t.Fatalf("after Seek(2) %v", numbers(recs))
	}
	c.Seek(0)
	ready(c)
	if recs, _, _ := drain(t, c); len(recs) != 0 {
		t.Fatalf("after Seek(0) %v", numbers(recs))
	}
	appendAll(t, j, bw(7, 1)...)
	if recs, _, _ := drain(t, c); !slices.Equal(numbers(recs), span(7, 7)) {
		t.Fatalf("then %v", numbers(recs))
	}
}

func TestCursorAfterClose(t *testing.T) {
	j := openTest(t, "", Options{})
	c, idle := j.NewCursor(0, event.AllTypes()), j.NewCursor(0, event.AllTypes())
	appendAll(t, j, bw(1, 3)...)
	closeTest(t, j)
	recs := 0
	for {
		ch, err := c.Next(within(t))
		if errors.Is(err, ErrClosed) {
			break
		}
		if err != nil || ch.empty() {
			t.Fatalf("%+v, %v", ch, err)
		}
		recs += len(ch.Records)
	}
	if recs != 3 {
		t.Errorf("%d records before ErrClosed, want 3", recs)
	}
	if !ready(idle) {
		t.Error("an idle cursor does not hear of the end")
	}
	if err := j.Append(within(t), raw("650 BW 1 1")); !errors.Is(err, ErrClosed) {
		t.Errorf("Append: %v, want ErrClosed", err)
	}
	if _, err := j.Fetch(within(t), 1, Range{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Fetch: %v, want ErrClosed", err)
	}
	if err := j.Wait(within(t), 100); !errors.Is(err, ErrClosed) {
		t.Errorf("Wait: %v, want ErrClosed", err)
	}
	if _, _, err := j.BeginSession(within(t), event.Source{}); !errors.Is(err, ErrClosed) {
		t.Errorf("BeginSession: %v, want ErrClosed", err)
	}
}

// A large event and many small ones in one call, in every kind of chunk.
func TestCursorLargeRecords(t *testing.T) {
	for _, window := range []int{1, windowBytes} {
		j := openTest(t, "", Options{windowBytes: window})
		var evs []event.Event
		for i := range 200 {
			evs = append(evs, raw("650 NS %0*d", 1+i*i*3, i))
		}
		appendAll(t, j, evs...)
		appendAll(t, j, raw("650 NEWCONSENSUS %s", strings.Repeat("x", 9<<20)))
		c := j.NewCursor(1, event.AllTypes())
		recs, _, _ := drain(t, c)
		c.Close()
		if len(recs) != 201 {
			t.Fatalf("window %d: %d records", window, len(recs))
		}
		for i, ev := range evs {
			if string(recs[i].Wire) != string(ev.Format()) {
				t.Fatalf("window %d: record %d differs", window, i+1)
			}
		}
		if len(recs[200].Wire) < 9<<20 {
			t.Fatalf("window %d: the large event has %d bytes", window, len(recs[200].Wire))
		}
	}
}

// What the ring has given up is gone for those, too, who come for it while
// somebody else has just read it.
func TestCursorGetsNothingEvicted(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: 1 << 20, windowBytes: 1, sealBytes: 16 << 10})
	appendAll(t, j, bw(1, 100)...)
	appendAll(t, j, bw(1, 1)...)
	read := func() (recs []Record, gaps []Gap) {
		c := j.NewCursor(1, event.AllTypes())
		defer c.Close()
		ch, err := c.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if ch.Gap != nil {
			gaps = append(gaps, *ch.Gap)
		}
		return slices.Clone(ch.Records), gaps
	}
	if recs, gaps := read(); len(recs) == 0 || recs[0].Seq != 1 || gaps != nil || j.cache.get(1) == nil {
		t.Fatalf("%d records, gaps %v: nothing is tested", len(recs), gaps)
	}
	for i := 0; j.Stats().First <= 101; i++ {
		appendAll(t, j, raw("650 NOTICE %s", noise(i, 20<<10)))
	}
	if _, gaps := read(); len(gaps) != 1 || gaps[0].From != 1 || gaps[0].To < 101 {
		t.Errorf("gaps %v, want one from record 1", gaps)
	}
}
