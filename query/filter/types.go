package filter

import (
	"fmt"
	"strings"

	"torjournal/tor/event"
)

// maxTypesWord bounds a list of types, in bytes: all of them have 350.
const maxTypesWord = 4096

// Types parses a list of event types, separated by commas or blanks, in
// upper or lower case: "CIRC,BW". "ALL" is every type. An empty list is the
// empty set, which selects every type in a journal.Range. A name that no
// known type has is an error that names the nearest one.
func Types(s string) (event.Set, error) {
	if len(s) > maxTypesWord {
		return event.Set{}, fmt.Errorf("the list of event types has %d bytes, at most %d are taken", len(s), maxTypesWord)
	}
	names := strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	var types []event.Type
	all := false
	for _, name := range names {
		t := event.ParseType(name)
		switch {
		case t == "ALL":
			all = true
		case t.Known():
			types = append(types, t)
		default:
			return event.Set{}, unknownType(name)
		}
	}
	if all {
		return event.AllTypes(), nil
	}
	return event.NewSet(types...), nil
}

func unknownType(name string) error {
	known := event.NewSet(event.Types()...).String()
	if near := nearest(name, strings.Fields(known)); near != "" {
		return fmt.Errorf("%q is no event type; did you mean %s? Write names separated by commas, for example CIRC,BW", name, near)
	}
	return fmt.Errorf("%q is no event type; write ALL or some of %s, for example CIRC,BW", name, known)
}
