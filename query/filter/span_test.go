package filter

import (
	"strings"
	"testing"
	"time"
)

func TestReadSpan(t *testing.T) {
	now, berlin := utc(t, "2026-11-23T09:10:11Z"), zone(t, "Europe/Berlin")
	f := func(in, since, until, session string) {
		t.Helper()
		got, err := ReadSpan(in, now, berlin)
		want := Span{Session: session}
		if since != "" {
			want.Since = utc(t, since)
		}
		if until != "" {
			want.Until = utc(t, until)
		}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", in, got, err, want)
		}
	}
	f("2d..1d", "2026-11-21T09:10:11Z", "2026-11-22T09:10:11Z", "")
	f("1h..", "2026-11-23T08:10:11Z", "2026-11-23T09:10:11Z", "")
	f("1h..now", "2026-11-23T08:10:11Z", "2026-11-23T09:10:11Z", "")
	f("..today", "", "2026-11-22T23:00:00Z", "")
	f("..", "", "2026-11-23T09:10:11Z", "")
	f(" 2026-11-20 08:15 .. 2026-11-20 09:15:30.5 ", "2026-11-20T07:15:00Z", "2026-11-20T08:15:30.5Z", "")
	f("2026-11-20T08:15:30Z..@1795421700.25", "2026-11-20T08:15:30Z", "2026-11-23T08:15:00.25Z", "")
	f("yesterday", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z", "")
	f("Today", "2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z", "")
	f("2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "") // 25 hours
	f("session:-1", "", "", "-1")
	f("SESSION: 3", "", "", "3")
	for in, why := range map[string]string{
		"": "is no range", "1h": "is no range", "now": "is no range", "2026-11-23 08:15": "is no range", "session:": "a number is missing",
		"1d..2d": "ends before it begins", "now..now": "ends before it begins", "x..1d": "is no time", "1d..x": "is no time",
		"1d...5m": "is no time", "2026-02-30": "no such day",
	} {
		_, err := ReadSpan(in, now, berlin)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", in, err, why)
		}
	}
}

func FuzzReadSpan(f *testing.F) {
	for _, s := range []string{"1d..", "..now", "2d..1d", "yesterday", "2026-11-23", "session:-1", "2026-11-23 08:15..2026-11-23T09:00Z", "....", "session:"} {
		f.Add(s)
	}
	now, berlin := utc(f, "2026-11-23T09:10:11.5Z"), zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ReadSpan(s, now, berlin)
		if err == nil && got.Session == "" && !(got.Since.Before(got.Until) && got.Until.Location() == time.UTC) {
			t.Errorf("%q: %+v", s, got)
		}
	})
}
