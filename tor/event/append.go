package event

import (
	"strconv"
	"strings"
)

// How Format spells names, words, values and texts. None of these can end the
// line they stand in, whatever they are given.

// appendWord appends a word at its place in the line. It is quoted if it
// cannot stand otherwise; an empty one leaves two blanks in a row.
func appendWord(b []byte, w string) []byte {
	b = append(b, ' ')
	if needsQuotes(w) {
		return appendQuoted(b, w, true)
	}
	return append(b, w...)
}

// appendOptional appends a word that may be missing.
func appendOptional(b []byte, w string) []byte {
	if w == "" {
		return b
	}
	return appendWord(b, w)
}

func appendNumber(b []byte, n uint64) []byte { return strconv.AppendUint(append(b, ' '), n, 10) }

func appendKey(b []byte, key string) []byte { return append(append(b, key...), '=') }

func appendPlain(b []byte, key, v string) []byte {
	b = appendKey(b, key)
	if needsQuotes(v) {
		return appendQuoted(b, v, true)
	}
	return append(b, v...)
}

func appendString(b []byte, key, v string) []byte {
	return appendQuoted(appendKey(b, key), v, true)
}

func appendUint(b []byte, key string, v uint64) []byte {
	return strconv.AppendUint(appendKey(b, key), v, 10)
}

func appendInt(b []byte, key string, v int64) []byte {
	return strconv.AppendInt(appendKey(b, key), v, 10)
}

func appendFloat(b []byte, key string, v float64) []byte {
	return strconv.AppendFloat(appendKey(b, key), v, 'f', 6, 64)
}

// appendName appends an event's name, without the characters that no name has.
func appendName(b []byte, name Type) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b = append(b, c)
		}
	}
	return b
}

// appendText appends text that goes on to the end of its line. Line ends in
// it become blanks.
func appendText(b []byte, s string) []byte { return append(b, oneLine(s)...) }

var lineEnds = strings.NewReplacer("\r", " ", "\n", " ")

func oneLine(s string) string {
	if strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 {
		return s
	}
	return lineEnds.Replace(s)
}
