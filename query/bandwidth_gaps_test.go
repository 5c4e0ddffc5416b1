package query

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

// seconds tells a BW event for each second from one time to before another.
func seconds(t *testing.T, from, to string, read, written int) string {
	t.Helper()
	var b strings.Builder
	for at := clock(t, from); at.Before(clock(t, to)); at = at.Add(time.Second) {
		fmt.Fprintf(&b, "%s BW %d %d\n", at.Format("15:04:05"), read, written)
	}
	return b.String()
}

// What snapshots tell of times without BW events: how much tor carried then.
func TestUnrecordedBytes(t *testing.T) {
	f := func(name, lines string, r journal.Range, want ...string) {
		t.Helper()
		m := story(t, lines)
		for i, s := range m.sessions {
			if s.ID == 7 { // known to have begun before it was recorded
				m.sessions[i].Source.Started = s.Begun.Add(-time.Minute)
			}
		}
		for _, step := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour} {
			if step == time.Hour && strings.Contains(name, "short") {
				continue
			}
			answer, err := bandwidths(t.Context(), m, r, step, Part{}, func(*Bandwidth) error { return nil })
			var got strings.Builder
			enc := json.NewEncoder(&got)
			for _, u := range answer.Unrecorded {
				err = enc.Encode(u)
			}
			if err != nil {
				t.Fatal(err)
			}
			wantRows(t, fmt.Sprintf("%s by %v", name, step), got.String(), want...)
		}
	}
	begin := "08:00:00 SNAPSHOT traffic=1000,100\n" + seconds(t, "08:00:01", "08:02:01", 10, 1)
	after := seconds(t, "08:05:01", "08:06:00", 10, 1)
	known := `{"from":"08:02:00.000000Z","to":"08:05:00.000000Z","seconds":180,"read_bytes":5000,"written_bytes":50}`
	f("the recorder was away", begin+"08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{}, known)
	f("only gaps of the range count", begin+"08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{Until: clock(t, "08:02:00")})
	f("a range inside of it has no rows", begin+"08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{Since: clock(t, "08:03:00"), Until: clock(t, "08:04:00")})
	f("one before the range", begin+"08:05:00 SNAPSHOT traffic=7200,270\n"+after+"08:10:00 BW 1 1\n", journal.Range{Since: clock(t, "08:05:30")})
	f("as of before the snapshot", begin+"08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{To: 121})
	f("another tor: nothing is known of it", begin+"session 2\n08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{})
	f("another tor, whose start is known", begin+"session 7\n08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{},
		`{"from":"08:04:00.000000Z","to":"08:05:00.000000Z","seconds":60,"read_bytes":7200,"written_bytes":270}`)
	f("counts went back: another tor after all", begin+"08:05:00 SNAPSHOT traffic=1,270\n"+after, journal.Range{})
	f("no counts", begin+"08:05:00 SNAPSHOT\n"+after, journal.Range{})
	f("the clock was put forward", begin+"08:05:00 JOURNAL CLOCK FROM=x TO=y\n08:05:00 SNAPSHOT traffic=7200,270\n"+after, journal.Range{})
	f("no snapshot after it yet", begin+after, journal.Range{})
	f("the hour's snapshot, not that of the attach", begin+after+"08:06:00 SNAPSHOT traffic=7790,329\n08:06:00.5 BW 1 1\n", journal.Range{},
		`{"from":"08:02:00.000000Z","to":"08:05:00.000000Z","seconds":180,"read_bytes":5000,"written_bytes":50}`)
	f("two gaps between two snapshots", begin+after+seconds(t, "08:10:00", "08:11:00", 10, 1)+"08:11:00 SNAPSHOT traffic=9000,1000\n08:11:00.5 BW 1 1\n", journal.Range{},
		`{"from":"08:02:00.000000Z","to":"08:09:59.000000Z","seconds":420,"read_bytes":5610,"written_bytes":661}`)
	f("more recorded than counted, by the second at the edge", begin+"08:05:00 SNAPSHOT traffic=2195,270\n"+after, journal.Range{},
		`{"from":"08:02:00.000000Z","to":"08:05:00.000000Z","seconds":180,"read_bytes":0,"written_bytes":50}`)
	f("a late second is no gap", begin+"08:02:03 BW 1 1\n08:02:04 SNAPSHOT traffic=7200,270\n", journal.Range{})
	f("a short gap", begin+"08:02:10 SNAPSHOT traffic=7200,270\n"+seconds(t, "08:02:11", "08:03:00", 1, 1), journal.Range{},
		`{"from":"08:02:00.000000Z","to":"08:02:10.000000Z","seconds":10,"read_bytes":5000,"written_bytes":50}`)
}

// However much is not recorded, only so much is looked for; what is found is
// told once.
func TestUnrecordedBytesAreBounded(t *testing.T) {
	m := &memory{}
	at := clock(t, "00:00:00")
	const hours = 200
	for hour := range hours {
		m.add(1, at.Add(time.Duration(hour)*time.Hour), snapshotWire(fmt.Sprintf("traffic=%d,%d ", hour*1000, hour*100)))
		m.add(1, at.Add(time.Duration(hour)*time.Hour+30*time.Minute), "650 BW 1 1\r\n")
	}
	for _, step := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		m.read = 0
		answer, err := bandwidths(t.Context(), m, journal.Range{}, step, Part{}, func(*Bandwidth) error { return nil })
		if n := len(answer.Unrecorded); err != nil || n < maxGaps/2 || n > maxGaps {
			t.Fatalf("by %v: %d, %v", step, n, err)
		}
		for i, u := range answer.Unrecorded {
			if u.ReadBytes != 999 || u.Seconds != 3599 || i > 0 && !u.From.After(answer.Unrecorded[i-1].From.Time) {
				t.Errorf("by %v: %+v", step, u)
			}
		}
	}
}

// A total is of what is known.
func TestBandwidthTotal(t *testing.T) {
	lines := seconds(t, "08:00:00", "08:01:00", 10, 1) + seconds(t, "08:01:00", "08:01:30", 100, 0) + seconds(t, "08:03:00", "08:20:00", 3, 2)
	ask := func(m *memory, words ...string) string {
		t.Helper()
		q, _ := FindQuestion("bandwidth")
		o := NewOptions(clock(t, "09:00:00"), time.UTC)
		for i := 0; i < len(words); i += 2 {
			if err := q.Set(o, words[i], words[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		var b strings.Builder
		sum := BandwidthSum{}
		if _, err := bandwidths(t.Context(), m, journal.Range{}, o.step, Part{}, func(b *Bandwidth) error { sum.Add(b); return nil }); err != nil {
			t.Fatal(err)
		}
		if total, ok := sum.Total(); ok {
			if err := NewEncoder(&b).Encode(total); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	// 20 steps, of which one is not known: the 19th of 19 in order is the 95th percentile.
	wantRows(t, "by the minute", ask(story(t, lines), "step", "1m"),
		`{"time":"08:00:00.000000Z","until":"08:20:00.000000Z","step_s":60,"steps":20,"unknown":1,"seconds":1110,"read_bytes":6660,"written_bytes":2100,`+
			`"mean_read":6,"mean_written":2,"peak_read":100,"peak_written":2,"p95_read":100,"p95_written":2}`)
	wantRows(t, "by the second", ask(story(t, lines), "step", "1s"),
		`{"time":"08:00:00.000000Z","until":"08:20:00.000000Z","step_s":1,"steps":1200,"unknown":90,"seconds":1110,"read_bytes":6660,"written_bytes":2100,`+
			`"mean_read":6,"mean_written":2,"peak_read":100,"peak_written":2,"p95_read":10,"p95_written":2}`)
	wantRows(t, "nothing known", ask(story(t, "08:00:00 CIRC 1 LAUNCHED\n08:01:00 CIRC 1 CLOSED"), "step", "1m"),
		`{"time":"08:00:00.000000Z","until":"08:02:00.000000Z","step_s":60,"steps":2,"unknown":2,"seconds":0,"read_bytes":0,"written_bytes":0}`)
	wantRows(t, "nothing there", ask(&memory{}, "step", "1m"))
}
