package query

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

func buildRows(t testing.TB, m *memory, r journal.Range) (out []*Build) {
	t.Helper()
	if _, err := builds(t.Context(), m, r, Part{}, func(b *Build) error { out = append(out, b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBuilds(t *testing.T) {
	var b strings.Builder
	id := 0
	build := func(at string, ms int, more string) {
		id++
		from := clock(t, at)
		fmt.Fprintf(&b, "%s CIRC %d LAUNCHED PURPOSE=GENERAL\n%s CIRC %d BUILT $A,$B,$C PURPOSE=GENERAL%s\n",
			from.Format("15:04:05.000"), id, from.Add(time.Duration(ms)*time.Millisecond).Format("15:04:05.000"), id, more)
	}
	b.WriteString("07:59:00 BUILDTIMEOUT_SET RESET TOTAL_TIMES=0 TIMEOUT_MS=60000 CLOSE_MS=60000\n")
	build("08:00:00", 9000, "") // while tor learns
	b.WriteString("08:01:00 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=1000 TIMEOUT_RATE=0.25 CLOSE_MS=60000\n")
	for i := range 100 {
		build("08:02:00", 10*(i+1), "")
	}
	b.WriteString("08:03:00 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=101 TIMEOUT_MS=1050 CLOSE_MS=60000\n") // no tenth
	b.WriteString("08:03:10 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=102 TIMEOUT_MS=1101 CLOSE_MS=60000\n")
	b.WriteString("08:04:00 CIRC 900 LAUNCHED\n08:04:02 CIRC 900 FAILED $A REASON=TIMEOUT\n08:04:20 CIRC 900 BUILT $A,$B,$C PURPOSE=MEASURE_TIMEOUT\n")
	b.WriteString("08:05:00 CIRC 901 LAUNCHED\n")
	m := story(t, b.String())
	rows := buildRows(t, m, journal.Range{})
	sum := rows[0]
	if sum.What != BuildSum || *sum.Circuits != 100 || *sum.Learning != 2 || sum.MinMS != 10 || sum.P10MS != 100 || sum.P50MS != 500 ||
		sum.P80MS != 800 || sum.P90MS != 900 || sum.P95MS != 950 || sum.P99MS != 990 || sum.MaxMS != 1000 || sum.MeanMS != 505 {
		t.Errorf("%+v", *sum)
	}
	counted, end := 0, int64(0)
	var timeouts []string
	for _, row := range rows[1:] {
		switch row.What {
		case BuildBucket:
			counted += *row.Circuits
			if *row.FromMS != end {
				t.Errorf("a bucket from %d follows one to %d", *row.FromMS, end)
			}
			if row.ToMS != nil {
				end = *row.ToMS
			}
		case BuildTimeout:
			timeouts = append(timeouts, fmt.Sprintf("%s %d", row.Kind, row.TimeoutMS))
		}
	}
	if counted != 100 || !slices.Equal(timeouts, []string{"RESET 60000", "COMPUTED 1000", "COMPUTED 1101"}) {
		t.Errorf("%d circuits in buckets; %q", counted, timeouts)
	}
	if rows := buildRows(t, m, journal.Range{Until: clock(t, "07:00:00")}); len(rows) != 0 {
		t.Errorf("before the first event: %d rows", len(rows))
	}
	if rows := buildRows(t, m, journal.Range{Until: clock(t, "08:00:30")}); len(rows) != 2 || *rows[0].Circuits != 0 || *rows[0].Learning != 1 || rows[0].BuildTimes != nil {
		t.Errorf("only learning: %+v", rows)
	}
}

// The percentiles of recorded tors are those that python computes of what stem
// parses.
func TestBuildsAgreeWithStem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts python")
	}
	for _, file := range corpora(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := corpus(t, file)
			var want map[string]int64
			stemCount(t, "stem_builds.py", m, &want)
			got := &Build{Circuits: new(int), Learning: new(int)}
			if rows := buildRows(t, m, journal.Range{}); len(rows) > 0 && rows[0].What == BuildSum {
				got = rows[0]
			}
			if got.BuildTimes == nil {
				got.BuildTimes = new(BuildTimes)
			}
			for name, n := range map[string]int64{
				"circuits": int64(*got.Circuits), "learning": int64(*got.Learning), "min": got.MinMS, "p50": got.P50MS, "p90": got.P90MS,
				"p99": got.P99MS, "max": got.MaxMS, "mean": got.MeanMS,
			} {
				if want[name] != n {
					t.Errorf("%s: %d, stem has %d", name, n, want[name])
				}
			}
		})
	}
}

// What is launched between RESET and COMPUTED of one session does not count, nor
// what is only measured; whatever else does.
func TestBuildsThatDoNotCount(t *testing.T) {
	f := func(name string, circuits, learning int, lines string) {
		t.Helper()
		rows := buildRows(t, story(t, lines), journal.Range{Since: clock(t, "08:00:00")})
		if len(rows) == 0 || rows[0].What != BuildSum || *rows[0].Circuits != circuits || *rows[0].Learning != learning {
			t.Errorf("%s: %+v", name, rows)
		}
	}
	const reset, computed = "BUILDTIMEOUT_SET RESET TIMEOUT_MS=60000 CLOSE_MS=60000\n", "BUILDTIMEOUT_SET COMPUTED TIMEOUT_MS=1000 CLOSE_MS=60000\n"
	build := func(launched, built string) string {
		return launched + " CIRC 1 LAUNCHED PURPOSE=GENERAL\n" + built + " CIRC 1 BUILT $A PURPOSE=GENERAL\n"
	}
	f("launched before RESET", 1, 0, build("08:00:01", "08:00:03")+"08:00:04 "+reset)
	f("launched while tor learns, built when it has learned", 0, 1, "08:00:00 "+reset+build("08:00:01", "08:00:03")[:len("08:00:01 CIRC 1 LAUNCHED PURPOSE=GENERAL\n")]+"08:00:02 "+computed+"08:00:03 CIRC 1 BUILT $A PURPOSE=GENERAL\n")
	f("behind COMPUTED", 1, 0, "08:00:00 "+reset+"08:00:01 "+computed+build("08:00:02", "08:00:03"))
	f("RESET lies before the range", 0, 1, "07:00:00 "+reset+build("08:00:02", "08:00:03"))
	f("another RESET", 0, 1, "07:00:00 "+reset+"07:00:01 "+computed+"07:00:02 "+reset+"07:00:03 "+reset+build("08:00:02", "08:00:03"))
	f("another tor", 1, 0, "07:00:00 "+reset+"session 2\n"+build("08:00:02", "08:00:03"))
	f("only measured", 0, 1, "08:00:01 CIRC 1 LAUNCHED PURPOSE=GENERAL\n08:00:02 CIRC_MINOR 1 PURPOSE_CHANGED $A PURPOSE=MEASURE_TIMEOUT OLD_PURPOSE=GENERAL\n08:00:03 CIRC 1 BUILT $A PURPOSE=MEASURE_TIMEOUT\n")
}
