package columns

import "bytes"

// A form is the tree of the lines of one type and frame: from a node, each
// edge is a word that may come next. Where a line ends, its node has a
// template.
type node struct {
	edges []edge
	tmpl  *template
}

type edge struct {
	token token
	head  byte // first byte of the token's text, compared before the rest; 0: none
	next  *node
}

// token is one word of a template.
type token struct {
	kind tokenKind
	text string // of a literal; of a keyword, with its "="
	col  int    // of all but a literal
}

type tokenKind uint8

const (
	tokenLiteral  tokenKind = iota
	tokenKeyword            // text, then the column's value
	tokenVariable           // the column's value
	tokenRest               // the column's value, which is all that is left of the line
	tokenKinds
)

// template is what the lines of one form share.
type template struct {
	id     uint32
	typ    string
	frame  frame
	tokens []token
	cells  []int // columns: those of the tokens and, but for frameLine, of what follows the first line
	key    int   // the cell that holds the entity's number; -1: none

	// encoder
	shapes []shapeRef // most recently used first
}

type shapeRef struct {
	ops uint64
	id  uint32
}

// find returns the edge that rest begins with, and the length of the word.
func (n *node) find(rest []byte) (*edge, int) {
	if len(rest) == 0 || rest[0] == ' ' {
		rest = nil // the empty word, whose head is 0
	}
	for i := range n.edges {
		e := &n.edges[i]
		text := e.token.text
		if len(rest) == 0 {
			if e.token.kind == tokenLiteral && text == "" {
				return e, 0
			}
			continue
		}
		if e.head != rest[0] || len(rest) < len(text) || string(rest[:len(text)]) != text {
			continue
		}
		if e.token.kind == tokenKeyword {
			return e, len(text) + wordLen(rest[len(text):])
		}
		if len(rest) == len(text) || rest[len(text)] == ' ' {
			return e, len(text)
		}
	}
	return nil, 0
}

func wordLen(b []byte) int {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return i
	}
	return len(b)
}

// classify says what a word that no edge leads to is.
func classify(word []byte, prose bool) (tokenKind, string) {
	if len(word) == 0 {
		return tokenLiteral, ""
	}
	if i := bytes.IndexByte(word, '='); i > 0 && i <= 32 && isKeyword(word[:i]) {
		return tokenKeyword, string(word[:i+1])
	}
	if len(word) <= 24 && isLiteral(word, prose) {
		return tokenLiteral, string(word)
	}
	return tokenVariable, ""
}

func isKeyword(b []byte) bool {
	if b[0] >= '0' && b[0] <= '9' {
		return false
	}
	for _, c := range b {
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return true
}

// isLiteral reports whether a word is one of a few that can stand at its
// place: capitals in an event, anything without digits in a message.
func isLiteral(b []byte, prose bool) bool {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' || c == '_' {
			continue
		}
		if !prose || c >= '0' && c <= '9' || c == '$' || c == '~' || c == '=' || c == '@' || c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
