package filter

import (
	"strings"
	"time"
)

// looksLikeDate reports whether s begins as the forms with a date do, so
// that a fault in the rest is told as a fault of a date.
func looksLikeDate(s string) bool {
	_, ok := digits(s[:min(4, len(s))], 4, 4)
	return ok && len(s) > 4 && s[4] == '-'
}

// dateMoment parses a date, a date with a time, and RFC 3339.
func dateMoment(s string, loc *time.Location) (t time.Time, ok bool, why string) {
	day, clock := s, ""
	if i := strings.IndexAny(s, "Tt "); i >= 0 {
		day, clock = s[:i], strings.TrimLeft(s[i+1:], " ")
		if clock == "" {
			return t, false, "no time of day follows the date"
		}
	}
	wall, ok := calendarDay(day)
	if !ok {
		return t, false, "there is no such day; write year-month-day"
	}
	if clock == "" {
		return dayBegins(wall, loc), true, ""
	}
	clock, zone, why := cutZone(clock)
	if why != "" {
		return t, false, why
	}
	of, ok := timeOfDay(clock)
	if !ok {
		return t, false, "there is no such time of day; write hours:minutes or hours:minutes:seconds"
	}
	wall = wall.Add(of)
	if zone != nil {
		return wall.Add(-*zone), true, ""
	}
	return local(wall, loc), true, ""
}

// calendarDay returns the beginning of the day 2026-11-23, as UTC shows it.
func calendarDay(s string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, s)
	return t, err == nil && t.Year() > 0
}

// timeOfDay parses 08:15, 08:15:30 and 08:15:30.25.
func timeOfDay(s string) (time.Duration, bool) {
	s, frac, dot := strings.Cut(s, ".")
	parts := strings.Split(s, ":")
	if len(parts) == 2 && !dot {
		parts = append(parts, "00")
	}
	if len(parts) != 3 {
		return 0, false
	}
	var nsec int64
	if dot {
		var ok bool
		if nsec, ok = fraction(frac); !ok {
			return 0, false
		}
	}
	h, okH := digits(parts[0], 2, 2)
	m, okM := digits(parts[1], 2, 2)
	sec, okS := digits(parts[2], 2, 2)
	if !okH || !okM || !okS || h > 23 || m > 59 || sec > 59 {
		return 0, false
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second + time.Duration(nsec), true
}

// cutZone takes Z, +01:00 or -01:00 off the end of a time of day. zone is
// how far that zone is ahead of UTC; nil if none is named.
func cutZone(s string) (clock string, zone *time.Duration, why string) {
	if z := s[len(s)-1]; z == 'Z' || z == 'z' {
		return s[:len(s)-1], new(time.Duration), ""
	}
	i := strings.IndexAny(s, "+-")
	if i < 0 {
		return s, nil, ""
	}
	h, m, colon := strings.Cut(s[i+1:], ":")
	hours, okH := digits(h, 2, 2)
	minutes, okM := digits(m, 2, 2)
	if !colon || !okH || !okM || hours > 23 || minutes > 59 {
		return s, nil, "there is no such zone; write Z or an offset like +01:00"
	}
	ahead := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[i] == '-' {
		ahead = -ahead
	}
	return s[:i], &ahead, ""
}
