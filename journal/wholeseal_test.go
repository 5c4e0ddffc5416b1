package journal

import (
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/tor/event"
)

// A seal takes all that the tail holds, over several of its pages, in the
// transaction that appends the next batch.
func TestSealOfTheWholeTailWithTheNextBatch(t *testing.T) {
	j := openTest(t, "", Options{})
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newCommitter(j.store, j.opt, newAgeClock(j.opt))
	if err != nil {
		t.Fatal(err)
	}
	batchOf := func(seq uint64) *batch {
		noise := make([]byte, 150)
		_, _ = rand.Read(noise)
		wire := []byte("650 NOTICE " + hex.EncodeToString(noise) + "\r\n")
		h, data := enc.encode([]Record{{Seq: seq, Time: time.Now().UTC(), Type: event.NOTICE, Wire: wire}})
		return &batch{hdr: h, data: data}
	}
	const tail = 200
	var heads []header
	for seq := uint64(1); seq <= tail; seq++ {
		b := batchOf(seq)
		if _, err := w.commit(&change{batch: b}); err != nil {
			t.Fatal(err)
		}
		heads = append(heads, b.hdr)
	}
	blocks, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&sealer{store: j.store, enc: blocks}).seal(sealJob{heads, bucketTail})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := w.commit(&change{batch: batchOf(tail + 1), seal: s})
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		panic("the commit never ends")
	}
	closeTest(t, j)
	f, err := OpenFile(j.store.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if recs, gaps := readAll(t, f, Range{}); len(recs) != tail+1 || gaps != nil {
		t.Errorf("%d records, gaps %v", len(recs), gaps)
	}
}
