package filter

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"torjournal/tor/event"
)

// The language is what is admitted here, a part of what the library knows:
//
//	names of fields, texts, numbers, true, false
//	and && or || not !   == != < <= > >=   + - * / % ** of numbers
//	in [constants]   in 1..9   contains startsWith endsWith matches "constant"
//	… ? … : …   len lower upper trim int float abs
//	any all none one count over a list, not one inside another
//	Path[0] Path[-1]   Arguments.KEY Arguments["KEY"]
//
// There is no way to make a text or a list longer than the event, or to go
// through a list within a list: work and memory stay linear.

// functions that may be called, with one argument.
var functions = []string{"len", "lower", "upper", "trim", "int", "float", "abs"}

// predicates are called with a list and what shall hold of its elements.
var predicates = []string{"any", "all", "none", "one", "count"}

var operators = []string{
	"and", "&&", "or", "||", "==", "!=", "<", "<=", ">", ">=", "in",
	"contains", "startsWith", "endsWith", "matches", "+", "-", "*", "/", "%", "**", "^",
}

// Names of our own functions, which nobody can write.
const (
	hopFunction  = "Path[]"
	wordFunction = "Keywords[]"
)

// admission walks a parsed expression once: it refuses what the language has
// not, and rewrites what only the language has into what the library knows.
type admission struct {
	v     *vocabulary
	clock clock
	nodes int
	steps int  // of all patterns
	inner bool // inside a predicate

	element kind // of the list that the predicate goes through
}

// clock says what time words mean.
type clock struct {
	now time.Time
	loc *time.Location
}

// measured refuses what is too long or too deep to be parsed.
func measured(source string) error {
	if len(source) > maxExpression {
		return fmt.Errorf("it has %d bytes, at most %d are taken", len(source), maxExpression)
	}
	if !utf8.ValidString(source) {
		return fmt.Errorf("it is not UTF-8")
	}
	if strings.TrimSpace(source) == "" {
		return fmt.Errorf(`it is empty; write for example Status == "FAILED"`)
	}
	depth := 0
	for i, c := range source {
		switch c {
		case '(', '[', '{', '?':
			if depth++; depth > maxDepth {
				return fault(source, utf8.RuneCountInString(source[:i]), "more than %d brackets are open", maxDepth)
			}
		case ')', ']', '}', ':':
			depth = max(0, depth-1)
		}
	}
	return nil
}

// node admits what p points to, or says why not.
func (a *admission) node(p *ast.Node) error {
	// Comparisons like 1 < x < 9 share their middle, so that nodes can be
	// met more often than the parser has counted.
	if a.nodes++; a.nodes > maxNodes {
		return refuse(*p, "it has more than %d names, constants and operators", maxNodes)
	}
	switch n := (*p).(type) {
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode:
		return nil
	case *ast.IdentifierNode:
		return a.name(n)
	case *ast.UnaryNode:
		return a.node(&n.Node)
	case *ast.BinaryNode:
		return a.binary(p, n)
	case *ast.ConditionalNode:
		return a.each(&n.Cond, &n.Exp1, &n.Exp2)
	case *ast.MemberNode:
		return a.member(p, n)
	case *ast.BuiltinNode:
		return a.builtin(n)
	case *ast.CallNode:
		return a.call(n)
	case *ast.ArrayNode:
		return refuse(n, "a list of constants stands only behind `in`")
	case *ast.PointerNode:
		if a.inner && a.element == texts && n.Name == "" {
			return nil
		}
		return refuse(n, "write what of the element is meant, for example %s", a.element.element())
	case *ast.NilNode:
		return refuse(n, "there is no nil: what is not there, is not compared")
	}
	return refuse(*p, "this is not part of the language of filters")
}

