package filter

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Matcher evaluates expressions, one at a time: it is for one goroutine. What
// an evaluation needs is reused by the next one.
type Matcher struct {
	vm   vm.VM
	env  reflect.Value // a pointer to the vocabulary's struct
	face any           // env
	to   []any         // pointers to its fields
	hops []event.Router
}

// NewMatcher returns a Matcher, some 4 KiB.
func NewMatcher() *Matcher {
	m := &Matcher{env: reflect.New(vocab().env), vm: vm.VM{MemoryBudget: maxMade}}
	m.face = m.env.Interface()
	for i := range m.env.Elem().NumField() {
		m.to = append(m.to, m.env.Elem().Field(i).Addr().Interface())
	}
	return m
}

// Forget lets go of the events that m has seen.
func (m *Matcher) Forget() {
	m.env.Elem().SetZero()
	clear(m.vm.Stack[:cap(m.vm.Stack)])
	clear(m.hops[:cap(m.hops)])
}

// Match reports whether the record matches w. An error, an *ExprError, means
// that it could not be decided: the record does not match.
func (m *Matcher) Match(w *Where, r *journal.Record) (bool, error) {
	p := w.by[bit(r.Type)]
	switch {
	case p == nil:
		return false, nil
	case p.program == nil:
		return true, nil
	case !p.mayMatch(r.Wire):
		return false, nil
	}
	if p.parse {
		ev, err := event.Parse(r.Wire)
		if err != nil {
			return false, nil // not an event: no field has a value
		}
		if _, unknown := ev.(*event.Unknown); !unknown {
			return m.evaluate(p, r, reflect.ValueOf(ev).Elem())
		}
		// It does not fit its type's grammar, so it has no fields either.
		if p = w.by[otherTypes]; p == nil {
			return false, nil
		}
	}
	return m.evaluate(p, r, reflect.Value{})
}

// mayMatch reports whether the words that p needs stand in the wire form, or
// may do so in another spelling.
func (p *residual) mayMatch(wire []byte) bool {
	for _, w := range p.needed {
		if !bytes.Contains(wire, w) {
			return bytes.IndexByte(wire, '\\') >= 0
		}
	}
	return true
}

func (m *Matcher) evaluate(p *residual, r *journal.Record, fields reflect.Value) (bool, error) {
	if p.program == nil {
		return true, nil
	}
	longest := 0
	for _, s := range p.slots {
		if s.from == nil {
			m.setGeneral(s.to, r)
		} else if n := m.set(s, fields.FieldByIndex(s.from)); n > longest {
			longest = n
		}
	}
	if p.work.exceeds(len(r.Wire), longest) {
		return false, &ExprError{Problem: fmt.Sprintf("it is too much work for an event of %d bytes", len(r.Wire))}
	}
	out, err := m.vm.Run(p.program, m.face)
	if err != nil {
		return false, evaluationFault(err)
	}
	return out == true, nil
}

// evaluationFault is without the text of the expression.
func evaluationFault(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &ExprError{Problem: err.Error()}
	}
	return &ExprError{Line: at.Line, Column: at.Column + 1, Problem: at.Message}
}

// set gives one name its value and returns the length of a list.
func (m *Matcher) set(s slot, from reflect.Value) (length int) {
	switch to := m.to[s.to].(type) {
	case *string:
		*to = from.String()
	case *int:
		if from.CanUint() {
			*to = saturated(from.Uint())
		} else {
			*to = int(from.Int())
		}
	case *float64:
		*to = from.Float()
	case *[]event.Router:
		m.hops = m.hops[:0]
		for h := range event.Path(from.String()).All() {
			m.hops = append(m.hops, h)
		}
		*to = m.hops
		return len(m.hops)
	case *[]event.Option:
		*to = from.Interface().([]event.Option)
		return len(*to)
	}
	return 0
}

// setGeneral gives a name its value that every record has.
func (m *Matcher) setGeneral(to int, r *journal.Record) {
	v := vocab()
	switch v.names[to] {
	case "Seq":
		*m.to[to].(*int) = saturated(r.Seq)
	case "Session":
		*m.to[to].(*int) = saturated(r.Session)
	case "Time":
		*m.to[to].(*time.Time) = r.Time
	case "Type":
		*m.to[to].(*string) = string(r.Type)
	case "Line":
		line, _, _ := bytes.Cut(r.Wire, []byte("\r\n"))
		*m.to[to].(*string) = string(line[min(4, len(line)):])
	case "Raw":
		*m.to[to].(*string) = string(r.Wire)
	}
}

// addFunctions adds what only rewritten expressions call.
func addFunctions(k *conf.Config) {
	add := func(name string, f func(args ...any) (any, error), signature any) {
		k.Functions[name] = &builtin.Function{Name: name, Func: f, Types: []reflect.Type{reflect.TypeOf(signature)}}
	}
	// A hop that is not there has no names, so that it equals nothing.
	add(hopFunction, func(args ...any) (any, error) {
		path, i := args[0].([]event.Router), args[1].(int)
		if i < 0 {
			i += len(path)
		}
		if i < 0 || i >= len(path) {
			return event.Router{}, nil
		}
		return path[i], nil
	}, func([]event.Router, int) event.Router { return event.Router{} })
	add(wordFunction, func(args ...any) (any, error) {
		value, _ := event.Keywords(args[0].(string)).Get(args[1].(string))
		return value, nil
	}, func(string, string) string { return "" })
	for name := range k.Builtins {
		if !admitted(name) {
			k.Disabled[name] = true
			delete(k.Builtins, name)
		}
	}
}

func admitted(name string) bool {
	return slices.Contains(functions, name) || slices.Contains(predicates, name)
}
