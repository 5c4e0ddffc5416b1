package export

import (
	"fmt"
	"io"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"torjournal/journal"
	"torjournal/query"
)

// parquetForm is Apache Parquet, packed by zstd. Times are TIMESTAMP in µs, UTC;
// lists are LIST of strings; what may be absent is optional. Numbers are
// INT64, signed: readers subtract columns, and most cannot hold a negative
// difference of unsigned ones.
//
// It gathers one row group: the packed pages of groupRecords or groupBytes.
var parquetForm = Form{
	Name:   "parquet",
	About:  "Apache Parquet, packed by zstd: for pandas, DuckDB, Spark and the like",
	Binary: true,
	Events: func(w io.Writer) (EventWriter, error) {
		e := &parquetEvents{group: groupRecords, w: parquet.NewGenericWriter[parquetEvent](w, parquetOptions(parquet.SchemaOf(&parquetEvent{}),
			parquet.SkipPageBounds("raw"), parquet.SkipPageBounds("raw_bytes"), // some have a megabyte
		)...)}
		e.cols = e.w.ColumnWriters()
		return e, nil
	},
	Rows: func(w io.Writer, s Set) (RowWriter, error) {
		cols, err := columnsOf(s.Row)
		if err != nil {
			return nil, err
		}
		shape := parquetShape(cols)
		return &parquetRows{
			w:    parquet.NewGenericWriter[any](w, parquetOptions(parquet.SchemaOf(reflect.New(shape).Interface()))...),
			cols: cols, row: reflect.New(shape),
		}, nil
	},
}

// The size of a row group: large enough that a reader of one column reads on
// end, and so many packed pages are some 20 MB at most. A row of a question is
// some 300 bytes.
const (
	groupRecords = 1 << 19
	groupBytes   = 128 << 20
	groupRows    = 1 << 17
)

func parquetOptions(schema *parquet.Schema, more ...parquet.WriterOption) []parquet.WriterOption {
	return append(more, schema,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(1<<20),
		parquet.WriteBufferSize(0), // who opened the file has one
	)
}

// parquetEvent is the schema of events: query.Record's, but for bytes that are
// no UTF-8, which need no base64 here. Its fields are in the order of
// parquetEvents.cols.
type parquetEvent struct {
	Seq      int64  `parquet:"seq,delta"`
	Session  int64  `parquet:"session,delta"`
	Time     int64  `parquet:"time,delta,timestamp(microsecond)"`
	Type     string `parquet:"type,dict"`
	Raw      string `parquet:"raw,optional"`
	RawBytes []byte `parquet:"raw_bytes,optional"`
}

// parquetEvents writes column by column: row by row costs twice as much.
type parquetEvents struct {
	w             *parquet.GenericWriter[parquetEvent]
	cols          []*parquet.ColumnWriter
	values        []parquet.Value // of one column
	group         int             // records of a row group at most, and what a portion has more
	records, size int             // of the row group that has begun
}

func (e *parquetEvents) Write(recs []journal.Record) error {
	for i := range e.cols {
		vs := e.values[:0]
		for k := range recs {
			vs = append(vs, parquetValue(&recs[k], i))
		}
		e.values = vs
		if _, err := e.cols[i].WriteRowValues(vs); err != nil {
			return err
		}
	}
	clear(e.values) // they hold on to the wire forms
	e.records += len(recs)
	for k := range recs {
		e.size += len(recs[k].Wire)
	}
	if e.records < e.group && e.size < groupBytes {
		return nil
	}
	e.records, e.size = 0, 0
	return e.w.Flush()
}

// parquetValue is what a record has in column i of parquetEvent.
func parquetValue(r *journal.Record, i int) parquet.Value {
	switch i {
	case 0:
		return parquet.Int64Value(int64(r.Seq)).Level(0, 0, i)
	case 1:
		return parquet.Int64Value(int64(r.Session)).Level(0, 0, i)
	case 2:
		return parquet.Int64Value(r.Time.UnixMicro()).Level(0, 0, i)
	case 3:
		return parquet.ByteArrayValue([]byte(r.Type)).Level(0, 0, i)
	}
	if utf8.Valid(r.Wire) == (i == 4) {
		return parquet.ByteArrayValue(r.Wire).Level(0, 1, i)
	}
	return parquet.NullValue().Level(0, 0, i)
}

func (e *parquetEvents) Close() error { return e.w.Close() }

// parquetRows writes rows of a struct type that is made for their columns.
type parquetRows struct {
	w    *parquet.GenericWriter[any]
	cols []column
	row  reflect.Value // pointer to the struct
	rows int           // of the row group
}

// parquetShape returns the struct type of these columns.
func parquetShape(cols []column) reflect.Type {
	fields := make([]reflect.StructField, len(cols))
	for i, c := range cols {
		f := reflect.StructField{Name: fmt.Sprintf("F%d", i)}
		tag := c.name
		switch c.kind {
		case text:
			f.Type = reflect.TypeFor[*string]()
			tag += ",dict"
		case number:
			f.Type = reflect.TypeFor[*int64]()
		case moment:
			f.Type = reflect.TypeFor[*int64]()
			tag += ",timestamp(microsecond)"
		case list:
			f.Type = reflect.TypeFor[[]string]()
			tag += ",list"
		}
		switch {
		case c.optional:
			tag += ",optional"
		case f.Type.Kind() == reflect.Pointer:
			f.Type = f.Type.Elem()
		}
		f.Tag = reflect.StructTag(fmt.Sprintf("parquet:%q", tag))
		fields[i] = f
	}
	return reflect.StructOf(fields)
}

func (p *parquetRows) Write(row query.Row) error {
	from, to := reflect.ValueOf(row).Elem(), p.row.Elem()
	to.SetZero()
	for i := range p.cols {
		c := &p.cols[i]
		v, ok := c.value(from)
		if !ok {
			continue
		}
		switch {
		case c.kind == moment:
			v = reflect.ValueOf(v.Interface().(query.Stamp).UnixMicro())
		case v.CanUint():
			if v.Uint() > math.MaxInt64 {
				return fmt.Errorf("%s is %d, which no INT64 of Parquet holds: jsonl and csv do", c.name, v.Uint())
			}
			v = reflect.ValueOf(int64(v.Uint()))
		}
		field := to.Field(i)
		if field.Kind() == reflect.Pointer {
			field.Set(reflect.New(field.Type().Elem()))
			field = field.Elem()
		}
		field.Set(v)
	}
	if _, err := p.w.Write([]any{p.row.Interface()}); err != nil {
		return err
	}
	if p.rows++; p.rows < groupRows {
		return nil
	}
	p.rows = 0
	return p.w.Flush()
}

func (p *parquetRows) Close() error { return p.w.Close() }
