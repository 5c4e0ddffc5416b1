package filter

import "github.com/expr-lang/expr/ast"

// work is what an evaluation costs at most, in units of about a nanosecond.
// Texts are parts of the event, lists have no more elements than it has bytes,
// and no list is gone through inside another one: so it is a sum of products.
type work struct {
	event   int // for each byte of the event
	element int // for each byte of the event, and perElement times for each element of a list
	cross   int // for each byte of the event and each element of a list
}

// Units of work.
const (
	parseWork   = 4   // to parse a byte, and to copy what is taken
	compareWork = 1   // to compare or search a byte
	makeWork    = 8   // to make a text, a byte
	stepWork    = 8   // to match a byte, for each step of a pattern
	perElement  = 100 // to go on to the next element, for each node
)

// exceeds reports whether an event of that length, with lists of at most so
// many elements, is more than maxWork.
func (w work) exceeds(length, elements int) bool {
	l, n := float64(length), float64(elements)
	return l*float64(w.event+w.element)+perElement*n*float64(w.element)+l*n*float64(w.cross) > maxWork
}

// workOf adds up what n costs.
func workOf(n ast.Node) work {
	w := work{event: parseWork}
	var inner []ast.Node
	visit(n, func(n ast.Node) {
		w.event += weigh(n)
		if p, ok := n.(*ast.PredicateNode); ok {
			inner = append(inner, p.Node)
		}
	})
	for _, body := range inner {
		visit(body, func(n ast.Node) {
			w.event -= weigh(n)
			if takesField(n) {
				w.cross += weigh(n)
			} else {
				w.element += weigh(n)
			}
		})
	}
	return w
}

// takesField reports whether a field of the event itself, whatever its
// length, is looked at for each element of a list.
func takesField(n ast.Node) (yes bool) {
	visit(n, func(n ast.Node) {
		_, ok := n.(*ast.IdentifierNode)
		yes = yes || ok
	})
	return yes
}

// weigh says what n itself costs.
func weigh(n ast.Node) int {
	switch n := n.(type) {
	case *ast.BuiltinNode:
		if n.Name == "lower" || n.Name == "upper" || n.Name == "trim" {
			return makeWork
		}
		return compareWork
	case *ast.BinaryNode:
		if s, ok := n.Right.(*ast.StringNode); ok && n.Operator == "matches" {
			steps, _ := patternSteps(s.Value)
			return steps * stepWork
		}
		return compareWork
	case *ast.CallNode, *ast.MemberNode:
		return compareWork
	}
	return 0
}

// nodesOf counts the nodes of n, and the steps of its patterns.
func nodesOf(n ast.Node) (nodes, steps int) {
	visit(n, func(n ast.Node) {
		nodes++
		if b, ok := n.(*ast.BinaryNode); ok && b.Operator == "matches" {
			s, _ := patternSteps(b.Right.(*ast.StringNode).Value)
			steps += s
		}
	})
	return nodes, steps
}
