package journal

import "testing"

func BenchmarkOpenClose(b *testing.B) {
	path := b.TempDir() + "/journal.db"
	for b.Loop() {
		j, err := Open(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Append(b.Context(), raw("650 BW 1 1")); err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
