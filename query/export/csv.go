package export

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"torjournal/journal"
	"torjournal/query"
)

// csvForm is a table with a line of names (RFC 4180, with LF): times as in
// JSON, lists separated by blanks, what is absent an empty cell. Of an event the
// last line end is left away, so that most events are one line. It gathers
// nothing.
var csvForm = Form{
	Name:  "csv",
	About: "a table with a line of names",
	Events: func(w io.Writer) (EventWriter, error) {
		e := &csvEvents{w: csv.NewWriter(w)}
		return e, e.w.Write(eventNames)
	},
	Rows: func(w io.Writer, s Set) (RowWriter, error) {
		cols, err := columnsOf(s.Row)
		if err != nil {
			return nil, err
		}
		r := &csvRows{w: csv.NewWriter(w), cols: cols}
		for _, c := range cols {
			r.cells = append(r.cells, c.name)
		}
		return r, r.w.Write(r.cells)
	},
}

// eventNames are the columns of events: the names of query.Record.
var eventNames = []string{"seq", "session", "time", "type", "raw", "raw_base64"}

type csvEvents struct {
	w     *csv.Writer
	time  clock
	text  []byte
	cells [6]string
}

func (e *csvEvents) Write(recs []journal.Record) error {
	for i := range recs {
		r := &recs[i]
		e.text = e.time.append(e.text[:0], r.Time)
		e.cells = [6]string{strconv.FormatUint(r.Seq, 10), strconv.FormatUint(r.Session, 10), string(e.text), string(r.Type)}
		if utf8.Valid(r.Wire) {
			e.cells[4] = string(bytes.TrimSuffix(r.Wire, []byte("\r\n")))
		} else {
			e.cells[5] = base64.StdEncoding.EncodeToString(r.Wire)
		}
		if err := e.w.Write(e.cells[:]); err != nil {
			return err
		}
	}
	return nil
}

func (e *csvEvents) Close() error {
	e.w.Flush()
	return e.w.Error()
}

type csvRows struct {
	w     *csv.Writer
	cols  []column
	cells []string
}

func (r *csvRows) Write(row query.Row) error {
	v := reflect.ValueOf(row).Elem()
	for i := range r.cols {
		r.cells[i] = r.cols[i].cell(v)
	}
	return r.w.Write(r.cells)
}

func (r *csvRows) Close() error {
	r.w.Flush()
	return r.w.Error()
}

// cell returns what a row has in the column, as text.
func (c *column) cell(row reflect.Value) string {
	v, ok := c.value(row)
	switch {
	case !ok:
		return ""
	case c.kind == moment:
		return v.Interface().(query.Stamp).UTC().Format(stampForm)
	case c.kind == list:
		return strings.Join(v.Interface().([]string), " ")
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	}
	return v.String()
}
