package event

import "strings"

// Quote returns s as a QuotedString of the control protocol (control-spec,
// section 2.1): in double quotes, with backslashes, quotes and control
// characters escaped the way tor escapes them (section 2.1.1), everything
// else as it is. The result never contains CR or LF.
func Quote(s string) string { return string(appendQuoted(nil, s, false)) }

// Unquote returns the text of a QuotedString and true, or s and false if s is
// none. It follows section 2.1.1: \n, \t, \r and octal escapes are C's, a
// backslash before anything else stands for that character. It allocates
// only if s contains an escape.
func Unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || closingQuote(s, 0) != len(s) {
		return s, false
	}
	body := s[1 : len(s)-1]
	if strings.IndexByte(body, '\\') < 0 {
		return body, true
	}
	return unescape(body), true
}

// closingQuote returns the index after the quote that closes the one at
// s[open], -1 if none does.
func closingQuote(s string, open int) int {
	for i := open + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// WordLen returns the length of the word at the beginning of s: what goes up to
// a blank, but blanks inside double quotes belong to it. A quote that is not
// closed goes on to the end.
func WordLen[S ~string | ~[]byte](s S) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			return i
		}
	}
	return len(s)
}

func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case '0', '1', '2', '3', '4', '5', '6', '7':
			octet, digits := octal(s[i:])
			out = append(out, octet)
			i += digits - 1
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// octal reads the one to three octal digits that s begins with, as far as
// they fit an octet.
func octal(s string) (octet byte, digits int) {
	n := 0
	for digits < 3 && digits < len(s) && s[digits] >= '0' && s[digits] <= '7' {
		next := n*8 + int(s[digits]-'0')
		if next > 0xff {
			break
		}
		n = next
		digits++
	}
	return byte(n), digits
}

// appendQuoted appends s as a QuotedString. With asTor it escapes all that
// tor's own escaper does: also single quotes and everything that is not
// printable ASCII.
func appendQuoted(b []byte, s string, asTor bool) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' || c == '"' || asTor && c == '\'':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ' || c == 0x7f || asTor && c > 0x7f:
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// needsQuotes reports whether s cannot stand as a word of its own.
func needsQuotes(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '"' {
		return true
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == ' ' || c == '\r' || c == '\n' {
			return true
		}
	}
	return false
}

// quotesAsItIs reports whether tor would put s between quotes without any
// escape.
func quotesAsItIs(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' || c == '"' || c == '\'' {
			return false
		}
	}
	return true
}
