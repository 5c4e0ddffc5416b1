package filter

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"torjournal/tor/event"
)

// What an expression means for events that lack some of its fields.
//
// A part of an expression that takes a field which the event's type does not
// have is neither true nor false, and the event matches only if the whole is
// true whatever that part is (the logic of SQL's NULL). So
//
//	Reason != "TIMEOUT"         no BW event matches: it has no Reason
//	not (Reason == "TIMEOUT")   the same events
//	Status == "FAILED" || Read > 1000000   both types, each by its own half
//
// Which fields there are depends on the type alone. So each type gets its own
// residue of the expression, which takes no field that the type lacks: where
// the whole must be true, an undecided part may as well be false; below a
// `not`, where a part must be false, it may as well be true. `Type` is a
// constant in a residue, and what is decided by it is gone. A residue that is
// false says that no event of that type can match: neither are its blocks
// read, nor its events parsed.

// residue returns what is left of n for events of type t, when n is asked to
// be true (or, if negated, to be false). It shares what has not changed with
// n.
func (v *vocabulary) residue(n ast.Node, t of, negated bool) ast.Node {
	switch x := n.(type) {
	case *ast.UnaryNode:
		if x.Operator == "not" || x.Operator == "!" {
			r := v.residue(x.Node, t, !negated)
			if b, ok := r.(*ast.BoolNode); ok {
				return at(n, &ast.BoolNode{Value: !b.Value})
			}
			return at(n, &ast.UnaryNode{Operator: x.Operator, Node: r})
		}
	case *ast.BinaryNode:
		switch x.Operator {
		case "and", "&&":
			return v.join(x, t, negated, false)
		case "or", "||":
			return v.join(x, t, negated, true)
		}
	case *ast.ConditionalNode:
		return v.choice(x, t, negated)
	}
	if v.lacks(n, t) {
		return at(n, &ast.BoolNode{Value: negated})
	}
	if b, ok := t.decided(n); ok {
		return at(n, &ast.BoolNode{Value: b})
	}
	return n
}

// join is the residue of `and`, or of `or`, which is decided by a side that
// is true.
func (v *vocabulary) join(n *ast.BinaryNode, t of, negated, decides bool) ast.Node {
	l := v.residue(n.Left, t, negated)
	r := v.residue(n.Right, t, negated)
	for _, pair := range [2][2]ast.Node{{l, r}, {r, l}} {
		if b, ok := pair[0].(*ast.BoolNode); ok {
			if b.Value == decides {
				return b
			}
			return pair[1]
		}
	}
	return at(n, &ast.BinaryNode{Operator: n.Operator, Left: l, Right: r})
}

// choice is the residue of … ? … : …, undecided if its condition is.
func (v *vocabulary) choice(n *ast.ConditionalNode, t of, negated bool) ast.Node {
	if v.lacks(n.Cond, t) {
		return at(n, &ast.BoolNode{Value: negated})
	}
	c := v.residue(n.Cond, t, false)
	if b, ok := c.(*ast.BoolNode); ok {
		if b.Value {
			return v.residue(n.Exp1, t, negated)
		}
		return v.residue(n.Exp2, t, negated)
	}
	return at(n, &ast.ConditionalNode{
		Ternary: n.Ternary, Cond: c, Exp1: v.residue(n.Exp1, t, negated), Exp2: v.residue(n.Exp2, t, negated),
	})
}

// of is the type that a residue is for.
type of struct {
	event.Type      // "" for all that have no struct
	fixed      bool // Type decides; not so for "", and for events that do not fit their type's grammar

	absent map[string]bool // of a row: what it has no value for
}

// lacks reports whether n takes a field that t has not.
func (v *vocabulary) lacks(n ast.Node, t of) bool {
	lacking := false
	visit(n, func(n ast.Node) {
		id, ok := n.(*ast.IdentifierNode)
		switch {
		case !ok || !v.known(id.Value):
		case t.absent != nil:
			lacking = lacking || t.absent[id.Value]
		default:
			lacking = lacking || !v.has(t.Type, id.Value)
		}
	})
	return lacking
}

func (v *vocabulary) known(name string) bool {
	_, ok := v.kinds[name]
	return ok
}

// decided returns the value of a comparison of Type with constants.
func (t of) decided(n ast.Node) (value, ok bool) {
	b, isBinary := n.(*ast.BinaryNode)
	if !isBinary || !t.fixed {
		return false, false
	}
	if list, isList := b.Right.(*ast.ArrayNode); isList && b.Operator == "in" {
		l, ok := t.word(b.Left)
		return slices.ContainsFunc(list.Nodes, func(e ast.Node) bool {
			s, isText := e.(*ast.StringNode)
			return isText && s.Value == l
		}), ok && isType(b.Left)
	}
	l, okLeft := t.word(b.Left)
	r, okRight := t.word(b.Right)
	equality := b.Operator == "==" || b.Operator == "!="
	if !okLeft || !okRight || !isType(b.Left) && !isType(b.Right) || t.Type == "" && !equality {
		return false, false
	}
	return compareWords(b.Operator, l, r)
}

func isType(n ast.Node) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == "Type"
}

// word returns a text that is known when the expression is compiled. A type
// without a struct has a name that differs from all that can be written.
func (t of) word(n ast.Node) (string, bool) {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value, true
	}
	return string(t.Type), isType(n)
}

func compareWords(operator, l, r string) (value, ok bool) {
	switch operator {
	case "==":
		return l == r, true
	case "!=":
		return l != r, true
	case "contains":
		return strings.Contains(l, r), true
	case "startsWith":
		return strings.HasPrefix(l, r), true
	case "endsWith":
		return strings.HasSuffix(l, r), true
	case "matches":
		re, err := regexp.Compile(r)
		return err == nil && re.MatchString(l), err == nil
	}
	return false, false
}

// visit calls f for n and all below it.
func visit(n ast.Node, f func(ast.Node)) { ast.Walk(&n, visitor(f)) }

type visitor func(ast.Node)

func (v visitor) Visit(n *ast.Node) { v(*n) }
