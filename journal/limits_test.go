package journal

import (
	"fmt"
	"path/filepath"
	"testing"
)

// A vacuum leaves no page free, and evicting takes some: a limit that is lower
// than such a file, or hardly larger, stops no recorder.
func TestLowerLimitOfAVacuumedJournal(t *testing.T) {
	for _, more := range []int64{8 << 10, -1 << 20, 0, 512 << 10}[:scaled(4, 1)] {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+d bytes, open %v", more, open), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "journal.db")
				j := openTest(t, path, Options{MaxSize: 16 << 20})
				for i := range 500 {
					appendAll(t, j, raw("650 NOTICE %s", noise(i, 8<<10)))
				}
				v, err := j.Vacuum(within(t), Limits{})
				if err != nil {
					t.Fatal(err)
				}
				limit := v.After + more
				if open {
					if err := j.SetLimits(within(t), Limits{MaxSize: limit}); err != nil {
						t.Fatal(err)
					}
				} else {
					closeTest(t, j)
					j = openTest(t, path, Options{MaxSize: limit})
				}
				for i := range 50 {
					appendAll(t, j, raw("650 NOTICE %s", noise(1000+i, 8<<10)))
				}
				if st := j.Stats(); st.Size > max(v.After, limit)+evictRoom || st.Unjournaled > 0 || st.Last != 550 || st.Found != 1 {
					t.Errorf("a limit of %d: %+v", limit, st)
				}
				if _, err := j.Vacuum(within(t), Limits{}); err != nil {
					t.Fatal(err)
				}
				for i := range 300 {
					appendAll(t, j, raw("650 NOTICE %s", noise(2000+i, 8<<10)))
				}
				if st := j.Stats(); st.Size > limit || st.Last != 850 {
					t.Errorf("a limit of %d after the vacuum: %+v", limit, st)
				}
			})
		}
	}
}
