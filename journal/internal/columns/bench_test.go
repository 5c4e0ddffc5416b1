package columns

import "testing"

func BenchmarkEncode(b *testing.B) {
	rows := life(16 << 10)
	e, _ := newPair(b)
	size := 0
	for b.Loop() {
		size = len(encode(b, e, rows))
	}
	report(b, rows)
	b.ReportMetric(float64(size)/float64(len(rows)), "B/event")
}

func BenchmarkDecode(b *testing.B) {
	rows := life(16 << 10)
	e, d := newPair(b)
	data := encode(b, e, rows)
	for _, typ := range []string{"all", "BW", "CIRC"} {
		want := Want{Type: func(s string) bool { return s == typ }}
		if typ == "all" {
			want = Want{}
		}
		b.Run(typ, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(data, len(rows), wireBytes(rows), want, func(int, Row) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
			report(b, rows)
		})
	}
}

func report(b *testing.B, rows []Row) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/event")
}
