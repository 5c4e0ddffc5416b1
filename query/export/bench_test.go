package export

import (
	"io"
	"runtime"
	"slices"
	"testing"

	"torjournal/journal"
	"torjournal/journal/journaltest"
	"torjournal/tor/event"
)

// BenchmarkWrite measures the forms alone, on events of real tors.
func BenchmarkWrite(b *testing.B) {
	recs := corpus(b)
	for _, f := range Forms() {
		b.Run(f.Name, func(b *testing.B) {
			w, err := f.Events(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				for part := range slices.Chunk(recs, portionRecords) {
					if err := w.Write(part); err != nil {
						b.Fatal(err)
					}
				}
				n += len(recs)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkExport measures an export of a journal, of 500,000 events: reading
// and writing, and the memory that the program then has.
func BenchmarkExport(b *testing.B) {
	recs := corpus(b)
	j := journaltest.OpenAt(b, b.TempDir()+"/journal.db", journal.Options{MaxSize: 512 << 20})
	var evs []event.Event
	for i := range 500_000 {
		if evs = append(evs, event.NewRaw(recs[i%len(recs)].Wire)); len(evs) == 4096 {
			j.Add(evs...)
			evs = evs[:0]
		}
	}
	j.Add(evs...)
	if err := j.Pack(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, f := range Forms() {
		b.Run(f.Name, func(b *testing.B) {
			var n uint64
			for b.Loop() {
				w, err := f.Events(io.Discard)
				if err != nil {
					b.Fatal(err)
				}
				some, err := Copy(b.Context(), j, journal.Range{}, nil, noGap, w)
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
				n += some
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-of-system")
		})
	}
}
