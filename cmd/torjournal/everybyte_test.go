package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"torjournal/journal"
	"torjournal/tor/event"
)

// everyByte returns the journal's file as it lies on disk; behind it every
// record of every envelope that is whole, in live pages and in freed ones; and
// behind that what any compressed frame holds, also one that has lost its end.
// See journal/FORMAT.md.
func everyByte(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := slices.Clone(raw)
	records := 0
	for at := range occurrences(raw, []byte("tjbk")) {
		for _, r := range carved(raw[at:]) {
			out = append(out, r.Wire...)
			records++
		}
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	frames := 0
	for at := range occurrences(raw, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		if err := dec.Reset(bytes.NewReader(raw[at:])); err != nil {
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(dec, 64<<20)) // what follows the frame is no frame
		if len(text) > 0 {
			frames++
			out = append(out, text...)
		}
	}
	if records == 0 || frames == 0 {
		t.Fatalf("%s: %d records and %d compressed frames found, so nothing was searched", path, records, frames)
	}
	return out
}

// carved returns the records of the envelope that data begins with, nil if it
// is none, or not whole.
func carved(data []byte) []journal.Record {
	const header = 72
	if len(data) < header {
		return nil
	}
	size := header + uint64(binary.BigEndian.Uint32(data[8:]))
	if size > uint64(len(data)) {
		return nil
	}
	recs, err := journal.Stored{
		First: binary.BigEndian.Uint64(data[16:]), Last: binary.BigEndian.Uint64(data[24:]), Data: data[:size],
	}.Decode(event.Set{})
	if err != nil {
		return nil
	}
	return recs
}

// occurrences yields every place where word stands in data.
func occurrences(data, word []byte) func(yield func(at int) bool) {
	return func(yield func(int) bool) {
		for at := 0; ; at++ {
			i := bytes.Index(data[at:], word)
			if i < 0 || !yield(at+i) {
				return
			}
			at += i
		}
	}
}
