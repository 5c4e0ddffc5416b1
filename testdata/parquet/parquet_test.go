package parquet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// program is a torjournal, and a journal of all recordings of the corpus.
type program struct {
	t            *testing.T
	bin, journal string
}

func newProgram(t *testing.T) program {
	t.Helper()
	dir := t.TempDir()
	p := program{t, filepath.Join(dir, "torjournal"), filepath.Join(dir, "journal.db")}
	build := exec.Command("go", "build", "-o", p.bin, "./cmd/torjournal")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	logs, err := filepath.Glob("../corpus/*.jsonl")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	odd := filepath.Join(dir, "odd.jsonl")
	line := `{"t":"2026-01-01T00:00:00.000001Z","raw_base64":"` + base64.StdEncoding.EncodeToString([]byte("650 WARN \xff\r\n")) + `"}`
	if err := os.WriteFile(odd, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(append([]string{"import"}, append(logs, odd)...)...)
	return p
}

func (p program) run(args ...string) []byte {
	p.t.Helper()
	cmd := exec.Command(p.bin, append(args, "--journal", p.journal)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("torjournal %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// table exports a data set to Parquet and reads it back.
func (p program) table(what string) arrow.Table {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), what+".parquet")
	p.run("export", "--format", "parquet", "--what", what, "--to", path)
	rd, err := file.OpenParquetFile(path, false)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rd.Close()
	for g := range rd.NumRowGroups() {
		for i := range rd.MetaData().Schema.NumColumns() {
			chunk, err := rd.MetaData().RowGroup(g).ColumnChunk(i)
			if err != nil {
				p.t.Fatal(err)
			}
			if chunk.Compression() != compress.Codecs.Zstd {
				p.t.Errorf("%s: column %d is packed by %v", what, i, chunk.Compression())
			}
		}
	}
	arrows, err := pqarrow.NewFileReader(rd, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		p.t.Fatal(err)
	}
	table, err := arrows.ReadTable(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return table
}

// objects exports a data set to JSON lines: what the table must hold.
func (p program) objects(what string) (rows []map[string]any) {
	p.t.Helper()
	dec := json.NewDecoder(bytes.NewReader(p.run("export", "--format", "jsonl", "--what", what, "--to", "-")))
	dec.UseNumber()
	for dec.More() {
		var row map[string]any
		if err := dec.Decode(&row); err != nil {
			p.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// rowsOf returns a table as JSON has it.
func rowsOf(t *testing.T, table arrow.Table) []map[string]any {
	t.Helper()
	rows := make([]map[string]any, table.NumRows())
	for i := range rows {
		rows[i] = map[string]any{}
	}
	for i := range int(table.NumCols()) {
		at, name := 0, table.Schema().Field(i).Name
		for _, chunk := range table.Column(i).Data().Chunks() {
			for k := range chunk.Len() {
				if !chunk.IsNull(k) {
					rows[at][name] = valueOf(t, chunk, k)
				}
				at++
			}
		}
	}
	return rows
}

func valueOf(t *testing.T, chunk arrow.Array, k int) any {
	switch a := chunk.(type) {
	case *array.Int64:
		return json.Number(fmt.Sprint(a.Value(k)))
	case *array.String:
		return a.Value(k)
	case *array.Binary:
		return base64.StdEncoding.EncodeToString(a.Value(k))
	case *array.Timestamp:
		return time.UnixMicro(int64(a.Value(k))).UTC().Format("2006-01-02T15:04:05.000000Z")
	case *array.List:
		from, to := a.ValueOffsets(k)
		list := []any{}
		for n := from; n < to; n++ {
			list = append(list, valueOf(t, a.ListValues(), int(n)))
		}
		return list
	}
	t.Fatalf("a column of %v", chunk.DataType())
	return nil
}

// Another reader finds the types that the README promises, and every value
// that the JSON lines have.
func TestArrowReadsWhatWasExported(t *testing.T) {
	p := newProgram(t)
	for what, schema := range schemas {
		table := p.table(what)
		var got []string
		for _, f := range table.Schema().Fields() {
			s := f.Name + " " + f.Type.String()
			if f.Nullable {
				s += "?"
			}
			got = append(got, s)
		}
		if !slices.Equal(got, schema) {
			t.Errorf("%s: the columns are\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(schema, "\n\t"))
		}
		want := p.objects(what)
		rows := rowsOf(t, table)
		if len(rows) != len(want) || len(rows) == 0 {
			t.Errorf("%s: %d rows, JSON has %d", what, len(rows), len(want))
			continue
		}
		odd := 0
		for i, row := range rows {
			if b, ok := row["raw_bytes"]; ok {
				row["raw_base64"] = b
				delete(row, "raw_bytes")
				odd++
			}
			if g, w := fmt.Sprint(row), fmt.Sprint(want[i]); g != w {
				t.Fatalf("%s: row %d is\n\t%s\nwant\n\t%s", what, i+1, g, w)
			}
		}
		if what == "events" && odd != 1 {
			t.Errorf("%d events are no UTF-8, want the one", odd)
		}
	}
}

func TestArrowReadsAFileWithoutRows(t *testing.T) {
	p := newProgram(t)
	for what := range schemas {
		path := filepath.Join(t.TempDir(), "empty.parquet")
		p.run("export", "--format", "parquet", "--what", what, "--until", "2000-01-01", "--to", path)
		rd, err := file.OpenParquetFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		if rd.NumRows() != 0 || rd.MetaData().Schema.Root().NumFields() != len(schemas[what]) {
			t.Errorf("%s: %d rows of %d columns", what, rd.NumRows(), rd.MetaData().Schema.Root().NumFields())
		}
		if err := rd.Close(); err != nil {
			t.Error(err)
		}
	}
}

// schemas are the columns, as Arrow calls their types; ? may be absent.
var schemas = map[string][]string{
	"events": {
		"seq int64", "session int64", "time timestamp[us, tz=UTC]", "type utf8", "raw utf8?", "raw_bytes binary?",
	},
	"circuits": {
		"session int64", "id utf8",
		"launched timestamp[us, tz=UTC]?", "built timestamp[us, tz=UTC]?", "closed timestamp[us, tz=UTC]?",
		"status utf8?", "outcome utf8", "purpose utf8?", "hs_state utf8?", "build_flags utf8?", "path list<element: utf8>?",
		"build_ms int64?", "life_ms int64?", "reason utf8?", "remote_reason utf8?",
		"streams int64?", "read_bytes int64?", "written_bytes int64?",
	},
	"streams": {
		"session int64", "id utf8", "circuits list<element: utf8>?", "target utf8?", "source utf8?", "purpose utf8?",
		"opened timestamp[us, tz=UTC]?", "succeeded timestamp[us, tz=UTC]?", "closed timestamp[us, tz=UTC]?",
		"status utf8?", "outcome utf8", "connect_ms int64?", "reason utf8?", "remote_reason utf8?",
		"read_bytes int64?", "written_bytes int64?",
	},
	"bandwidth": {
		"time timestamp[us, tz=UTC]", "step_s int64", "seconds int64",
		"read_bytes int64?", "written_bytes int64?", "peak_read int64?", "peak_written int64?",
	},
}
