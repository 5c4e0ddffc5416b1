package journal

import (
	"testing"
	"time"

	"torjournal/tor/event"
)

// A record is published and its wake has not come yet when the cursor's types
// change: it is not lost.
func TestSetTypesBetweenPublicationAndWake(t *testing.T) {
	j := openTest(t, "", Options{})
	c := j.NewCursor(0, event.NewSet(event.BW))
	defer c.Close()
	if ch, err := c.Next(t.Context()); err != nil || !ch.empty() {
		t.Fatalf("%+v, %v", ch, err)
	}
	wire := []byte("650 BW 1 2\r\n")
	nodes := makeNodes([]Record{{Seq: 1, Time: time.Now(), Type: event.BW, Wire: wire}}, []uint8{bitOf(event.BW)})
	w := j.win
	w.mu.Lock() // the first half of publish
	number := w.endLocked()
	w.appendLocked(nodes[0])
	w.mu.Unlock()
	c.SetTypes(event.NewSet(event.BW, event.CIRC))
	w.wake(nodes[0].mask, number) // the second half

	ch, err := c.Next(t.Context())
	if err != nil || len(ch.Records) != 1 || string(ch.Records[0].Wire) != string(wire) {
		t.Errorf("the cursor got %+v, %v", ch, err)
	}
	if ch, err := c.Next(t.Context()); err != nil || !ch.empty() {
		t.Errorf("then %+v, %v", ch, err)
	}
}
