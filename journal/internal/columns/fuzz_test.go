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
	e, d := newPair(f)
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
		checkSame(t, d, out, rows, nil)
		checkSame(t, d, out, rows, func(typ string) bool { return typ == rows[0].Type })
	})
}

// A damaged block is an error or gives something; it does not panic, and what
// it gives is no more than the header allows.
func FuzzDecode(f *testing.F) {
	e, d := newPair(f)
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
		var all []Row
		whole := d.Decode(data, len(rows), limit, Want{}, func(_ int, r Row) bool {
			size += len(r.Wire)
			all = append(all, r)
			return true
		})
		if size > limit {
			t.Fatalf("%d bytes came, %d were allowed", size, limit)
		}
		_ = checkLines(t, d, data, len(rows), limit, Want{})
		odd := Want{Row: func(i int, _ int64) bool { return i%2 == 1 }}
		_ = d.Decode(data, len(rows), limit, odd, func(i int, r Row) bool {
			if whole == nil && (i%2 == 0 || r.Time != all[i].Time || !bytes.Equal(r.Wire, all[i].Wire)) {
				t.Fatalf("record %d is %q, alone it is %q", i, all[i].Wire, r.Wire)
			}
			return true
		})
	})
}
