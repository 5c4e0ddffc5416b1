package event

import (
	"path/filepath"
	"testing"
)

// sampled returns the sample's records by type, in the order of Types.
func sampled(b *testing.B) (names []Type, wires map[Type][][]byte) {
	files, _ := filepath.Glob(sampleDir + "/*.jsonl")
	wires = map[Type][][]byte{}
	for _, path := range files {
		records(b, path, func(rec record) {
			t := TypeOf([]byte(rec.Raw))
			wires[t] = append(wires[t], []byte(rec.Raw))
		})
	}
	for _, h := range handmade {
		if t := h.event.Type(); wires[t] == nil {
			wires[t] = [][]byte{[]byte(h.wire)}
		}
	}
	for _, t := range Types() {
		if wires[t] != nil {
			names = append(names, t)
		}
	}
	return names, wires
}

// BenchmarkParse parses the records of the sample, one a round.
func BenchmarkParse(b *testing.B) {
	names, wires := sampled(b)
	for _, t := range names {
		b.Run(string(t), func(b *testing.B) {
			b.ReportAllocs()
			wires := wires[t]
			b.SetBytes(meanLen(wires))
			for i := 0; b.Loop(); i++ {
				if _, err := Parse(wires[i%len(wires)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFormat formats the parsed records of the sample, one a round.
func BenchmarkFormat(b *testing.B) {
	names, wires := sampled(b)
	for _, t := range names {
		events := make([]Event, len(wires[t]))
		for i, w := range wires[t] {
			events[i], _ = Parse(w)
		}
		b.Run(string(t), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(meanLen(wires[t]))
			for i := 0; b.Loop(); i++ {
				events[i%len(events)].Format()
			}
		})
	}
}

// BenchmarkTypeOf finds the type of a record that nobody parses.
func BenchmarkTypeOf(b *testing.B) {
	wire := []byte("650 CIRC 7 LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL\r\n")
	b.ReportAllocs()
	for b.Loop() {
		TypeOf(wire)
	}
}

func meanLen(wires [][]byte) int64 {
	n := 0
	for _, w := range wires {
		n += len(w)
	}
	return int64(n / len(wires))
}
