package query

import (
	"errors"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

func TestBandwidth(t *testing.T) {
	m := story(t, `
		07:59:58.9 CIRC 1 LAUNCHED
		07:59:59.5 BW 1 2
		08:00:00 BW 10 20
		08:00:01 BW 30 5
		08:00:09.999999 BW 0 0
		session 2
		08:00:31 BW 7 8
		08:00:41 CIRC 1 LAUNCHED
	`)
	f := func(name string, r journal.Range, step time.Duration, want ...string) {
		t.Helper()
		wantRows(t, name, bandwidthRows(t, m, r, step), want...)
	}
	f("all: from the first to the last record, missing is not idle", journal.Range{}, 10*time.Second,
		`{"time":"07:59:50.000000Z","step_s":10,"seconds":1,"read_bytes":1,"written_bytes":2,"peak_read":1,"peak_written":2}`,
		`{"time":"08:00:00.000000Z","step_s":10,"seconds":3,"read_bytes":40,"written_bytes":25,"peak_read":30,"peak_written":20}`,
		`{"time":"08:00:10.000000Z","step_s":10,"seconds":0}`,
		`{"time":"08:00:20.000000Z","step_s":10,"seconds":0}`,
		`{"time":"08:00:30.000000Z","step_s":10,"seconds":1,"read_bytes":7,"written_bytes":8,"peak_read":7,"peak_written":8}`,
		`{"time":"08:00:40.000000Z","step_s":10,"seconds":0}`)
	f("a range cuts its outermost steps", journal.Range{Since: clock(t, "08:00:00.5"), Until: clock(t, "08:00:09")}, 10*time.Second,
		`{"time":"08:00:00.000000Z","step_s":10,"seconds":1,"read_bytes":30,"written_bytes":5,"peak_read":30,"peak_written":5}`)
	f("the last record of the range is no BW", journal.Range{Since: clock(t, "08:00:31"), Until: clock(t, "09:00:00")}, 10*time.Second,
		`{"time":"08:00:30.000000Z","step_s":10,"seconds":1,"read_bytes":7,"written_bytes":8,"peak_read":7,"peak_written":8}`,
		`{"time":"08:00:40.000000Z","step_s":10,"seconds":0}`)
	f("one session", journal.Range{Session: 1}, 10*time.Second,
		`{"time":"07:59:50.000000Z","step_s":10,"seconds":1,"read_bytes":1,"written_bytes":2,"peak_read":1,"peak_written":2}`,
		`{"time":"08:00:00.000000Z","step_s":10,"seconds":3,"read_bytes":40,"written_bytes":25,"peak_read":30,"peak_written":20}`)
	f("one session until", journal.Range{Session: 2, Until: clock(t, "08:00:40")}, time.Minute,
		`{"time":"08:00:00.000000Z","step_s":60,"seconds":1,"read_bytes":7,"written_bytes":8,"peak_read":7,"peak_written":8}`)
	f("a day", journal.Range{}, 24*time.Hour,
		`{"time":"00:00:00.000000Z","step_s":86400,"seconds":5,"read_bytes":48,"written_bytes":35,"peak_read":30,"peak_written":20}`)
	f("as of a number", journal.Range{To: 3}, time.Hour,
		`{"time":"07:00:00.000000Z","step_s":3600,"seconds":1,"read_bytes":1,"written_bytes":2,"peak_read":1,"peak_written":2}`,
		`{"time":"08:00:00.000000Z","step_s":3600,"seconds":1,"read_bytes":10,"written_bytes":20,"peak_read":10,"peak_written":20}`)
	f("nothing", journal.Range{Since: clock(t, "09:00:00")}, time.Second)
	f("nothing between", journal.Range{Since: clock(t, "08:00:10"), Until: clock(t, "08:00:31")}, time.Second)
	wantRows(t, "empty journal", bandwidthRows(t, &memory{}, journal.Range{}, time.Second))
}

// Records that are no BW stretch the answer, but only those of the range.
func TestBandwidthEnds(t *testing.T) {
	m := story(t, `
		08:00:00 CIRC 1 LAUNCHED
		08:00:10 BW 1 1
		08:00:20 CIRC 1 BUILT $A
		session 2
		08:00:30 CIRC 1 LAUNCHED
		08:00:40 BW 1 1
		07:00:00 CIRC 1 BUILT $A
	`)
	f := func(r journal.Range, want ...string) {
		t.Helper()
		var got []string
		_, err := bandwidths(t.Context(), m, r, 10*time.Second, Part{}, func(b *Bandwidth) error {
			got = append(got, b.Time.Format("04:05"))
			return nil
		})
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%+v: %v, %v, want %v", r, got, err, want)
		}
	}
	f(journal.Range{Since: clock(t, "08:00:00")}, "00:00", "00:10", "00:20", "00:30", "00:40")
	f(journal.Range{Since: clock(t, "08:00:00"), Until: clock(t, "08:00:30")}, "00:00", "00:10", "00:20")
	f(journal.Range{Since: clock(t, "08:00:00"), Until: clock(t, "08:00:29")}, "00:00", "00:10", "00:20")
	f(journal.Range{Session: 1}, "00:00", "00:10", "00:20")
	f(journal.Range{Session: 1, Since: clock(t, "08:00:01")}, "00:10", "00:20")
	f(journal.Range{Session: 2, Since: clock(t, "07:30:00")}, "00:30", "00:40")
}

