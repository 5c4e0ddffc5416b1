// Package export writes what a journal holds into files for other programs:
// its events, and the rows of questions about them, in the forms that those
// programs read. One file per form; a new one takes its file and a line in
// Forms.
//
// It promises that a data set bears the names of query's rows in every form,
// that what is unknown is absent and never zero, and that equal records give
// equal bytes. What it cannot write whole is an error: nothing is left out in
// silence. It holds a few thousand records at a time, or what a form must
// gather, which each one states.
//
// It opens no files, and it chooses neither the range nor what a gap in it
// means.
package export

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"torjournal/journal"
	"torjournal/query"
)

// Form is a form of file.
type Form struct {
	Name   string
	About  string // one line, for help texts
	Binary bool   // nothing for a terminal

	// Events begins a file of events. It is never nil.
	Events func(w io.Writer) (EventWriter, error)

	// Rows begins a file of a set's rows. nil: the form holds events only.
	Rows func(w io.Writer, s Set) (RowWriter, error)
}

// EventWriter writes events in order.
type EventWriter interface {
	// Write writes some more. It does not keep recs.
	Write(recs []journal.Record) error

	// Close writes what is left and the end of the file. It does not close
	// the writer below.
	Close() error
}

// RowWriter writes rows in order.
type RowWriter interface {
	Write(row query.Row) error // of the set's type; it does not keep row
	Close() error              // as EventWriter's
}

// Forms returns every form, in the order in which help texts name them.
func Forms() []Form { return []Form{jsonl, csvForm, parquetForm, torctl} }

// FindForm returns the form of that name. The error lists them.
func FindForm(name string) (Form, error) {
	var names []string
	for _, f := range Forms() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Form{}, fmt.Errorf("there is no form %q; there are %s", name, strings.Join(names, ", "))
}

// Events is what the data set of events is called. The others are those of
// Sets.
const Events = "events"

// Set is a data set of rows: the answer to the question of that name.
type Set struct {
	Name string
	Row  query.Row // of the type that all its rows have
}

// Sets returns the data sets of rows.
func Sets() []Set {
	return []Set{
		{"circuits", &query.Circuit{}},
		{"streams", &query.Stream{}},
		{"bandwidth", &query.Bandwidth{}},
	}
}

// FindSet returns the set of that name. ok is false of Events too.
func FindSet(name string) (s Set, ok bool) {
	i := slices.IndexFunc(Sets(), func(s Set) bool { return s.Name == name })
	if i < 0 {
		return s, false
	}
	return Sets()[i], true
}

// SetNames lists all data sets, events first.
func SetNames() string {
	names := Events
	for _, s := range Sets() {
		names += ", " + s.Name
	}
	return names
}