func (a *admission) each(nodes ...*ast.Node) error {
	for _, n := range nodes {
		if err := a.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (a *admission) name(n *ast.IdentifierNode) error {
	k, ok := a.v.kinds[n.Value]
	switch {
	case !ok:
		return refuse(n, "%s a field %q%s", a.v.nobody, n.Value, meant(n.Value, a.v.names))
	case k.list():
		return refuse(n, "%s is a list: write for example any(%s, %s == \"…\") or len(%s)", n.Value, n.Value, k.element(), n.Value)
	}
	return nil
}

// meant names the word that was probably meant.
func meant(s string, words []string) string {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return "; did you mean " + w + "?"
		}
	}
	if near := nearest(s, words); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

func (a *admission) binary(p *ast.Node, n *ast.BinaryNode) error {
	switch {
	case n.Operator == "..":
		return refuse(n, "a range stands only behind `in`, for example Read in 1..9")
	case !slices.Contains(operators, n.Operator):
		return refuse(n, "%q is not part of the language of filters", n.Operator)
	}
	if err := a.node(&n.Left); err != nil {
		return err
	}
	switch n.Operator {
	case "in":
		return a.membership(p, n)
	case "matches":
		return a.pattern(n)
	}
	if err := a.node(&n.Right); err != nil {
		return err
	}
	if err := a.times(n); err != nil {
		return err
	}
	return a.knownTypes(n.Left, n.Right)
}

// membership admits what stands on the right of `in`.
func (a *admission) membership(p *ast.Node, n *ast.BinaryNode) error {
	switch r := n.Right.(type) {
	case *ast.ArrayNode:
		if a.nodes += len(r.Nodes); a.nodes > maxNodes {
			return refuse(r, "it has more than %d names, constants and operators", maxNodes)
		}
		for _, e := range r.Nodes {
			if !constant(e) {
				return refuse(e, "the list behind `in` holds constants only")
			}
		}
		return a.knownTypes(n.Left, r.Nodes...)
	case *ast.BinaryNode:
		from, okFrom := integer(r.Left)
		to, okTo := integer(r.Right)
		if r.Operator != ".." || !okFrom || !okTo {
			break
		}
		if _, simple := n.Left.(*ast.IdentifierNode); !simple {
			return refuse(n.Left, "on the left of a range stands the name of a field") // it is evaluated twice
		}
		both := &ast.BinaryNode{
			Operator: "and",
			Left:     at(n, &ast.BinaryNode{Operator: ">=", Left: n.Left, Right: at(n, &ast.IntegerNode{Value: from})}),
			Right:    at(n, &ast.BinaryNode{Operator: "<=", Left: n.Left, Right: at(n, &ast.IntegerNode{Value: to})}),
		}
		ast.Patch(p, both)
		return nil
	}
	return refuse(n.Right, `behind "in" stands a list of constants or a range, for example in ["FAILED", "CLOSED"] or in 1..9`)
}

func constant(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.BoolNode, *ast.FloatNode:
		return true
	}
	_, ok := integer(n)
	return ok
}

// integer returns the value of an integer constant.
func integer(n ast.Node) (int, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		i, ok := n.Node.(*ast.IntegerNode)
		if ok && n.Operator == "-" {
			return -i.Value, true
		}
	}
	return 0, false
}

// pattern admits the regular expression of `matches`.
func (a *admission) pattern(n *ast.BinaryNode) error {
	s, ok := n.Right.(*ast.StringNode)
	if !ok {
		return refuse(n.Right, "the pattern behind `matches` must be a constant")
	}
	if len(s.Value) > maxPattern {
		return refuse(s, "the pattern has %d bytes, at most %d are taken", len(s.Value), maxPattern)
	}
	steps, err := patternSteps(s.Value)
	if err != nil {
		return refuse(s, "%v", err)
	}
	if a.nodes++; steps+a.steps > maxSteps {
		return refuse(s, "the patterns become programs of more than %d steps: repeat less", maxSteps)
	}
	a.steps += steps
	return nil
}

// patternSteps returns the length of the program that a pattern becomes.
func patternSteps(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0, err
	}
	return len(prog.Inst), nil
}

// times makes the text that Time is compared with a time.
func (a *admission) times(n *ast.BinaryNode) error {
	side := &n.Right
	id, ok := n.Left.(*ast.IdentifierNode)
	if !ok {
		side = &n.Left
		id, ok = n.Right.(*ast.IdentifierNode)
	}
	word, isText := (*side).(*ast.StringNode)
	if !ok || !isText || a.v.kinds[id.Value] != instant {
		return nil
	}
	t, err := Time(word.Value, a.clock.now, a.clock.loc)
	if err != nil {
		return refuse(word, "%v", err)
	}
	ast.Patch(side, &ast.ConstantNode{Value: t})
	return nil
}

// knownTypes refuses to compare Type with a name that no event has.
func (a *admission) knownTypes(left ast.Node, right ...ast.Node) error {
	id, ok := left.(*ast.IdentifierNode)
	if !ok && len(right) == 1 {
		id, ok = right[0].(*ast.IdentifierNode)
		right = []ast.Node{left}
	}
	if !ok || id.Value != "Type" {
		return nil
	}
	known := strings.Fields(event.NewSet(event.Types()...).String())
	for _, r := range right {
		if s, ok := r.(*ast.StringNode); ok && !event.Type(s.Value).Known() {
			return refuse(s, "%q is no event type%s", s.Value, meant(s.Value, known))
		}
	}
	return nil
}

// member admits .Nickname, Path[0] and Arguments.KEY.
func (a *admission) member(p *ast.Node, n *ast.MemberNode) error {
	key, named := n.Property.(*ast.StringNode)
	switch of := n.Node.(type) {
	case *ast.PointerNode:
		if named && of.Name == "" {
			return a.part(key, a.element)
		}
	case *ast.IdentifierNode:
		return a.fromField(p, n, of, key)
	case *ast.MemberNode:
		if list, ok := of.Node.(*ast.IdentifierNode); ok && named && a.v.kinds[list.Value] == hops {
			if err := a.part(key, hops); err != nil {
				return err
			}
			return a.node(&n.Node)
		}
	}
	return refuse(n.Property, "this is not part of the language of filters")
}

