package filter

import (
	"fmt"
	"strings"
	"time"
)

// SpanForms lists the forms that ReadSpan takes, each by an example.
const SpanForms = `2d..1d, "2026-11-23 08:15..now", 1h.. (to now), ..today, a day (yesterday, 2026-11-23), session:-1`

// Span is a range of time, or a session.
type Span struct {
	Since, Until time.Time // Since ≤ time < Until, in UTC; zero: no bound
	Session      string    // as Session takes it; "": none
}

// ReadSpan returns the range that s names:
//
//	FROM..TO             words of Time; nothing before the dots is no bound, nothing behind them is now
//	yesterday 2026-11-23 that whole day in loc
//	session:-1           a session, as Session names it
//
// The error names s and the forms; it wraps nothing.
func ReadSpan(s string, now time.Time, loc *time.Location) (sp Span, err error) {
	s = strings.TrimSpace(s)
	if name, ok := strings.CutPrefix(strings.ToLower(s), "session:"); ok {
		if sp.Session = strings.TrimSpace(name); sp.Session == "" {
			return sp, notSpan(s, "a number is missing")
		}
		return sp, nil
	}
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		return daySpan(s, now, loc)
	}
	if from = strings.TrimSpace(from); from != "" {
		if sp.Since, err = Time(from, now, loc); err != nil {
			return sp, err
		}
	}
	sp.Until = now.UTC()
	if to = strings.TrimSpace(to); to != "" {
		if sp.Until, err = Time(to, now, loc); err != nil {
			return sp, err
		}
	}
	if !sp.Since.Before(sp.Until) {
		return sp, notSpan(s, "it ends before it begins")
	}
	return sp, nil
}

// daySpan reads a day as the range that it is.
func daySpan(s string, now time.Time, loc *time.Location) (sp Span, err error) {
	day := strings.ToLower(s)
	if day != "today" && day != "yesterday" && !(looksLikeDate(s) && len(s) == len("2026-11-23")) {
		return sp, notSpan(s, "")
	}
	if sp.Since, err = Time(s, now, loc); err != nil {
		return sp, err
	}
	sp.Until = midnight(sp.Since.In(loc), 1, loc).UTC()
	return sp, nil
}

func notSpan(s, why string) error {
	return fmt.Errorf("%s is no range of time%s; write one of %s", quoted(s), bracketed(why), SpanForms)
}
