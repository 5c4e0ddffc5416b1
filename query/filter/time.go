package filter

import (
	"fmt"
	"strings"
	"time"
)

// TimeForms lists the forms that Time takes, each by an example.
const TimeForms = `1h, 2h30m or 3d (so long ago), now, today, yesterday, 2026-11-23, "2026-11-23 08:15[:30]", 2026-11-23T08:15:30Z, @1795421700`

// maxTimeWord is how much of a bad word an error repeats, in bytes. The
// longest good one, RFC 3339 with nanoseconds and a zone, has 35.
const maxTimeWord = 64

// Time returns the moment that s names, in UTC:
//
//	1h 2h30m 3d 1w2d     that long before now; a day has 24 hours, whatever the zone does; a minus before it changes nothing
//	now today yesterday  the latter two are the beginning of that day in loc
//	2026-11-23           the beginning of that day in loc
//	2026-11-23 08:15:30  in loc; the seconds, and their fraction, may be left out; T may stand for the blank
//	2026-11-23T08:15:30Z RFC 3339: the zone is in the word, loc does not matter
//	@1795421700.25       seconds since 1970-01-01 UTC, with up to nine decimals
//
// Where a local time of day occurs twice because clocks were put back, it is
// the later one; a day begins with the earlier midnight. Where it does not occur because they were put forward, it is as
// much later as they were put forward: 02:30 becomes 03:30.
//
// The error names s and the forms; it wraps nothing.
func Time(s string, now time.Time, loc *time.Location) (time.Time, error) {
	s = strings.TrimSpace(s)
	t, ok, why := moment(s, now, loc)
	if !ok {
		return time.Time{}, notTime(s, why)
	}
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}, notTime(s, "it lies outside the years 1 to 9999")
	}
	return t.UTC(), nil
}

// moment tells the forms apart. why is empty when s has none of them.
func moment(s string, now time.Time, loc *time.Location) (t time.Time, ok bool, why string) {
	switch strings.ToLower(s) {
	case "":
		return t, false, "it is empty"
	case "now":
		return now, true, ""
	case "today":
		return midnight(now.In(loc), 0, loc), true, ""
	case "yesterday":
		return midnight(now.In(loc), -1, loc), true, ""
	}
	switch {
	case s[0] == '@':
		return unixMoment(s[1:])
	case looksLikeDate(s):
		return dateMoment(s, loc)
	}
	d, why, ok := duration(strings.TrimPrefix(s, "-"))
	if near := nearest(s, []string{"now", "today", "yesterday"}); !ok && near != "" {
		why = "did you mean " + near + "?"
	}
	return now.Add(-d), ok, why
}

func notTime(s, why string) error {
	return fmt.Errorf("%s is no time%s; write one of %s, for example 2h30m", quoted(s), bracketed(why), TimeForms)
}

// midnight returns the beginning of the day that lies days after the one
// that t shows.
func midnight(t time.Time, days int, loc *time.Location) time.Time {
	y, m, d := t.Date()
	return dayBegins(time.Date(y, m, d+days, 0, 0, 0, 0, time.UTC), loc)
}

// dayBegins returns the first moment of the day that wall shows. Where
// midnight occurs twice it is the first, or an hour of the day would be lost.
func dayBegins(wall time.Time, loc *time.Location) time.Time {
	first, _ := moments(wall, loc)
	return first
}

// local returns the moment at which clocks in loc show what wall shows in
// UTC, the later one of two. time.Date promises neither of the possible
// moments around a change of the zone's offset.
func local(wall time.Time, loc *time.Location) time.Time {
	_, later := moments(wall, loc)
	return later
}

// moments returns the first and the last moment at which clocks in loc show
// what wall shows in UTC, found by the offsets that hold the day before and
// the day after. Both are the same unless clocks are put back. For a time
// that clocks skip it is the old offset's, that much later.
func moments(wall time.Time, loc *time.Location) (first, last time.Time) {
	const day = 24 * time.Hour
	old, now := wall.Add(-offset(wall.Add(-day), loc)), wall.Add(-offset(wall.Add(day), loc))
	fits := func(t time.Time) bool { return t.Add(offset(t, loc)).Equal(wall) }
	switch {
	case !fits(now):
		return old, old
	case !fits(old):
		return now, now
	}
	return old, now // put back: the old offset is the greater one, its moment the earlier
}

func offset(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

// unixMoment parses what follows the @: seconds, with decimals if need be.
func unixMoment(s string) (t time.Time, ok bool, why string) {
	rest, negative := strings.CutPrefix(s, "-")
	whole, frac, dot := strings.Cut(rest, ".")
	sec, ok := digits(whole, 1, 12) // the year 9999 has twelve
	if !ok {
		return t, false, "seconds since 1970 follow the @"
	}
	var nsec int64
	if dot {
		if nsec, ok = fraction(frac); !ok {
			return t, false, "one to nine decimals follow the point"
		}
	}
	if negative {
		sec, nsec = -sec, -nsec
	}
	return time.Unix(sec, nsec), true, ""
}

// digits parses a number of least to most decimal digits and nothing else.
func digits(s string, least, most int) (int64, bool) {
	if len(s) < least || len(s) > most {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// fraction parses one to nine decimals of a second into nanoseconds.
func fraction(s string) (int64, bool) {
	n, ok := digits(s, 1, 9)
	for i := len(s); i < 9; i++ {
		n *= 10
	}
	return n, ok
}
