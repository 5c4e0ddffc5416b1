package journal

import (
	"testing"

	"torjournal/tor/event"
)

// A cursor asks what is published, and before it has looked into the file its
// records are sealed, with later ones, into a block that reaches beyond that.
// It must look again, not pass over them.
func TestCursorFindsRecordsThatWereSealedMeanwhile(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog, sealBytes: 1 << 10, growBytes: 1})
	var block header
	for block.last < 10 { // until the file begins with a block of several records
		appendAll(t, j, bw(1, 1)...)
		st, err := j.Fetch(within(t), 1, Range{})
		if err != nil {
			t.Fatal(err)
		}
		if block, _, _, err = splitEnvelope(st.Data); err != nil {
			t.Fatal(err)
		}
	}
	c := j.NewCursor(2, event.AllTypes())
	defer c.Close()
	var ch Chunk
	stale := uint64(5) // what was published when the cursor asked
	if run, err := c.load(within(t), stale, &ch); err != nil || run != nil || c.seq != 2 || ch.Gap != nil {
		t.Fatalf("the cursor is at %d, gap %+v, %v", c.seq, ch.Gap, err)
	}
	if ch, err := c.Next(within(t)); err != nil || len(ch.Records) == 0 || ch.Records[0].Seq != 2 {
		t.Errorf("the cursor got %+v, %v", ch, err)
	}
}
