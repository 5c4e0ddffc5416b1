package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxDuration bounds a duration so that no sum of its parts overflows:
// time.Duration ends at 292 years.
const maxDuration = 200 * 365 * 24 * time.Hour

// units of a duration, longest first: in a word they come in this order.
var units = []struct {
	name   string
	length time.Duration
}{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

// Duration parses a length of time: numbers with the units w, d, h, m, s and ms,
// the longer unit first, as in "5m", "1h30m", "1.5h" or "300ms". It is never
// negative and at most 200 years. The error names s and the form; it wraps
// nothing.
func Duration(s string) (time.Duration, error) {
	d, why, ok := duration(strings.TrimSpace(s))
	if !ok {
		return 0, fmt.Errorf("%s is no duration%s; write a number with a unit, for example 30s, 5m, 1h30m, 3d or 1w", quoted(s), bracketed(why))
	}
	return d, nil
}

// duration parses s. why says what is wrong with it, "" if it is no duration
// at all.
func duration(s string) (sum time.Duration, why string, ok bool) {
	if s == "" {
		return 0, "it is empty", false
	}
	next := 0 // the first unit that may still come
	for rest := s; rest != ""; {
		n := strings.IndexFunc(rest, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
		switch {
		case n == 0:
			return 0, "", false
		case n < 0:
			return 0, "a unit is missing", false
		}
		end := n
		for end < len(rest) && rest[end] >= 'a' && rest[end] <= 'z' {
			end++
		}
		unit := next
		for unit < len(units) && units[unit].name != rest[n:end] {
			unit++
		}
		if unit == len(units) {
			return 0, "units are w, d, h, m, s and ms, each once, the longer first", false
		}
		part, ok := amount(rest[:n], units[unit].length)
		if !ok || sum+part > maxDuration {
			return 0, "a number in it is malformed or too large", false
		}
		sum, rest, next = sum+part, rest[end:], unit+1
	}
	return sum, "", true
}

// quoted returns s for an error, cut if it is longer than any good word.
func quoted(s string) string {
	if len(s) > maxTimeWord {
		return strconv.Quote(s[:maxTimeWord]) + "…"
	}
	return strconv.Quote(s)
}

func bracketed(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// amount returns number × unit; number may have decimals.
func amount(number string, unit time.Duration) (time.Duration, bool) {
	whole, frac, dot := strings.Cut(number, ".")
	n, ok := digits(whole, 1, 10)
	if !ok || n > int64(maxDuration/unit) {
		return 0, false
	}
	d := time.Duration(n) * unit
	if dot {
		nsec, ok := fraction(frac)
		if !ok {
			return 0, false
		}
		if unit < time.Second {
			return d + time.Duration(nsec)*unit/time.Second, true
		}
		// unit/s is a whole number, and nsec < 10⁹: at most one unit.
		d += time.Duration(nsec) * (unit / time.Second)
	}
	return d, true
}
