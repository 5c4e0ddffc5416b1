package control

import (
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// A time with a blank is quoted, as the control protocol quotes.
func TestReplayTakesQuotedTimes(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1", "650 BW 2 2")
	p := r.subscriber("BW")
	p.send(`REPLAY  SINCE="2001-02-03 04:05" FROM="2" until=2999-01-01` + "\r\n")
	p.expect("250 OK", "650 BW 2 2", "650 JOURNAL CAUGHT_UP SEQ=2")
	p.send(`REPLAY SINCE="2001-02-03 04:05` + "\r\n")
	p.expect("512 Bad arguments to REPLAY: control: a quoted string has no end")
}

// What one controller was shown live and nobody recorded is no history for
// another, though it is still in memory.
func TestReplayTellsNothingThatWasLiveOnly(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	p := r.subscriber("BW STREAM")
	record(t, j, "650 BW 1 1")
	if err := j.Append(t.Context(), event.Live{Event: event.NewRaw([]byte("650 STREAM 9 NEW 0 secret.example:80\r\n"))}); err != nil {
		t.Fatal(err)
	}
	record(t, j, "650 BW 2 2")
	p.expect("650 BW 1 1", "650 STREAM 9 NEW 0 secret.example:80", "650 BW 2 2")
	time.Sleep(2 * time.Millisecond) // a record's time has microseconds
	p.send("REPLAY\r\n")
	p.expect("250 OK", "650 BW 1 1", "650 BW 2 2", "650 JOURNAL CAUGHT_UP SEQ=2")
}
