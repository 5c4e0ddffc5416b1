package scrub

import "bytes"

// edit copies src with parts of it replaced, from left to right. As long as
// nothing is replaced it copies nothing.
type edit struct {
	src, dst []byte
	copied   int // src[:copied] is in dst, or replaced
}

// cut leaves out src[from:to]; the caller appends to dst what stands for it.
func (e *edit) cut(from, to int) {
	if e.dst == nil {
		e.dst = make([]byte, 0, len(e.src)+len(e.src)/4+32)
	}
	e.dst = append(e.dst, e.src[e.copied:from]...)
	e.copied = to
}

// result returns src with its replacements, or src itself.
func (e *edit) result() []byte {
	if e.dst == nil {
		return e.src
	}
	return append(e.dst, e.src[e.copied:]...)
}

// word is a part of a line between blanks: a keyword with its value, or not.
type word struct {
	from, to int
	value    int  // where the value begins; from if it is no keyword
	broken   bool // it begins with a quote that is not closed as it should be
}

func (w word) isKeyword() bool { return w.value > w.from }

// nextWord finds the word at or after src[pos]; it is empty at the end. Words
// end where event.Parse says: at a blank that is not inside the double quotes
// that the word, or a keyword's value, begins with. What is broken goes on to
// the end. With plain it is taken for no keyword.
func nextWord(src []byte, pos, end int, plain bool) (w word) {
	for pos < end && src[pos] == ' ' {
		pos++
	}
	w = word{from: pos, value: pos, to: end}
	if i := bytes.IndexByte(src[pos:end], ' '); i >= 0 {
		w.to = pos + i
	}
	if !plain && pos < end && src[pos] != '"' {
		if i := bytes.IndexByte(src[pos:w.to], '='); i > 0 {
			w.value = pos + i + 1
		}
	}
	if w.value < end && src[w.value] == '"' {
		w.to, w.broken = quoted(src, w.value, end)
	}
	return w
}

// quoted returns the end of the quoted string that begins at src[from].
func quoted(src []byte, from, end int) (to int, broken bool) {
	for i := from + 1; i < end; i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			if i+1 == end || src[i+1] == ' ' {
				return i + 1, false
			}
			return end, true
		}
	}
	return end, true
}
