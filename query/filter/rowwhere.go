package filter

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"

	"torjournal/tor/event"
)

// RowWhere is a compiled expression over the rows of an answer. It is for one
// goroutine.
//
// Its names are those that the rows have in JSON: `build_ms > 2000 && reason ==
// "TIMEOUT"`. A number or a time that a row is without is unknown, and what takes
// it neither true nor false, as residue.go has it for events; a text or a list
// that is absent is empty. Relays in a path or a link are lists as
// those of events: path[0].Nickname. Maps have no names.
type RowWhere struct {
	compiling
	form    *rowForm
	taken   []string             // names that the expression takes
	by      map[string]*residual // by which of them are absent; nil: no such row matches
	machine vm.VM
	env     reflect.Value // a pointer to a struct of the vocabulary
	absent  map[string]bool
}

// maxResidues bounds how many forms of one expression are kept, of some KiB
// each: one for every set of names that rows were without.
const maxResidues = 32

// rowForm says how the rows of one struct are seen by expressions.
type rowForm struct {
	vocabulary
	row    reflect.Type
	fields map[string]rowField
}

type rowField struct {
	index []int // through structs whose fields stand in the row's own JSON
	may   bool  // be absent, where it has no value
}

// of returns the field of a row; it is not valid if the struct it is in is not
// there.
func (f *rowField) of(row reflect.Value) reflect.Value {
	v, _ := row.FieldByIndexErr(f.index)
	return v
}

// CompileRows compiles an expression over rows, which are pointers to the
// struct that row points to. now and loc are for the times in it, as with
// CompileWhere, and so are errors and costs.
func CompileRows(source string, row reflect.Type, now time.Time, loc *time.Location) (*RowWhere, error) {
	form := newRowForm(row.Elem())
	w := &RowWhere{
		compiling: compiling{source: source, v: &form.vocabulary, clock: clock{now, loc}}, form: form,
		by: map[string]*residual{}, machine: vm.VM{MemoryBudget: maxMade}, env: reflect.New(form.env), absent: map[string]bool{},
	}
	if _, err := fenced(w.compileRows); err != nil {
		return nil, w.explained(err)
	}
	return w, nil
}

// compileRows compiles the form for rows that have everything; so whatever is
// wrong is found.
func (w *RowWhere) compileRows() (*Where, error) {
	if err := measured(w.source); err != nil {
		return nil, err
	}
	w.config = w.newConfig()
	tree, err := w.parse()
	if err != nil {
		return nil, err
	}
	if err := w.check(tree); err != nil {
		return nil, err
	}
	w.taken = w.v.taken(tree.Node)
	_, err = w.residue("")
	return nil, err
}

// residue returns what is left of the expression for rows without what is
// absent now, which is called key.
func (w *RowWhere) residue(key string) (*residual, error) {
	if p, ok := w.by[key]; ok {
		return p, nil
	}
	if len(w.by) >= maxResidues {
		clear(w.by)
	}
	w.made = map[string]*vm.Program{} // programs of other forms are not this one's
	tree, err := w.parse()
	if err != nil {
		return nil, err
	}
	t := of{absent: w.absent}
	root := w.v.residue(tree.Node, t, false)
	if never(root) {
		w.by[key] = nil
		return nil, nil
	}
	p, err := w.residual(root, t)
	if err == nil {
		w.by[key] = p
	}
	return p, err
}

// Match reports whether the row matches. An error, an *ExprError, means that it
// could not be decided: the row does not match.
func (w *RowWhere) Match(row any) (bool, error) {
	v := reflect.ValueOf(row).Elem()
	clear(w.absent)
	key := ""
	for _, name := range w.taken {
		f := w.form.fields[name]
		if value := f.of(v); !value.IsValid() || f.may && value.IsZero() {
			w.absent[name] = true
			key += name + " "
		}
	}
	p, err := w.residue(key)
	switch {
	case err != nil:
		return false, w.explained(err)
	case p == nil || p.program == nil:
		return p != nil, nil
	}
	size, longest := 0, 0
	for _, name := range w.taken {
		to := w.env.Elem().Field(w.v.place[name])
		f := w.form.fields[name]
		n, elements := setRowField(to, f.of(v))
		size, longest = size+n, max(longest, elements)
	}
	if p.work.exceeds(size, longest) {
		return false, &ExprError{Problem: fmt.Sprintf("it is too much work for a row of %d bytes", size)}
	}
	out, err := w.machine.Run(p.program, w.env.Interface())
	if err != nil {
		return false, evaluationFault(err)
	}
	return out == true, nil
}

// setRowField gives a name the value that its field has, and returns how many
// bytes and elements these are.
func setRowField(to, from reflect.Value) (size, elements int) {
	if from.Kind() == reflect.Pointer {
		from = from.Elem()
	}
	if !from.IsValid() {
		to.SetZero() // the residue does not take it
		return 0, 0
	}
	switch to := to.Addr().Interface().(type) {
	case *string:
		*to = from.String()
		return len(*to), 0
	case *bool:
		*to = from.Bool()
	case *int:
		if from.CanUint() {
			*to = saturated(from.Uint())
		} else {
			*to = int(from.Int())
		}
	case *float64:
		*to = from.Float()
	case *time.Time:
		*to = from.Field(0).Interface().(time.Time)
	case *[]string:
		*to = from.Interface().([]string)
		for _, s := range *to {
			size += len(s)
		}
		return size, len(*to)
	case *[]event.Router:
		*to = (*to)[:0]
		for _, hop := range from.Interface().([]string) {
			*to = append(*to, event.ParseRouter(hop))
			size += len(hop)
		}
		return size, len(*to)
	}
	return 8, 0
}

// relayLists are lists of texts that are relays as tor writes them.
var relayLists = []string{"path", "link"}

// newRowForm looks at the struct of rows.
func newRowForm(row reflect.Type) *rowForm {
	f := &rowForm{vocabulary: vocabulary{nobody: "the rows have not", kinds: map[string]kind{}, place: map[string]int{}}, row: row, fields: map[string]rowField{}}
	var env []reflect.StructField
	for _, field := range reflect.VisibleFields(row) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		k, ok := rowKind(name, field.Type)
		if name == "" || !ok {
			continue
		}
		f.kinds[name], f.place[name] = k, len(env)
		f.fields[name] = rowField{field.Index, options != "" && k != text && k != truth && !k.list()}
		f.names = append(f.names, name)
		env = append(env, reflect.StructField{
			Name: "F" + strconv.Itoa(len(env)), Type: kindTypes[k], Tag: reflect.StructTag(`expr:"` + name + `"`),
		})
	}
	f.env = reflect.StructOf(env)
	return f
}

// rowKind is the kind of a row's field. What there is no kind for is left out.
func rowKind(name string, t reflect.Type) (kind, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Bool:
		return truth, true
	case t.Kind() == reflect.Struct && t.NumField() == 1 && t.Field(0).Type == kindTypes[instant]:
		return instant, true // query.Stamp
	case t == kindTypes[texts] && slices.Contains(relayLists, name):
		return hops, true
	case t == kindTypes[texts]:
		return texts, true
	case t.Kind() == reflect.Struct:
		return 0, false
	}
	return kindOf(t)
}

// RowFields lists the names that an expression over rows can use, in the order
// of the row.
func RowFields(row reflect.Type) (out []Field) {
	form := newRowForm(row.Elem())
	for _, name := range form.names {
		f := Field{Name: name, Kind: form.kinds[name].String()}
		if k := form.kinds[name]; k.list() {
			f.Parts = k.parts()
		}
		out = append(out, f)
	}
	return out
}