// part admits the field of a list's element.
func (a *admission) part(key *ast.StringNode, list kind) error {
	if parts := list.parts(); !slices.Contains(parts, key.Value) {
		return refuse(key, "an element of the list has no %q, but %s%s", key.Value, strings.Join(parts, ", "), meant(key.Value, parts))
	}
	a.nodes++
	return nil
}

// fromField admits what is taken out of a field: a hop by its place, or the
// value of a keyword.
func (a *admission) fromField(p *ast.Node, n *ast.MemberNode, of *ast.IdentifierNode, key *ast.StringNode) error {
	k, known := a.v.kinds[of.Value]
	name, index := "", ast.Node(nil)
	switch place, isPlace := integer(n.Property); {
	case !known:
		return a.name(of)
	case k == hops && isPlace:
		name, index = hopFunction, at(n.Property, &ast.IntegerNode{Value: place})
	case k == words && key != nil:
		name, index = wordFunction, key
	case k == hops:
		return refuse(n.Property, "%s is a list: write %s[0].Nickname for its first hop, [-1] for its last", of.Value, of.Value)
	default:
		return refuse(n.Property, "%s is a %v and has no parts", of.Value, k)
	}
	a.nodes += 2
	ast.Patch(p, &ast.CallNode{Callee: at(n, &ast.IdentifierNode{Value: name}), Arguments: []ast.Node{of, index}})
	return nil
}

func (a *admission) builtin(n *ast.BuiltinNode) error {
	switch {
	case slices.Contains(predicates, n.Name):
		return a.predicate(n)
	case !slices.Contains(functions, n.Name):
		return noFunction(n, n.Name)
	case len(n.Arguments) != 1:
		return refuse(n, "%s takes one argument", n.Name)
	}
	if id, ok := n.Arguments[0].(*ast.IdentifierNode); ok && n.Name == "len" && a.v.kinds[id.Value].list() {
		return nil
	}
	return a.node(&n.Arguments[0])
}

func (a *admission) predicate(n *ast.BuiltinNode) error {
	if a.inner {
		return refuse(n, "%s stands inside another one: a list within a list is not gone through", n.Name)
	}
	if len(n.Arguments) != 2 {
		return refuse(n, "%s takes a list and what shall hold of its elements, for example %s(Path, .Nickname == \"…\")", n.Name, n.Name)
	}
	list, ok := n.Arguments[0].(*ast.IdentifierNode)
	body, isBody := n.Arguments[1].(*ast.PredicateNode)
	if !ok || !isBody || !a.v.kinds[list.Value].list() {
		return refuse(n.Arguments[0], "%s takes a list: %s", n.Name, strings.Join(a.v.lists(), " or "))
	}
	a.inner, a.element = true, a.v.kinds[list.Value]
	err := a.node(&body.Node)
	a.inner = false
	return err
}

// lists are the names of fields that are lists.
func (v *vocabulary) lists() (out []string) {
	for _, name := range v.names {
		if v.kinds[name].list() {
			out = append(out, name)
		}
	}
	return out
}

func (a *admission) call(n *ast.CallNode) error {
	if id, ok := n.Callee.(*ast.IdentifierNode); ok {
		return noFunction(id, id.Value)
	}
	return refuse(n, "nothing but functions can be called: %s", strings.Join(slices.Concat(functions, predicates), ", "))
}

func noFunction(n ast.Node, name string) error {
	all := slices.Concat(functions, predicates)
	if near := meant(name, all); near != "" {
		return refuse(n, "there is no function %q%s", name, near)
	}
	return refuse(n, "there is no function %q; there are %s", name, strings.Join(all, ", "))
}

// at gives a new node the place of an old one.
func at[N ast.Node](old ast.Node, n N) N {
	n.SetLocation(old.Location())
	return n
}

// refuse says what is wrong with a part of an expression. Its place becomes a
// line and a column in faultOf.
func refuse(n ast.Node, format string, args ...any) error {
	var where file.Location
	if n != nil {
		where = n.Location()
	}
	return &file.Error{Location: where, Message: fmt.Sprintf(format, args...)}
}

// parse parses and admits an expression.
func (c *compiling) parse() (*parser.Tree, error) {
	tree, err := parser.ParseWithConfig(c.source, c.config)
	if err != nil {
		return nil, err
	}
	a := admission{v: c.v, clock: c.clock}
	if err := a.node(&tree.Node); err != nil {
		return nil, err
	}
	return tree, nil
}
