package export

import (
	"fmt"
	"reflect"
	"strings"

	"torjournal/query"
)

// column is one field of a data set's rows, as forms that are tables have it.
// Its name is the one in JSON.
type column struct {
	name     string
	index    int
	kind     kind
	optional bool // it may be absent
	pointer  bool // absent is nil, and zero is a value; else zero is absent
}

// kind is what a column holds.
type kind int

const (
	text   kind = iota // string
	number             // int64 or uint64
	moment             // query.Stamp
	list               // []string
)

// columnsOf returns the columns of a row's type, in the order of its fields.
func columnsOf(row query.Row) ([]column, error) {
	t := reflect.TypeOf(row).Elem()
	var cols []column
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		c := column{name: name, index: i, optional: strings.HasPrefix(options, "omit")}
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			c.pointer, ft = true, ft.Elem()
		}
		switch {
		case ft == reflect.TypeFor[query.Stamp]():
			c.kind = moment
		case ft.Kind() == reflect.String:
			c.kind = text
		case ft.Kind() == reflect.Int64 || ft.Kind() == reflect.Uint64:
			c.kind = number
		case ft == reflect.TypeFor[[]string]():
			c.kind = list
		}
		if name == "" || name == "-" || c.kind == text && ft.Kind() != reflect.String {
			return nil, fmt.Errorf("export: no column can hold %s.%s, a %s", t.Name(), f.Name, f.Type)
		}
		cols = append(cols, c)
	}
	return cols, nil
}

// value returns what a row has in the column. ok is false if that is absent.
func (c *column) value(row reflect.Value) (v reflect.Value, ok bool) {
	v = row.Field(c.index)
	switch {
	case c.pointer && v.IsNil():
		return v, false
	case c.pointer:
		return v.Elem(), true
	case c.kind == list:
		return v, v.Len() > 0 || !c.optional
	}
	return v, !c.optional || !v.IsZero()
}
