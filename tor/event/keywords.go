package event

import (
	"iter"
	"strings"
)

// Keywords is a list of keywords and words as it stands on the wire,
// separated by single blanks: `PROGRESS=5 TAG=conn SUMMARY="Connecting to a
// relay"`. It is looked at only when asked, so it costs nothing to carry.
type Keywords string

// NewKeywords returns the list of the given keys and values, alternating.
// Values are quoted where they need it; characters that a key cannot have
// become "_". A last key without a value is a word.
func NewKeywords(kv ...string) Keywords {
	var b []byte
	for i := 0; i < len(kv); i += 2 {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, keyName(kv[i])...)
		if i+1 < len(kv) {
			b = append(b, '=')
			b = appendValue(b, kv[i+1])
		}
	}
	return Keywords(b)
}

// Get returns the value of the first keyword of that name, unquoted, and
// whether there is one. It allocates only if the value has escapes.
func (k Keywords) Get(key string) (value string, ok bool) {
	for pos := 0; pos < len(k); {
		name, v, end := token(string(k), pos)
		if name == key && name != "" {
			value, _ = Unquote(v)
			return value, true
		}
		pos = end + 1
	}
	return "", false
}

// All yields every key with its value, unquoted, in wire order. A word that
// is no keyword comes as a value under the key "".
func (k Keywords) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for key, v := range k.raw() {
			value, _ := Unquote(v)
			if !yield(key, value) {
				return
			}
		}
	}
}

// Len returns the number of keywords and words.
func (k Keywords) Len() int {
	n := 0
	for range k.raw() {
		n++
	}
	return n
}

// raw yields keys and values with the quotes still on.
func (k Keywords) raw() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for pos := 0; pos < len(k); {
			key, value, end := token(string(k), pos)
			if !yield(key, value) {
				return
			}
			pos = end + 1
		}
	}
}

// token reads the keyword or word that begins at s[from]; end is the index
// after it, where s ends or has a blank.
func token(s string, from int) (key, value string, end int) {
	if from < len(s) && s[from] == '"' {
		end = valueEnd(s, from)
		return "", s[from:end], end
	}
	for i := from; i < len(s); i++ {
		switch s[i] {
		case ' ':
			return "", s[from:i], i
		case '=':
			end = valueEnd(s, i+1)
			return s[from:i], s[i+1 : end], end
		}
	}
	return "", s[from:], len(s)
}

// valueEnd returns where the value ends that begins at s[from]: after its
// closing quote if it is a QuotedString, else before the next blank.
func valueEnd(s string, from int) int {
	if from < len(s) && s[from] == '"' {
		if end := closingQuote(s, from); end > 0 && (end == len(s) || s[end] == ' ') {
			return end
		}
	}
	if n := strings.IndexByte(s[from:], ' '); n >= 0 {
		return from + n
	}
	return len(s)
}

// appendValue appends a keyword's value, quoted unless it is a plain word.
func appendValue(b []byte, v string) []byte {
	plain := v != ""
	for i := 0; i < len(v) && plain; i++ {
		c := v[i]
		plain = c > ' ' && c != '"' && c != '\\' && c != 0x7f
	}
	if plain {
		return append(b, v...)
	}
	return appendQuoted(b, v, false)
}

func keyName(s string) string {
	if s == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-', r == '/':
			return r
		}
		return '_'
	}, s)
}
