package query

import (
	"slices"
	"testing"
	"time"
)

// A journal file gives the same moments as its records do, and what a busy
// session wrote before the snapshot is not read for it.
func TestMomentsOfAStoredJournal(t *testing.T) {
	src := states(t, `
		08:00:00 STATE circuit-status=1 BUILT $A;stream-status=5 SUCCEEDED 1 a:80
		08:00:01 CIRC 2 LAUNCHED PURPOSE=GENERAL
		08:00:02 STREAM 5 CLOSED 1 a:80 REASON=DONE
		08:00:03 CIRC 1 CLOSED $A REASON=FINISHED
		08:00:04 STATE circuit-status=2 BUILT $B
		08:00:05 CIRC 2 CLOSED $B REASON=FINISHED
	`)
	for _, cut := range []int{1, 3, 100} {
		j := record(t, src, cut)
		for _, rec := range src.recs {
			got, err := At(t.Context(), j, rec.Time, evening)
			if err != nil {
				t.Fatal(err)
			}
			want, err := at(t.Context(), src, rec.Time, evening, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range Kinds() {
				if a, b := slices.Collect(got.Lines(k)), slices.Collect(want.Lines(k)); !slices.Equal(a, b) {
					t.Errorf("%s at %s, %d records a commit: %q, want %q", k, rec.Time.Format(time.TimeOnly), cut, a, b)
				}
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