func TestBandwidthWhereTheClockWasPutBack(t *testing.T) {
	m := story(t, `
		08:00:05 BW 1 1
		08:00:06 BW 2 2
		07:59:58 BW 4 4
		08:00:05 BW 8 8
	`)
	wantRows(t, "steps in the order of time", bandwidthRows(t, m, journal.Range{}, 5*time.Second),
		`{"time":"07:59:55.000000Z","step_s":5,"seconds":1,"read_bytes":4,"written_bytes":4,"peak_read":4,"peak_written":4}`,
		`{"time":"08:00:00.000000Z","step_s":5,"seconds":0}`,
		`{"time":"08:00:05.000000Z","step_s":5,"seconds":3,"read_bytes":11,"written_bytes":11,"peak_read":8,"peak_written":8}`)
}

func TestBandwidthBefore1970(t *testing.T) {
	m := &memory{}
	m.add(1, time.Unix(-3, 0), "650 BW 1 1\r\n")
	got := bandwidthRows(t, m, journal.Range{}, 10*time.Second)
	if !strings.HasPrefix(got, `{"time":"1969-12-31T23:59:50.000000Z"`) || strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
}

func TestBandwidthRefuses(t *testing.T) {
	never := func(*Bandwidth) error { t.Error("a row"); return nil }
	m := story(t, "08:00:00 BW 1 1")
	for _, step := range []time.Duration{0, -time.Second, time.Millisecond, 1500 * time.Millisecond} {
		if _, err := bandwidths(t.Context(), m, journal.Range{}, step, Part{}, never); err == nil || !strings.Contains(err.Error(), "for example 5m") {
			t.Errorf("step %v: %v", step, err)
		}
	}
	m = &memory{}
	m.add(1, time.Unix(5, 0), "650 BW 1 1\r\n") // a machine without a clock
	m.add(1, clock(t, "08:00:00"), "650 BW 1 1\r\n")
	if _, err := bandwidths(t.Context(), m, journal.Range{}, time.Second, Part{}, never); err == nil || !strings.Contains(err.Error(), "narrow the range") {
		t.Error(err)
	}
	stop := errors.New("enough")
	if _, err := bandwidths(t.Context(), m, journal.Range{}, time.Hour, Part{}, func(*Bandwidth) error { return stop }); err != stop {
		t.Error(err)
	}
}
