package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"torjournal/query/filter"
)

var units = []struct {
	suffix string
	factor float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1},
}

// parseSize reads "1GiB", "500 MB", "64m" or a number of bytes.
func parseSize(s string) (int64, error) {
	text, factor := strings.ToLower(strings.TrimSpace(s)), 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*factor >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no size: write it like 512MiB, 1GiB or 2000000000", s)
	}
	return int64(n * factor), nil
}

// formatSize writes bytes with three significant digits and a binary unit.
func formatSize(n uint64) string {
	if n < 1<<10 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 4 {
		v, unit = v/1024, unit+1
	}
	digits := 2
	if v >= 9.995 {
		digits = 1
	}
	if v >= 99.95 {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit]
}

// parseAge reads "30d", "12h": how old a record may become.
func parseAge(s string) (time.Duration, error) {
	d, err := filter.Duration(s)
	if err == nil && d == 0 {
		err = fmt.Errorf("%q leaves no time to read anything", s)
	}
	return d, err
}

// formatAge writes how old records may become: "30 days", "36 hours".
func formatAge(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		n := int(d / unit.length)
		if d%unit.length == 0 && n == 1 {
			return "1 " + unit.name
		}
		if d%unit.length == 0 && n > 0 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}

// formatSpan writes a duration of milliseconds for people: "1.24s", "3m12s".
func formatSpan(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
