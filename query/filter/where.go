package filter

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Where is a compiled expression over the fields of events. It never changes
// and may be shared; a Matcher evaluates it.
type Where struct {
	source string
	bounds journal.Range             // of whatever matches; Types empty: every type may
	by     [otherTypes + 1]*residual // by bit; nil: no event of that type matches
	weight int
}

// residual is the program for one type.
type residual struct {
	program *vm.Program // nil: every event of the type matches
	slots   []slot      // what it needs to know
	parse   bool        // whether some of that is in the event's struct
	needed  [][]byte    // words that stand in whatever matches
	work    work
}

// ExprError says what is wrong with an expression, and where.
type ExprError struct {
	Line, Column int // from 1; 0: the whole
	Problem      string
}

func (e *ExprError) Error() string {
	if e.Line == 0 {
		return e.Problem
	}
	return fmt.Sprintf("at %d:%d: %s", e.Line, e.Column, e.Problem)
}

// CompileWhere compiles an expression such as `Type == "CIRC" && Reason ==
// "TIMEOUT"`; admit.go says what the language is, Fields which names there
// are. Times that Time is compared with take the forms of filter.Time; now
// and loc are what they mean. Any error is an *ExprError.
//
// Compiling takes at most some milliseconds and MiB, see limits.go.
func CompileWhere(source string, now time.Time, loc *time.Location) (*Where, error) {
	c := compiling{source: source, v: vocab(), clock: clock{now, loc}}
	w, err := fenced(c.compile)
	if err != nil {
		return nil, c.explained(err)
	}
	return w, nil
}

// fenced makes a panic an error: the library works on what strangers send to
// a recorder, which must not end because of it. (Its machine does so itself.)
func fenced(compile func() (*Where, error)) (w *Where, err error) {
	defer func() {
		if r := recover(); r != nil {
			w, err = nil, fmt.Errorf("it cannot be compiled: %v", r)
		}
	}()
	return compile()
}

// compiling is one call of CompileWhere.
type compiling struct {
	source string
	v      *vocabulary
	clock  clock
	config *conf.Config
	made   map[string]*vm.Program // by the text of the residue
	size   int                    // of those, about, in bytes
}

func (c *compiling) compile() (*Where, error) {
	if err := measured(c.source); err != nil {
		return nil, err
	}
	c.config, c.made = c.newConfig(), map[string]*vm.Program{}
	tree, err := c.parse()
	if err != nil {
		return nil, err
	}
	if err := c.check(tree); err != nil {
		return nil, err
	}
	w := &Where{source: c.source}
	var types []event.Type // whose events can match
	var spans []journal.Range
	for _, t := range event.Types() {
		root := c.v.residue(tree.Node, of{Type: t, fixed: true}, false)
		if never(root) {
			continue
		}
		types, spans = append(types, t), append(spans, span(root))
		if w.by[bit(t)], err = c.residual(root, of{Type: t, fixed: true}); err != nil {
			return nil, err
		}
	}
	// Types that only a newer tor knows, and events that do not fit their
	// type's grammar, have no fields but the general ones.
	root := c.v.residue(tree.Node, of{Type: "", fixed: false}, false)
	if !never(root) {
		spans = append(spans, span(root))
		if w.by[otherTypes], err = c.residual(root, of{Type: "", fixed: false}); err != nil {
			return nil, err
		}
	}
	newer := !never(c.v.residue(tree.Node, of{Type: "", fixed: true}, false))
	if len(types) == 0 && !newer {
		return nil, errors.New("no event can match: no type has all the fields that it takes together")
	}
	w.bounds = spans[0]
	for _, s := range spans[1:] {
		w.bounds = either(w.bounds, s)
	}
	if !newer {
		w.bounds.Types = event.NewSet(types...)
	}
	w.weight = len(c.source) + c.size
	return w, nil
}

// What a program holds, in bytes: measured by TestSize.
const (
	programBytes = 2048
	nodeBytes    = 256
	stepBytes    = 128
)

func never(n ast.Node) bool {
	b, ok := n.(*ast.BoolNode)
	return ok && !b.Value
}

func always(n ast.Node) bool {
	b, ok := n.(*ast.BoolNode)
	return ok && b.Value
}

// newConfig says what the library may know: our names, nothing built in but
// what admit.go admits.
func (c *compiling) newConfig() *conf.Config {
	k := conf.CreateNew()
	k.WithEnv(reflect.Zero(c.v.env).Interface()) // a pointer would have fields looked up by name
	k.MaxNodes = maxNodes
	addFunctions(k)
	return k
}

