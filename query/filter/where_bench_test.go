package filter

import (
	"testing"
	"time"
)

// BenchmarkMatch says what one record costs, of those that a client's tor
// makes: all of them, as `replay --where` meets them without the index.
func BenchmarkMatch(b *testing.B) {
	recs := recording(b, "../../testdata/corpus/client.jsonl")
	for _, e := range []string{
		`Type == "BW"`,
		`Status == "FAILED"`,
		`Type == "CIRC" && Reason == "TIMEOUT"`,
		`Type == "CIRC" && Status != "BUILT"`,
		`Read > 1000000`,
		`Target contains "example"`,
		`any(Path, .Nickname == "relay7")`,
		`any(Path, .Nickname != "relay7")`,
		`lower(Line) matches "timeout|destroyed"`,
		`CircID == "42"`,
	} {
		b.Run(e, func(b *testing.B) {
			w, err := CompileWhere(e, time.Now(), time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			m, matches, i := NewMatcher(), 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := m.Match(w, &recs[i%len(recs)]); err != nil {
					b.Fatal(err)
				} else if ok {
					matches++
				}
				i++
			}
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(100*float64(matches)/float64(i), "%matched")
		})
	}
}

func BenchmarkCompileWhere(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CompileWhere(`Type == "CIRC" && Reason == "TIMEOUT"`, time.Now(), time.UTC); err != nil {
			b.Fatal(err)
		}
	}
}
