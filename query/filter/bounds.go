package filter

import (
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"torjournal/journal"
)

// An expression is a predicate, and what is certain of all that it matches is
// a Range as well: blocks outside are not read. These functions look at a
// residue and return something that is necessary for it to be true.

// span returns bounds of numbers, times and session that hold whatever
// matches n.
func span(n ast.Node) (r journal.Range) {
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return r
	}
	switch b.Operator {
	case "and", "&&":
		return both(span(b.Left), span(b.Right))
	case "or", "||":
		return either(span(b.Left), span(b.Right))
	}
	if id, ok := b.Left.(*ast.IdentifierNode); ok {
		return bound(id.Value, b.Operator, b.Right)
	}
	if id, ok := b.Right.(*ast.IdentifierNode); ok {
		return bound(id.Value, mirrored(b.Operator), b.Left)
	}
	return r
}

// mirrored is the comparison with its sides exchanged.
func mirrored(operator string) string {
	switch operator {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	case "==":
		return "=="
	}
	return ""
}

// bound is what a comparison of one field with a constant says.
func bound(name, operator string, c ast.Node) (r journal.Range) {
	if t, ok := c.(*ast.ConstantNode); ok && name == "Time" {
		if at, ok := t.Value.(time.Time); ok {
			return timeBound(operator, at)
		}
	}
	n, ok := integer(c)
	if !ok || n < 0 {
		return r
	}
	switch {
	case name == "Session" && operator == "==":
		r.Session = uint64(n)
	case name != "Seq":
	case operator == "==":
		r.From, r.To = uint64(n), uint64(n)
	case operator == ">=":
		r.From = uint64(n)
	case operator == ">":
		r.From = uint64(n) + 1
	case operator == "<=":
		r.To = uint64(n)
	case operator == "<" && n > 0:
		r.To = uint64(n) - 1
	}
	return r
}

func timeBound(operator string, t time.Time) (r journal.Range) {
	after := t.Add(1) // Until is the first moment that does not belong
	switch operator {
	case "==":
		r.Since, r.Until = t, after
	case ">=", ">":
		r.Since = t
	case "<":
		r.Until = t
	case "<=":
		r.Until = after
	}
	return r
}

// both returns the bounds that hold where a and b hold. Where sessions
// differ nothing can match; either is right then.
func both(a, b journal.Range) journal.Range {
	a.From = max(a.From, b.From)
	if a.To == 0 || b.To != 0 && b.To < a.To {
		a.To = b.To
	}
	if b.Since.After(a.Since) {
		a.Since = b.Since
	}
	if a.Until.IsZero() || !b.Until.IsZero() && b.Until.Before(a.Until) {
		a.Until = b.Until
	}
	if a.Session == 0 {
		a.Session = b.Session
	}
	return a
}

// either returns the bounds that hold where a or b holds.
func either(a, b journal.Range) journal.Range {
	a.From = min(a.From, b.From)
	if a.To == 0 || b.To == 0 {
		a.To = 0
	} else {
		a.To = max(a.To, b.To)
	}
	if b.Since.Before(a.Since) {
		a.Since = b.Since
	}
	if a.Until.IsZero() || b.Until.IsZero() {
		a.Until = time.Time{}
	} else if b.Until.After(a.Until) {
		a.Until = b.Until
	}
	if a.Session != b.Session {
		a.Session = 0
	}
	return a
}

// maxWords is how many words are looked for before an event is parsed.
const maxWords = 2

// needed returns words that stand in the bytes of every event that matches
// n: what a field is compared with. To look for them is ten times as fast as
// to parse. They do not stand there if the event has escapes.
func (v *vocabulary) needed(n ast.Node) [][]byte {
	words := v.wordsOf(n)
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	words = slices.Compact(words)
	var out [][]byte
	for _, w := range words[:min(len(words), maxWords)] {
		out = append(out, []byte(w))
	}
	return out
}

func (v *vocabulary) wordsOf(n ast.Node) []string {
	switch x := n.(type) {
	case *ast.BinaryNode:
		if x.Operator == "and" || x.Operator == "&&" {
			return append(v.wordsOf(x.Left), v.wordsOf(x.Right)...)
		}
		return v.compared(x)
	case *ast.BuiltinNode:
		if x.Name == "any" {
			return v.wordsOf(x.Arguments[1].(*ast.PredicateNode).Node)
		}
	}
	return nil
}

// compared returns the constant of a comparison that holds only for events
// with its bytes inside.
func (v *vocabulary) compared(b *ast.BinaryNode) []string {
	side, c := b.Left, b.Right
	if _, ok := c.(*ast.StringNode); !ok && b.Operator == "==" {
		side, c = c, side
	}
	word, ok := c.(*ast.StringNode)
	switch b.Operator {
	case "==", "contains", "startsWith", "endsWith":
	default:
		return nil
	}
	if !ok || !v.verbatim(side) || word.Value == "" || strings.ContainsAny(word.Value, "\r\n\"\\") {
		return nil
	}
	return []string{word.Value}
}

// verbatim reports whether n is a text that is a part of the wire form.
func (v *vocabulary) verbatim(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		return v.kinds[x.Value] == text || v.kinds[x.Value] == words
	case *ast.MemberNode: // of a list's element
		return true
	case *ast.CallNode:
		return true // a hop or a keyword
	}
	return false
}
