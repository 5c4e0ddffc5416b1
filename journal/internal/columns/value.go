package columns

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

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

// putDecimal is appendDecimal without a fraction, into numberRoom bytes that
// are there.
func putDecimal(dst []byte, at int, v int64) int {
	u := uint64(v)
	if v < 0 {
		dst[at] = '-'
		at++
		u = -u
	}
	if u < 1e8 {
		d := eightDigits(u)
		zeros := bits.TrailingZeros64(d|1<<63) &^ 7
		binary.LittleEndian.PutUint64(dst[at:], (d|asDigits)>>zeros)
		return at + 8 - zeros/8
	}
	at = putDecimal(dst, at, int64(u/1e8))
	binary.LittleEndian.PutUint64(dst[at:], eightDigits(u%1e8)|asDigits)
	return at + 8
}

const asDigits = 0x3030303030303030

// eightDigits returns the decimal digits of u, which has no more, the first one
// in the lowest byte: halves, then their halves, side by side and without a
// branch.
func eightDigits(u uint64) uint64 {
	d := u/10000 | u%10000<<32
	q := d * 10486 >> 20 & 0x7f_0000_007f // by 100
	d = q | (d-q*100)<<16
	q = d * 103 >> 10 & 0xf_000f_000f_000f // by 10
	return q | (d-q*10)<<8
}

const timeLen = len("2026-11-23T08:45:46.724619")

// clock reads and writes times. It remembers the last second, which most
// times of a block share with the one before, and its day, which nearly all do.
type clock struct {
	text [timeRoom]byte // the second, and a point
	sec  int64
	day  int64 // its first second
	set  bool
}

// timeRoom is the bytes that a time takes where put writes it.
const timeRoom = 32

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
	if !c.set || !bytes.Equal(c.text[:19], b[:19]) {
		sec, ok := parseSecond(b[:19])
		if !ok {
			return 0, false
		}
		c.remember(sec)
	}
	return c.sec*1e6 + us, true
}

func (c *clock) remember(sec int64) {
	if in := sec - c.day; c.set && in >= 0 && in < daySeconds {
		appendClock(c.text[:10], in)
	} else {
		appendSecond(c.text[:0], sec)
		_, in := floor(sec, daySeconds)
		c.day = sec - in
	}
	c.text[19] = '.'
	c.sec, c.set = sec, true
}

const daySeconds = 86400

// floor divides and rounds down.
func floor(v, by int64) (q, rest int64) {
	q = v / by
	if rest = v - q*by; rest < 0 {
		q, rest = q-1, rest+by
	}
	return q, rest
}

// put writes a time into timeRoom bytes that are there.
func (c *clock) put(dst []byte, at int, us int64) int {
	sec, rest := floor(us, 1e6)
	if c.sec != sec || !c.set {
		c.remember(sec)
	}
	b := dst[at : at+timeRoom]
	*(*[16]byte)(b) = *(*[16]byte)(c.text[:])
	*(*[16]byte)(b[16:]) = *(*[16]byte)(c.text[16:])
	binary.LittleEndian.PutUint64(b[20:], (eightDigits(uint64(rest))|asDigits)>>16)
	return at + timeLen
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
	return days*daySeconds + h*3600 + m*60 + s, true
}

func appendSecond(dst []byte, sec int64) []byte {
	sec = min(max(sec, minSecond), maxSecond)
	days, rest := floor(sec, daySeconds)
	y, m, d := date(days)
	dst = append(dst, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10))
	dst = appendTwo(appendTwo(dst, '-', m), '-', d)
	return appendClock(dst, rest)
}

// appendClock appends the time of a day's second.
func appendClock(dst []byte, sec int64) []byte {
	return appendTwo(appendTwo(appendTwo(dst, 'T', sec/3600), ':', sec/60%60), ':', sec%60)
}

func appendTwo(dst []byte, sep byte, v int64) []byte {
	return append(dst, sep, byte('0'+v/10), byte('0'+v%10))
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
