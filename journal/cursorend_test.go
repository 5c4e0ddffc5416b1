package journal

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"torjournal/tor/event"
)

// A chunk that is an End says so rightly: the next look finds nothing and what
// comes then calls the cursor, once. A chunk that is none is followed by more,
// or by a look that finds nothing. Wires are the records' bytes.
func TestCursorEnd(t *testing.T) {
	sets := map[string]event.Set{"all": event.AllTypes(), "BW": event.NewSet(event.BW), "BW by name": event.NewSet(event.BW, "UNHEARD_OF")}
	for name, types := range sets {
		for _, commits := range []int{1, 3, chunkNodes, chunkNodes + 1} {
			for _, events := range []int{1, chunkRecords, chunkRecords + 1, 300} {
				t.Run(fmt.Sprintf("%s/%d of %d", name, commits, events), func(t *testing.T) { cursorEnd(t, types, commits, events) })
			}
		}
	}
}

func cursorEnd(t *testing.T, types event.Set, commits, events int) {
	j := openTest(t, "", Options{})
	defer closeTest(t, j)
	var calls atomic.Int32
	c := j.NewCursorFunc(0, types, func(bool) { calls.Add(1) })
	defer c.Close()
	if calls.Load() != 0 {
		t.Error("called when nothing had come")
	}
	for round := range 3 {
		calls.Store(0)
		for range commits {
			evs := append(bw(1, events), raw("650 CIRC 1 BUILT"))
			appendAll(t, j, evs...)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("round %d: called %d times, want once", round, n)
		}
		got := 0
		for end := false; !end; {
			ch, err := c.Next(within(t))
			if err != nil {
				t.Fatal(err)
			}
			var joined []byte
			for _, r := range ch.Records {
				joined = append(joined, r.Wire...)
				if r.Type == event.BW {
					got++
				}
			}
			if ch.Wires != nil && !bytes.Equal(ch.Wires, joined) {
				t.Errorf("the wires are %.60q…, the records %.60q…", ch.Wires, joined)
			}
			end = ch.End || ch.empty()
		}
		if got != commits*events {
			t.Errorf("round %d: %d records before the end, want %d", round, got, commits*events)
		}
	}
	if ch, err := c.Next(within(t)); err != nil || !ch.empty() {
		t.Errorf("after the end came %+v, %v", ch, err)
	}
}
