package event

import (
	"strconv"
	"strings"
)

// scanner reads the words of an event's first line after the name, left to
// right: first the words that have a fixed place (word, number, optional),
// then keywords (next, and plain, quoted, uint … for those it knows). Values
// are parts of the line; only an escaped one is copied.
//
// Once bad, the line does not fit its type's grammar and the event becomes
// Unknown; what is read after that does not matter.
type scanner struct {
	s   string // "" or begins with a blank
	pos int    // s[pos:] is "" or begins with the blank before the next word
	bad bool

	// The keyword that next found: s[from:pos] is all of it.
	from       int
	key, value string // value as the wire spells it, quotes included

	// What is known of the line's form so far.
	form    form
	last    int    // highest keyword number so far, -1 at first
	extras  int    // words that belong to Extra
	first   int    // where the first of them begins, and
	end     int    // the last ends, as long as there is no layout
	outside []byte // Extra, once there is a layout
}

func newScanner(f *frame) scanner {
	s := scanner{s: f.words, bad: f.stray, last: -1, form: form{present: parsedBit}}
	if f.sep != ' ' {
		s.form.layout = &layout{sep: f.sep, lines: f.rest}
	}
	return s
}

// word reads the next word, unquoted.
func (s *scanner) word() string {
	if s.pos >= len(s.s) {
		s.bad = true
		return ""
	}
	from := s.pos + 1
	s.pos = valueEnd(s.s, from)
	w := s.s[from:s.pos]
	if w == "" || w[0] != '"' {
		return w
	}
	text, ok := Unquote(w)
	var scratch [128]byte
	if !ok || string(appendWord(scratch[:0], text)[1:]) != w {
		s.bad = true
	}
	return text
}

// optional reads the next word if there is one that is no keyword.
func (s *scanner) optional() string {
	from := s.pos + 1
	if from >= len(s.s) || s.s[from] == ' ' {
		return ""
	}
	if s.s[from] != '"' && s.s[from] != '$' {
		if key, _, _ := token(s.s, from); key != "" {
			return ""
		}
	}
	return s.word()
}

// number reads the next word, which must be a number.
func (s *scanner) number() uint64 {
	n, ok := parseUint(s.word())
	s.bad = s.bad || !ok
	return n
}

// text reads all that is left of the line, which must not be a lone blank.
func (s *scanner) text() string {
	if s.pos >= len(s.s) {
		return ""
	}
	t := s.s[s.pos+1:]
	s.pos = len(s.s)
	s.bad = s.bad || t == ""
	return t
}

// next goes on to the next keyword or word and reports whether there is one.
func (s *scanner) next() bool {
	if s.pos >= len(s.s) {
		return false
	}
	s.from = s.pos + 1
	s.key, s.value, s.pos = token(s.s, s.from)
	s.bad = s.bad || s.from == s.pos
	return true
}

// plain takes the present keyword as keyword i, which tor does not quote.
func (s *scanner) plain(i int, to *string) {
	if s.form.has(i) {
		s.unknown()
		return
	}
	*to = s.value
	if s.value == "" || s.value[0] != '"' { // and it holds no blank: it would have ended there
		s.put(i)
		return
	}
	*to, _ = Unquote(s.value)
	var scratch [128]byte
	s.odd(i, appendPlain(scratch[:0], s.key, *to))
}

// follows takes keyword i, a blank and a name with its "=", if that is what comes
// next, as tor writes it: in order, and not quoted. It does what next and plain do
// for it, and is for the keywords that most events have, before next was called:
// then nothing is known yet that they would look at. All else is left to those.
func (s *scanner) follows(i int, name string, to *string) {
	from := s.pos + len(name)
	if from >= len(s.s) || s.s[s.pos+1] != name[1] || s.s[s.pos:from] != name || s.s[from] == '"' {
		return
	}
	s.pos = len(s.s)
	if n := strings.IndexByte(s.s[from:], ' '); n >= 0 {
		s.pos = from + n
	}
	*to = s.s[from:s.pos]
	s.last = i
	s.form.present |= 1 << i
}

// quoted takes the present keyword as keyword i, which tor quotes.
func (s *scanner) quoted(i int, to *string) {
	if s.form.has(i) {
		s.unknown()
		return
	}
	if v := s.value; len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' && quotesAsItIs(v[1:len(v)-1]) {
		*to = v[1 : len(v)-1]
		s.put(i)
		return
	}
	*to, _ = Unquote(s.value)
	var scratch [128]byte
	s.odd(i, appendString(scratch[:0], s.key, *to))
}

