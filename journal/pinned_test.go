package journal

import (
	"encoding/hex"
	"math/rand"
	"path/filepath"
	"testing"
	"time"

	"torjournal/tor/event"
)

// A reader that stays long pins the pages that are freed meanwhile. The ring
// must not be emptied for it: the writer waits, and goes on when it ends.
func TestLongReaderDoesNotEmptyTheRing(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"), Options{MaxSize: 2 << 20, roomWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	rng := rand.New(rand.NewSource(1))
	buf := make([]byte, 400)
	add := func() {
		rng.Read(buf)
		if err := j.Append(t.Context(), event.NewRaw([]byte("650 NOTICE "+hex.EncodeToString(buf)+"\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	for range 8000 {
		add()
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := j.Bounds(t.Context())
	if err != nil || before.First == 1 {
		t.Fatalf("the ring is not full: %+v, %v", before, err)
	}

	const came = 600
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = j.store.view(func(*txn) error { close(begun); <-end; return nil })
	}()
	<-begun
	added, stands := 0, false
	for ; added < came && !stands; added++ { // one commit each, until the pages are used up
		add()
		last, deadline := j.win.published(), time.Now().Add(200*time.Millisecond)
		for j.win.published() == last && !stands {
			time.Sleep(100 * time.Microsecond)
			stands = time.Now().After(deadline)
		}
	}
	if !stands {
		t.Error("the reader never stood in the way: nothing was tested")
	}
	close(end)
	<-done
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := j.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if gone := after.First - before.First; gone > 4*came || after.Last != before.Last+uint64(added) {
		t.Errorf("%d records came, %d were evicted; before %+v, after %+v", added, gone, before, after)
	}
}
