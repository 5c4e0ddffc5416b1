package filter

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests' zones, on machines that have none
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func utc(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTime(t *testing.T) {
	now := utc(t, "2026-11-23T09:10:11.5Z")
	berlin := zone(t, "Europe/Berlin")
	f := func(in, want string) {
		t.Helper()
		got, err := Time(in, now, berlin)
		if err != nil {
			t.Errorf("Time(%q): %v", in, err)
			return
		}
		if w := utc(t, want); !got.Equal(w) || got.Location() != time.UTC {
			t.Errorf("Time(%q) = %v, want %v", in, got, w)
		}
	}
	f("now", "2026-11-23T09:10:11.5Z")
	f("NOW", "2026-11-23T09:10:11.5Z")
	f(" now ", "2026-11-23T09:10:11.5Z")
	f("today", "2026-11-22T23:00:00Z")
	f("yesterday", "2026-11-21T23:00:00Z")

	f("0s", "2026-11-23T09:10:11.5Z")
	f("1h", "2026-11-23T08:10:11.5Z")
	f("-1h", "2026-11-23T08:10:11.5Z")
	f("2h30m", "2026-11-23T06:40:11.5Z")
	f("1.5h", "2026-11-23T07:40:11.5Z")
	f("90m", "2026-11-23T07:40:11.5Z")
	f("3d", "2026-11-20T09:10:11.5Z")
	f("1w2d3h4m5s", "2026-11-14T06:06:06.5Z")

	f("2026-11-23", "2026-11-22T23:00:00Z")
	f("2026-07-01", "2026-06-30T22:00:00Z") // summer time
	f("2024-02-29", "2024-02-28T23:00:00Z")
	f("2026-11-23 08:15", "2026-11-23T07:15:00Z")
	f("2026-11-23  08:15", "2026-11-23T07:15:00Z")
	f("2026-11-23 08:15:30", "2026-11-23T07:15:30Z")
	f("2026-11-23 08:15:30.000001", "2026-11-23T07:15:30.000001Z")
	f("2026-11-23T08:15", "2026-11-23T07:15:00Z")
	f("2026-11-23T08:15:30", "2026-11-23T07:15:30Z")

	f("2026-11-23T08:15:30Z", "2026-11-23T08:15:30Z")
	f("2026-11-23t08:15:30z", "2026-11-23T08:15:30Z")
	f("2026-11-23 08:15:30Z", "2026-11-23T08:15:30Z")
	f("2026-11-23T08:15Z", "2026-11-23T08:15:00Z")
	f("2026-11-23T08:15:30.725766Z", "2026-11-23T08:15:30.725766Z")
	f("2026-11-23T08:15:30+05:30", "2026-11-23T02:45:30Z")
	f("2026-11-23T08:15:30.123456789-08:00", "2026-11-23T16:15:30.123456789Z")

	f("@0", "1970-01-01T00:00:00Z")
	f("@1795421700", "2026-11-23T08:15:00Z")
	f("@1795421700.725766", "2026-11-23T08:15:00.725766Z")
	f("@-1.5", "1969-12-31T23:59:58.5Z")
}

func TestTimeWhereClocksChange(t *testing.T) {
	f := func(zoneName, now, in, want string) {
		t.Helper()
		got, err := Time(in, utc(t, now), zone(t, zoneName))
		if err != nil {
			t.Errorf("%s: Time(%q): %v", zoneName, in, err)
			return
		}
		if w := utc(t, want); !got.Equal(w) {
			t.Errorf("%s: Time(%q) = %v, want %v", zoneName, in, got, w)
		}
	}
	const now = "2026-10-25T12:00:00Z"
	// Berlin puts its clocks back from 03:00 to 02:00 at 01:00 UTC.
	f("Europe/Berlin", now, "2026-10-25 01:59:59", "2026-10-24T23:59:59Z")
	f("Europe/Berlin", now, "2026-10-25 02:00", "2026-10-25T01:00:00Z")
	f("Europe/Berlin", now, "2026-10-25 02:30", "2026-10-25T01:30:00Z")
	f("Europe/Berlin", now, "2026-10-25 02:59:59.999", "2026-10-25T01:59:59.999Z")
	f("Europe/Berlin", now, "2026-10-25 03:00", "2026-10-25T02:00:00Z")
	f("Europe/Berlin", now, "2026-10-25T02:30+02:00", "2026-10-25T00:30:00Z")
	f("Europe/Berlin", now, "today", "2026-10-24T22:00:00Z")
	f("Europe/Berlin", now, "24h", "2026-10-24T12:00:00Z")
	f("Europe/Berlin", now, "1d", "2026-10-24T12:00:00Z")
	f("Europe/Berlin", "2026-10-26T12:00:00Z", "yesterday", "2026-10-24T22:00:00Z")
	// … and forward from 02:00 to 03:00.
	f("Europe/Berlin", now, "2026-03-29 01:59", "2026-03-29T00:59:00Z")
	f("Europe/Berlin", now, "2026-03-29 02:00", "2026-03-29T01:00:00Z")
	f("Europe/Berlin", now, "2026-03-29 02:30", "2026-03-29T01:30:00Z")
	f("Europe/Berlin", now, "2026-03-29 03:00", "2026-03-29T01:00:00Z")
	// West of Greenwich.
	f("America/New_York", now, "2026-11-01 01:30", "2026-11-01T06:30:00Z")
	f("America/New_York", now, "2026-03-08 02:30", "2026-03-08T07:30:00Z")
	// Half an hour.
	f("Australia/Lord_Howe", now, "2026-04-05 01:45", "2026-04-04T15:15:00Z")
	// A day that begins at 01:00.
	f("America/Sao_Paulo", "2018-11-04T15:00:00Z", "today", "2018-11-04T03:00:00Z")
	// Midnight that occurs twice.
	f("Atlantic/Azores", now, "2026-10-25", "2026-10-25T00:00:00Z")
	f("Atlantic/Azores", now, "today", "2026-10-25T00:00:00Z")
	f("Atlantic/Azores", now, "2026-10-25 00:00", "2026-10-25T01:00:00Z")
	// A day that never was.
	f("Pacific/Apia", now, "2011-12-30 12:00", "2011-12-30T22:00:00Z")
	f("UTC", now, "2026-10-25 02:30", "2026-10-25T02:30:00Z")
}

func TestTimeRefuses(t *testing.T) {
	f := func(in, why string) {
		t.Helper()
		got, err := Time(in, time.Now(), time.UTC)
		if err == nil {
			t.Errorf("Time(%q) = %v, want an error", in, got)
			return
		}
		for _, part := range []string{quoted(strings.TrimSpace(in)), why, TimeForms, "for example"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("Time(%q): %q lacks %q", in, err, part)
			}
		}
	}
	f("yesterdayy", "did you mean yesterday?")
	f("todya", "did you mean today?")
	f("nwo", "did you mean now?")
	f("", "it is empty")
	f("tomorrow", "is no time; write")
	f("5", "a unit is missing")
	f("1h30", "a unit is missing")
	f("1M", "units are")
	f("30m2h", "the longer first")
	f("1h1h", "each once")
	f("1..5h", "malformed")
	f("99999999999h", "too large")
	f("201w99999d", "too large")
	f("--1h", "is no time")
	f("2026-11", "no such day")
	f("2026-02-29", "no such day")
	f("2026-11-23T", "no time of day")
	f("2026-11-23 8:15", "no such time of day")
	f("2026-11-23 24:00", "no such time of day")
	f("2026-11-23 08:15:60", "no such time of day")
	f("2026-11-23 08:15.5", "no such time of day")
	f("2026-11-23 08:15 CET", "no such time of day")
	f("2026-11-23T08:15:30+1", "no such zone")
	f("2026-11-23T08:15:30+25:00", "no such zone")
	f("2026-11-23TZ", "no such time of day")
	f("0000-01-01", "no such day")
	f("0001-01-01T00:00:00+01:00", "outside the years")
	f("@", "seconds since 1970")
	f("@1.", "decimals")
	f("@1.1234567890", "decimals")
	f("@999999999999", "outside the years")
	f("@12e3", "seconds since 1970")
	f(strings.Repeat("9", 1000)+"h", "too large")
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{
		"now", "today", "yesterday", "1h", "2h30m", "-3d", "1.5w", "2026-11-23", "2026-11-23 08:15:30.5",
		"2026-11-23T08:15:30+01:00", "2026-10-25 02:30", "@1795421700.25", "@-1", "yesterdayy", "", "\x00", "２h",
	} {
		f.Add(s)
	}
	now := utc(f, "2026-11-23T09:10:11.5Z")
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Time(s, now, berlin)
		if err != nil {
			if !strings.Contains(err.Error(), TimeForms) {
				t.Errorf("Time(%q): %v names no forms", s, err)
			}
			return
		}
		// What it understands it understands again, to the nanosecond.
		again, err := Time(got.Format(time.RFC3339Nano), now, time.UTC)
		if err != nil || !again.Equal(got) {
			t.Errorf("Time(%q) = %v, which reads as %v, %v", s, got, again, err)
		}
	})
}