// check looks at the types of all parts.
func (c *compiling) check(tree *parser.Tree) error {
	t, err := checker.Check(tree, c.config)
	if err != nil {
		return err
	}
	if t.Kind() != reflect.Bool {
		return refuse(tree.Node, "the whole is no condition but a value: compare it with something")
	}
	var bad error
	visit(tree.Node, func(n ast.Node) {
		b, ok := n.(*ast.BinaryNode)
		if !ok || !arithmetic(b.Operator) || bad != nil {
			return
		}
		// "+" makes texts as well, and nothing would bound them.
		if !b.Left.Nature().IsNumber() || !b.Right.Nature().IsNumber() {
			bad = refuse(b, "%s is for numbers", b.Operator)
		}
	})
	return bad
}

func arithmetic(operator string) bool {
	switch operator {
	case "+", "-", "*", "/", "%", "**", "^":
		return true
	}
	return false
}

// residual compiles root, what is left of the expression for events of t.
func (c *compiling) residual(root ast.Node, t of) (*residual, error) {
	if always(root) {
		return &residual{}, nil
	}
	r := &residual{work: workOf(root), needed: c.v.needed(root)}
	r.slots, r.parse = c.v.slots(t.Type, c.v.taken(root))
	key := root.String()
	if p := c.made[key]; p != nil {
		r.program = p
		return r, nil
	}
	var err error
	r.program, err = c.program(t)
	c.made[key] = r.program
	nodes, steps := nodesOf(root)
	c.size += programBytes + nodes*nodeBytes + steps*stepBytes
	return r, err
}

// program compiles the residue for t. The library works on the tree itself,
// so each program begins with a tree of its own.
func (c *compiling) program(t of) (*vm.Program, error) {
	tree, err := c.parse()
	if err != nil {
		return nil, err
	}
	tree.Node = c.v.residue(tree.Node, t, false)
	if _, err := checker.Check(tree, c.config); err != nil {
		return nil, err
	}
	if err := optimizer.Optimize(&tree.Node, c.config); err != nil {
		return nil, err
	}
	return compiler.Compile(tree, c.config)
}

// taken returns the names of the fields that n takes, each once.
func (v *vocabulary) taken(n ast.Node) (names []string) {
	seen := map[string]bool{}
	visit(n, func(n ast.Node) {
		if id, ok := n.(*ast.IdentifierNode); ok && v.known(id.Value) && !seen[id.Value] {
			seen[id.Value] = true
			names = append(names, id.Value)
		}
	})
	return names
}

// explained turns an error of the library, or one of ours, into an ExprError.
func (c *compiling) explained(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &ExprError{Problem: err.Error()}
	}
	at = at.Bind(file.NewSource(c.source))
	problem := at.Message
	if strings.Contains(problem, "mismatched types") && strings.Contains(problem, "string") {
		problem += "; a text stands in quotes, a number does not"
	}
	return &ExprError{Line: at.Line, Column: at.Column + 1, Problem: problem}
}

// fault is an error at a place, counted in characters from 0.
func fault(source string, place int, format string, args ...any) error {
	return &file.Error{Location: file.Location{From: place}, Message: fmt.Sprintf(format, args...)}
}

// Source returns the expression as it was written.
func (w *Where) Source() string { return w.source }

// Size returns about how many bytes w holds.
func (w *Where) Size() int { return w.weight }

// Types returns the types whose events can match, the empty set for all.
func (w *Where) Types() event.Set { return w.bounds.Types }

// Narrow returns what of r can hold events that match: w is sure that there
// is none outside. It is false if that is nothing at all.
func (w *Where) Narrow(r journal.Range) (journal.Range, bool) {
	types, ok := common(r.Types, w.bounds.Types)
	if r.Session != 0 && w.bounds.Session != 0 && r.Session != w.bounds.Session {
		ok = false
	}
	r = both(r, w.bounds)
	r.Types = types
	if r.To != 0 && r.From > r.To || !r.Until.IsZero() && !r.Since.Before(r.Until) {
		ok = false
	}
	return r, ok
}

// common returns the types that are in a and in b, where the empty set
// stands for all; it is false if there is none.
func common(a, b event.Set) (event.Set, bool) {
	switch {
	case a.Empty() || a.All():
		return b, true
	case b.Empty() || b.All():
		return a, true
	}
	types := a.Minus(a.Minus(b))
	return types, !types.Empty()
}
