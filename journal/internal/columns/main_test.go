package columns

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/klauspost/compress/zstd"
)

func newPair(tb testing.TB) (*Encoder, *Decoder) {
	tb.Helper()
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true))
	if err != nil {
		tb.Fatal(err)
	}
	e := NewEncoder(zw)
	z, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStream))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(z.Close)
	return e, NewDecoder(z)
}

func encode(tb testing.TB, e *Encoder, rows []Row) []byte {
	tb.Helper()
	for _, r := range rows {
		e.Append(r)
	}
	out, err := e.Finish(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func wireBytes(rows []Row) (n int) {
	for _, r := range rows {
		n += len(r.Wire)
	}
	return n
}

// checkSame decodes data and compares it with those of rows that are wanted.
func checkSame(tb testing.TB, d *Decoder, data []byte, rows []Row, want func(string) bool) {
	tb.Helper()
	var places []int
	for i, r := range rows {
		if want == nil || want(r.Type) {
			places = append(places, i)
		}
	}
	err := d.Decode(data, len(rows), wireBytes(rows), Want{Type: want}, func(i int, r Row) bool {
		if len(places) == 0 || i != places[0] {
			tb.Fatalf("record %d came, expected those at %v", i, places)
		}
		if r.Type != rows[i].Type || r.Time != rows[i].Time || !bytes.Equal(r.Wire, rows[i].Wire) {
			tb.Fatalf("record %d is\n%s %d %q, not\n%s %d %q", i, r.Type, r.Time, r.Wire, rows[i].Type, rows[i].Time, rows[i].Wire)
		}
		places = places[1:]
		return true
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(places) > 0 {
		tb.Fatalf("records %v did not come", places)
	}
	checkRoom(tb, d, data, rows, want)
	if checkLines(tb, d, data, len(rows), wireBytes(rows), Want{Type: want}) != nil {
		tb.Fatal("with lines it is an error")
	}
}

// checkLines decodes data with lines: lines of one form have the same texts, and no
// cell has what ends a word.
func checkLines(tb testing.TB, d *Decoder, data []byte, n, limit int, want Want) error {
	tb.Helper()
	want.Line = true
	return d.Decode(data, n, limit, want, func(i int, r Row) bool {
		if r.Line == nil {
			return true
		}
		texts, at := "", uint32(0)
		for cell := range slices.Chunk(r.Line.Cells, 2) {
			if cell[0] < at || cell[1] < cell[0] || int(cell[1]) > len(r.Wire) || bytes.ContainsAny(r.Wire[cell[0]:cell[1]], " \r\n") {
				tb.Fatalf("record %d, %q, has cells at %v", i, r.Wire, r.Line.Cells)
			}
			texts += string(r.Wire[at:cell[0]]) + "|"
			at = cell[1]
		}
		texts += string(r.Wire[at:])
		if before, ok := r.Line.Form.Known.(string); ok && before != texts {
			tb.Fatalf("record %d, %q, has the form of %q", i, r.Wire, before)
		}
		r.Line.Form.Known = texts
		return true
	})
}

// checkRoom decodes data into room that was used before, and compares it likewise
// once all is decoded.
func checkRoom(tb testing.TB, d *Decoder, data []byte, rows []Row, want func(string) bool) {
	tb.Helper()
	var room [][]byte
	give := func(n int) []byte {
		room = append(room, bytes.Repeat([]byte{'#'}, n+len(room)%3))
		return room[len(room)-1]
	}
	got := map[int]Row{}
	err := d.Decode(data, len(rows), wireBytes(rows), Want{Type: want, Room: give}, func(i int, r Row) bool {
		got[i] = r
		return true
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i, r := range got {
		if !bytes.Equal(r.Wire, rows[i].Wire) {
			tb.Fatalf("record %d is %q in room, not %q", i, r.Wire, rows[i].Wire)
		}
		if !slices.ContainsFunc(room, func(b []byte) bool { return within(b, r.Wire) }) {
			tb.Fatalf("record %d is not in the room that was given", i)
		}
	}
	for _, b := range room { // it is the caller's again
		clear(b)
	}
}

// within reports whether part is a part of b.
func within(b, part []byte) bool {
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return at >= from && at+uintptr(len(part)) <= from+uintptr(len(b))
}

// row makes a record of a line.
func row(us int64, wire string) Row {
	typ := wire
	if len(typ) > 4 {
		typ = typ[4:]
	}
	for i, c := range typ {
		if c == ' ' || c == '\r' {
			typ = typ[:i]
			break
		}
	}
	return Row{Type: typ, Time: us, Wire: []byte(wire)}
}

const start = 1795423546724619 // µs; 2026-11-23T08:45:46.724619

// life returns the events of circuits and streams as a busy client has them:
// circuits of three hops that are built, carry streams and are counted.
func life(n int) []Row {
	rnd := rand.New(rand.NewPCG(1, 2))
	us := int64(start)
	var rows []Row
	var c clock
	text := func(us int64) []byte {
		b := make([]byte, timeRoom)
		return b[:c.put(b, 0, us)]
	}
	add := func(format string, args ...any) {
		us += rnd.Int64N(900)
		rows = append(rows, row(us, fmt.Sprintf(format, args...)))
	}
	hop := func() string {
		i := rnd.IntN(200)
		return fmt.Sprintf("$%08X%08X%08X%08X%08X~relay%d", i*7919, i*104729, i*1299709, i*15485863, i*32452843, i)
	}
	for id := 1; len(rows) < n; id++ {
		us += 700_000
		made := text(us - rnd.Int64N(300))
		flags := "BUILD_FLAGS=NEED_CAPACITY,NEED_UPTIME PURPOSE=GENERAL TIME_CREATED=" + string(made)
		add("650 CIRC %d LAUNCHED %s\r\n", id, flags)
		path := hop()
		for range 2 {
			add("650 CIRC %d EXTENDED %s %s\r\n", id, path, flags)
			path += "," + hop()
		}
		add("650 CIRC %d EXTENDED %s %s\r\n", id, path, flags)
		add("650 CIRC %d BUILT %s %s\r\n", id, path, flags)
		add("650 STREAM %d NEW 0 host%d.example:443 SOURCE_ADDR=127.0.0.1:%d PURPOSE=USER\r\n", id*3, rnd.IntN(40), 40000+rnd.IntN(9999))
		add("650 STREAM %d SENTCONNECT %d host.example:443\r\n", id*3, id)
		add("650 BW %d %d\r\n", rnd.IntN(90000), rnd.IntN(9000))
		for i := max(1, id-3); i <= id; i++ {
			cells := rnd.IntN(300)
			add("650 CIRC_BW ID=%d READ=%d WRITTEN=%d TIME=%s DELIVERED_READ=%d OVERHEAD_READ=%d\r\n", i, cells*509, 509, text(us-40), cells*400, cells*98)
		}
		if id%7 == 0 {
			add("650 NOTICE Tried for %d seconds to get a connection to [scrubbed]:443. Giving up.\r\n", 100+rnd.IntN(30))
		}
		add("650 CIRC %d CLOSED %s %s REASON=FINISHED\r\n", id, path, flags)
	}
	return rows[:n]
}
