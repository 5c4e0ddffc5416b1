package query

import (
	"testing"
	"time"

	"torjournal/journal"
)

// benchCorpus is the corpus with the most records.
func benchCorpus(b *testing.B) *memory {
	b.Helper()
	most := &memory{}
	for _, file := range corpora(b) {
		if m := corpus(b, file); len(m.recs) > len(most.recs) {
			most = m
		}
	}
	return most
}

func BenchmarkCircuits(b *testing.B) {
	m := benchCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := circuits(b.Context(), m, journal.Range{}, CircuitPick{}, Part{}, func(*Circuit) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(m.recs))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkBandwidth(b *testing.B) {
	m := benchCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bandwidths(b.Context(), m, journal.Range{}, time.Minute, Part{}, func(*Bandwidth) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(m.recs))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDoctor(b *testing.B) {
	m := benchCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := doctor(b.Context(), m, journal.Range{}, Part{}, func(*Finding) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(m.recs))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkSummary(b *testing.B) {
	m := benchCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := summarize(b.Context(), m, journal.Range{}, Part{}, func(*Summary) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(m.recs))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