// uint takes the present keyword as keyword i, a number from 0.
func (s *scanner) uint(i int, to *uint64) {
	if s.form.has(i) {
		s.unknown()
		return
	}
	n, ok := parseUint(s.value)
	*to = n
	if ok {
		s.put(i)
		return
	}
	var scratch [64]byte
	s.odd(i, appendUint(scratch[:0], s.key, n))
}

// parseUint reads a decimal number of at most 64 bits, 0 if v is none, and
// whether v spells it as Format does: digits only, no leading zero.
func parseUint(v string) (n uint64, canonical bool) {
	if v == "" || len(v) > 19 || v[0] == '0' && len(v) > 1 {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return 0, false
		}
		return n, v[0] != '0'
	}
	for i := 0; i < len(v); i++ {
		d := v[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}

// int takes the present keyword as keyword i, a number that may be negative.
func (s *scanner) int(i int, to *int64) {
	if s.form.has(i) {
		s.unknown()
		return
	}
	n, err := strconv.ParseInt(s.value, 10, 64)
	if err != nil {
		n = 0
	}
	*to = n
	var scratch [64]byte
	s.odd(i, appendInt(scratch[:0], s.key, n))
}

// float takes the present keyword as keyword i, a number that tor writes with
// six decimals.
func (s *scanner) float(i int, to *float64) {
	if s.form.has(i) {
		s.unknown()
		return
	}
	n, err := strconv.ParseFloat(s.value, 64)
	if err != nil {
		n = 0
	}
	*to = n
	var scratch [64]byte
	s.odd(i, appendFloat(scratch[:0], s.key, n))
}

// put notes that keyword i stands here, spelled as Format spells it.
func (s *scanner) put(i int) {
	if !s.form.ordered() {
		if i > s.last && s.extras == 0 {
			s.last = i
			s.form.present |= 1 << i
			return
		}
		s.order()
	}
	s.form.present |= 1 << i
	s.slot(slot{field: i})
}

// odd notes that keyword i stands here in a spelling that differs from
// Format's, which is canon.
func (s *scanner) odd(i int, canon []byte) {
	actual := s.s[s.from:s.pos]
	if string(canon) == actual {
		s.put(i)
		return
	}
	if !s.form.ordered() {
		s.order()
	}
	s.form.present |= 1 << i
	s.slot(slot{field: i, canon: string(canon), actual: actual})
}

// unknown keeps the present keyword or word in Extra.
func (s *scanner) unknown() {
	if s.form.ordered() {
		s.keep(s.s[s.from:s.pos])
		s.slot(slot{field: extraSlot})
	} else if s.extras == 0 {
		s.first = s.from
	}
	s.extras++
	s.end = s.pos
}

// keep adds words to an Extra that is not one part of the line.
func (s *scanner) keep(words string) {
	if len(s.outside) > 0 {
		s.outside = append(s.outside, ' ')
	}
	s.outside = append(s.outside, words...)
}

// order begins to note the order of keywords; those so far were canonical.
func (s *scanner) order() {
	if s.form.layout == nil {
		s.form.layout = &layout{sep: ' '}
	}
	s.form.layout.slots = make([]slot, 0, 8)
	for i := 0; i <= s.last; i++ {
		if s.form.has(i) {
			s.slot(slot{field: i})
		}
	}
	if s.extras > 0 {
		s.keep(s.s[s.first:s.end])
	}
	for range s.extras {
		s.slot(slot{field: extraSlot})
	}
}

func (s *scanner) slot(sl slot) {
	if len(s.form.layout.slots) == maxSlots {
		s.bad = true
		return
	}
	s.form.layout.slots = append(s.form.layout.slots, sl)
}

// rest returns what the line had beyond the fields, once next has returned
// false.
func (s *scanner) rest() Rest {
	r := Rest{form: s.form}
	switch {
	case s.extras == 0:
	case s.form.ordered():
		r.Extra = Keywords(s.outside)
	default:
		r.Extra = Keywords(s.s[s.first:s.end])
	}
	return r
}

// words reads words that fit nowhere and returns the rest: for events that
// have no keywords.
func (s *scanner) words() Rest {
	for s.next() {
		s.unknown()
	}
	return s.rest()
}
