package columns

import "bytes"

// parseDecimal reads a number whose only spelling is the one that
// appendDecimal writes. frac is the count of digits after the point.
func parseDecimal(b []byte) (v int64, frac uint8, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, 0, false
	}
	point := -1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			v = v*10 + int64(c-'0')
		case c == '.' && point < 0:
			point = i
		default:
			return 0, 0, false
		}
	}
	whole := len(digits)
	if point >= 0 {
		whole, frac = point, uint8(len(digits)-point-1)
		if frac == 0 {
			return 0, 0, false
		}
	}
	if whole == 0 || whole > 1 && digits[0] == '0' {
		return 0, 0, false
	}
	if len(digits) < len(b) {
		if v == 0 {
			return 0, 0, false
		}
		v = -v
	}
	return v, frac, true
}

func appendDecimal(dst []byte, v int64, frac uint8) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	var buf [32]byte
	i := len(buf)
	for n := 0; u > 0 || n <= int(frac); n++ {
		if n == int(frac) && frac > 0 {
			i--
			buf[i] = '.'
		}
		i--
		buf[i] = byte('0' + u%10)
		u /= 10
	}
	return append(dst, buf[i:]...)
}

const timeLen = len("2026-11-23T08:45:46.724619")

// clock reads and writes times. It remembers the last second, which most
// times of a block share with the one before.
type clock struct {
	text [19]byte // of the second
	sec  int64
	set  bool
}

// parse reads a time in UTC whose only spelling is the one that append
// writes, in µs since 1970.
func (c *clock) parse(b []byte) (us int64, ok bool) {
	if len(b) != timeLen || b[19] != '.' {
		return 0, false
	}
	for _, d := range b[20:] {
		if d < '0' || d > '9' {
			return 0, false
		}
		us = us*10 + int64(d-'0')
	}
	if !c.set || !bytes.Equal(c.text[:], b[:19]) {
		sec, ok := parseSecond(b[:19])
		if !ok {
			return 0, false
		}
		c.remember(sec)
	}
	return c.sec*1e6 + us, true
}

func (c *clock) remember(sec int64) {
	c.sec, c.set = sec, true
	appendSecond(c.text[:0], sec)
}

func (c *clock) append(dst []byte, us int64) []byte {
	sec := us / 1e6
	if us%1e6 < 0 {
		sec--
	}
	if !c.set || c.sec != sec {
		c.remember(sec)
	}
	dst = append(dst, c.text[:]...)
	rest := us - sec*1e6
	var f [7]byte
	f[0] = '.'
	for i := 6; i > 0; i-- {
		f[i] = byte('0' + rest%10)
		rest /= 10
	}
	return append(dst, f[:]...)
}

// The seconds that have four digits of year.
const (
	minSecond = -62167219200 // 0000-01-01T00:00:00
	maxSecond = 253402300799 // 9999-12-31T23:59:59
)

func parseSecond(b []byte) (sec int64, ok bool) {
	for i, c := range b {
		switch i {
		case 4, 7:
			ok = c == '-'
		case 10:
			ok = c == 'T'
		case 13, 16:
			ok = c == ':'
		default:
			ok = c >= '0' && c <= '9'
		}
		if !ok {
			return 0, false
		}
	}
	two := func(i int) int64 { return int64(b[i]-'0')*10 + int64(b[i+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	h, m, s := two(11), two(14), two(17)
	if month < 1 || month > 12 || day < 1 || h > 23 || m > 59 || s > 59 {
		return 0, false
	}
	days := daysBefore(year, month, day)
	if y, mo, d := date(days); y != year || mo != month || d != day {
		return 0, false // a day that the month does not have
	}
	return days*86400 + h*3600 + m*60 + s, true
}

func appendSecond(dst []byte, sec int64) []byte {
	sec = min(max(sec, minSecond), maxSecond)
	days := sec / 86400
	if sec%86400 < 0 {
		days--
	}
	rest := sec - days*86400
	y, m, d := date(days)
	two := func(sep byte, v int64) {
		dst = append(dst, sep, byte('0'+v/10), byte('0'+v%10))
	}
	dst = append(dst, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10))
	two('-', m)
	two('-', d)
	two('T', rest/3600)
	two(':', rest/60%60)
	two(':', rest%60)
	return dst
}

// daysBefore returns the days from 1970-01-01 to a date of the Gregorian
// calendar, counting years from March so that a leap day is the last one.
func daysBefore(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	month = (month + 9) % 12
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	y := year - era*400
	return era*146097 + y*365 + y/4 - y/100 + (153*month+2)/5 + day - 1 - 719468
}

// date is the inverse of daysBefore.
func date(days int64) (year, month, day int64) {
	days += 719468
	era := days / 146097
	if days < 0 {
		era = (days - 146096) / 146097
	}
	d := days - era*146097
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= y*365 + y/4 - y/100
	m := (5*d + 2) / 153
	day = d - (153*m+2)/5 + 1
	month = m + 3
	if month > 12 {
		month -= 12
	}
	year = y + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}
