package columns

import (
	"bytes"
	"testing"
)

// Any bytes, cut into records at "|", come back as they were.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range odd {
		f.Add([]byte(s))
	}
	var all []byte
	for _, r := range life(60) {
		all = append(append(all, r.Wire...), '|')
	}
	f.Add(all)
	e, z := newPair(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var rows []Row
		for i, wire := range bytes.Split(data, []byte{'|'}) {
			r := row(int64(i*i)-int64(len(wire))<<20, string(wire))
			rows = append(rows, r)
		}
		for _, r := range rows {
			e.Append(r)
		}
		out, err := e.Finish(nil)
		if err != nil {
			return
		}
		checkSame(t, z, out, rows, nil)
		checkSame(t, z, out, rows, func(typ string) bool { return typ == rows[0].Type })
	})
}

// A damaged block is an error or gives something; it does not panic, and what
// it gives is no more than the header allows.
func FuzzDecode(f *testing.F) {
	e, z := newPair(f)
	rows := life(80)
	for i, s := range odd {
		rows = append(rows, row(int64(i), s))
	}
	f.Add(encode(f, e, rows), 3, byte(1))
	e.out.plain = true
	f.Add(encode(f, e, rows[:40]), 700, byte(0x80))
	f.Add(encode(f, e, rows[60:]), 1500, byte(0xff))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if len(data) > 0 {
			data[uint(at)%uint(len(data))] ^= flip
		}
		const limit = 1 << 16
		size := 0
		_ = Decode(z, data, len(rows), limit, nil, func(_ int, r Row) { size += len(r.Wire) })
		if size > limit {
			t.Fatalf("%d bytes came, %d were allowed", size, limit)
		}
	})
}
