package export

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"torjournal/journal"
	"torjournal/query"
)

// What another library reads is tested in testdata/parquet. Here: nothing is
// lost where one row group ends and the next begins.
func TestParquetRowGroups(t *testing.T) {
	recs := corpus(t)
	recs = append(recs, journal.Record{Seq: uint64(len(recs) + 1), Session: 1, Time: recs[0].Time, Type: "WARN", Wire: []byte("650 WARN \xff\r\n")})
	var b bytes.Buffer
	w, err := parquetForm.Events(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.(*parquetEvents).group = 300
	for part := range slices.Chunk(recs, 100) {
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(f.RowGroups()), (len(recs)+299)/300; got != want || want < 3 {
		t.Errorf("%d row groups, want %d", got, want)
	}
	rows, err := parquet.Read[parquetEvent](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(rows) != len(recs) {
		t.Fatalf("%d rows of %d records: %v", len(rows), len(recs), err)
	}
	for i, row := range rows {
		rec := recs[i]
		wire := row.Raw
		if row.RawBytes != nil {
			wire = string(row.RawBytes)
		}
		if row.Seq != int64(rec.Seq) || row.Session != int64(rec.Session) || row.Time != rec.Time.UnixMicro() || row.Type != string(rec.Type) || wire != string(rec.Wire) {
			t.Fatalf("row %+v is of %+v", row, rec)
		}
	}
	if rows[len(rows)-1].RawBytes == nil {
		t.Error("what is no UTF-8 is in a column of text")
	}
}

func TestParquetRefusesANumberItCannotHold(t *testing.T) {
	w, err := parquetForm.Rows(&bytes.Buffer{}, Set{"bandwidth", &query.Bandwidth{}})
	if err != nil {
		t.Fatal(err)
	}
	most := uint64(math.MaxInt64)
	if err := w.Write(&query.Bandwidth{ReadBytes: &most}); err != nil {
		t.Errorf("%d: %v", most, err)
	}
	most++
	if err := w.Write(&query.Bandwidth{ReadBytes: &most}); err == nil || !strings.Contains(err.Error(), "jsonl and csv do") {
		t.Errorf("error is %v", err)
	}
}
