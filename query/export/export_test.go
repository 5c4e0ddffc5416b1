package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"torjournal/journal"
	"torjournal/journal/journaltest"
	"torjournal/query"
	"torjournal/tor/event"
	"torjournal/tor/logfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// corpus returns the events of recordings of real tors.
func corpus(t testing.TB) (recs []journal.Record) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/corpus/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rd, err := logfile.NewReader(f, logfile.JSONLines)
		if err != nil {
			t.Fatal(err)
		}
		for {
			e, err := rd.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			recs = append(recs, journal.Record{Seq: uint64(len(recs) + 1), Session: uint64(i + 1), Time: e.Time, Type: event.TypeOf(e.Wire), Wire: e.Wire})
		}
	}
	return recs
}

// written returns recs in a form.
func written(t *testing.T, f Form, recs []journal.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := f.Events(&b)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(recs, 1000) {
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestJSONIsThatOfQuery(t *testing.T) {
	recs := corpus(t)
	for _, wire := range []string{
		"650 NOTICE \x00\x01\x1f\x7f\b\f\t\"\\/<>&\r\n",
		"650 NOTICE \u2028 \u2029 \u2027 ä € 𝄞 \ufffd\r\n",
		"650 NOTICE \xff\xfe\r\n", "650 NOTICE \xe2\x80\r\n", "",
	} {
		recs = append(recs, journal.Record{Seq: 1<<64 - 1, Time: time.Unix(1, 1000), Type: "X\"\xff", Wire: []byte(wire)})
	}
	var want bytes.Buffer
	enc := query.NewEncoder(&want)
	for i := range recs {
		if err := enc.Encode(query.NewRecord(&recs[i])); err != nil {
			t.Fatal(err)
		}
	}
	got := bytes.Split(written(t, jsonl, recs), []byte("\n"))
	for i, line := range bytes.Split(want.Bytes(), []byte("\n")) {
		if i >= len(got) || !bytes.Equal(got[i], line) {
			t.Fatalf("record %d\n got %s\nwant %s", i, got[min(i, len(got)-1)], line)
		}
	}
}

func FuzzJSONIsThatOfQuery(f *testing.F) {
	f.Add([]byte("650 NOTICE a \"word\" \u2028\xff\r\n"), int64(1))
	f.Fuzz(func(t *testing.T, wire []byte, us int64) {
		at := time.UnixMicro(us % (200_000_000 * 1_000_000)).UTC()
		rec := journal.Record{Seq: 7, Session: 1, Time: at, Type: event.TypeOf(wire), Wire: wire}
		var want, got bytes.Buffer
		if err := query.NewEncoder(&want).Encode(query.NewRecord(&rec)); err != nil {
			t.Fatal(err)
		}
		w, _ := jsonl.Events(&got)
		if err := w.Write([]journal.Record{rec}); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("got %q\nwant %q", &got, &want)
		}
	})
}

// What can be imported comes back byte for byte.
func TestEventsComeBack(t *testing.T) {
	recs := corpus(t)
	for _, tc := range []struct {
		form Form
		as   logfile.Format
	}{{jsonl, logfile.JSONLines}, {torctl, logfile.Torctl}} {
		rd, err := logfile.NewReader(bytes.NewReader(written(t, tc.form, recs)), tc.as)
		if err != nil {
			t.Fatal(err)
		}
		for i := range recs {
			e, err := rd.Next()
			if err != nil || !bytes.Equal(e.Wire, recs[i].Wire) || !e.Time.Equal(recs[i].Time) {
				t.Fatalf("%s: record %d came back as %v %q, error %v; it was %v %q", tc.form.Name, i+1, e.Time, e.Wire, err, recs[i].Time, recs[i].Wire)
			}
			if tc.as == logfile.JSONLines && e.Session != recs[i].Session {
				t.Fatalf("jsonl: session %d of record %d came back as %d", recs[i].Session, i+1, e.Session)
			}
		}
		if _, err := rd.Next(); err != io.EOF {
			t.Errorf("%s: behind the last record: %v", tc.form.Name, err)
		}
	}
}

func TestTorctlRefusesATimeItCannotHold(t *testing.T) {
	w, _ := torctl.Events(io.Discard)
	err := w.Write([]journal.Record{{Seq: 1, Time: time.Unix(-1, 0), Wire: []byte("650 BW 1 2\r\n")}})
	if !errors.Is(err, logfile.ErrTime) {
		t.Errorf("error is %v", err)
	}
}

func TestCSVHoldsWhatItIsGiven(t *testing.T) {
	recs := corpus(t)
	// The reader of Go makes one line end of CRLF; nothing else may change.
	lines, err := csv.NewReader(bytes.NewReader(written(t, csvForm, recs))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != len(recs)+1 {
		t.Fatalf("%d lines of %d records", len(lines), len(recs))
	}
	for i, rec := range recs {
		want := strings.ReplaceAll(strings.TrimSuffix(string(rec.Wire), "\r\n"), "\r\n", "\n")
		if got := lines[i+1]; got[4] != want || got[3] != string(rec.Type) || got[2] != rec.Time.UTC().Format(stampForm) {
			t.Fatalf("record %d is %q", i+1, got)
		}
	}
}

// Every set's row type has a form that tables can hold, and a question of its
// name.
func TestSetsAreAnsweredByQuestions(t *testing.T) {
	for _, s := range Sets() {
		if _, ok := query.FindQuestion(s.Name); !ok {
			t.Errorf("there is no question %q", s.Name)
		}
		for _, f := range Forms() {
			if f.Rows == nil {
				continue
			}
			w, err := f.Rows(io.Discard, s)
			if err == nil {
				err = w.Write(s.Row)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Errorf("%s in %s: %v", s.Name, f.Name, err)
			}
		}
	}
}

func TestZeroIsNotUnknown(t *testing.T) {
	zero := uint64(0)
	var b bytes.Buffer
	w, err := csvForm.Rows(&b, Set{"bandwidth", &query.Bandwidth{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []query.Row{
		&query.Bandwidth{Time: query.Stamp{Time: time.Unix(0, 0)}, StepS: 60},
		&query.Bandwidth{Time: query.Stamp{Time: time.Unix(60, 0)}, StepS: 60, Seconds: 1, ReadBytes: &zero},
	} {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := "time,step_s,seconds,read_bytes,written_bytes,peak_read,peak_written\n" +
		"1970-01-01T00:00:00.000000Z,60,0,,,,\n1970-01-01T00:01:00.000000Z,60,1,0,,,\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

// collector keeps what it is given. After so many writes it fails.
type collector struct {
	recs   []journal.Record
	writes int
	fail   error
}

func (c *collector) Write(recs []journal.Record) error {
	c.recs = append(c.recs, recs...)
	if c.writes--; c.writes == 0 {
		return c.fail
	}
	return nil
}

func (c *collector) Close() error { return nil }

func noGap(g journal.Gap) error { return &g }

func TestCopyGivesEveryRecordOnce(t *testing.T) {
	j := journaltest.Sessions(t, 5)
	j.Add(journaltest.Big(0, 3000)...) // several portions
	all := journaltest.Read(t, j, journal.Range{})
	for range 20 {
		from := rand.Uint64N(uint64(len(all))) + 1
		r := journal.Range{From: from, To: from + rand.Uint64N(uint64(len(all)))}
		odd := func(rec *journal.Record) bool { return rec.Seq%2 == 1 }
		var c collector
		n, err := Copy(t.Context(), j, r, odd, noGap, &c)
		want := slices.DeleteFunc(slices.Clone(all), func(rec journal.Record) bool { return !r.Match(&rec) || !odd(&rec) })
		if err != nil || n != uint64(len(want)) || len(c.recs) != len(want) {
			t.Fatalf("%d records of %d: %v", n, len(want), err)
		}
		for i := range want {
			if c.recs[i].Seq != want[i].Seq || !bytes.Equal(c.recs[i].Wire, want[i].Wire) {
				t.Fatalf("record %d in the place of %d", c.recs[i].Seq, want[i].Seq)
			}
		}
	}
}

func TestCopyOfNothing(t *testing.T) {
	n, err := Copy(t.Context(), journaltest.Tail(t, 0), journal.Range{}, nil, noGap, &collector{})
	if n != 0 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestCopyTellsGapsWhereTheyAre(t *testing.T) {
	j, gap := journaltest.Gap(t)
	var c collector
	n, err := Copy(t.Context(), j, journal.Range{From: 1}, nil, noGap, &c)
	var got *journal.Gap
	if !errors.As(err, &got) || *got != gap || n != 0 {
		t.Errorf("%d records and %v, want the gap %v first", n, err, gap)
	}
	told := 0
	n, err = Copy(t.Context(), j, journal.Range{From: 1}, nil, func(g journal.Gap) error {
		if told++; g != gap || len(c.recs) > 0 {
			t.Errorf("gap %v behind %d records", g, len(c.recs))
		}
		return nil
	}, &c)
	if err != nil || told != 1 || n == 0 || c.recs[0].Seq != gap.To+1 {
		t.Errorf("%d records, %d gaps: %v", n, told, err)
	}
}

// Who stops early leaves nothing running (TestMain looks), and hears why.
func TestCopyEndsEarly(t *testing.T) {
	j := journaltest.Full(t)
	full := errors.New("the disk is full")
	c := &collector{writes: 1, fail: full}
	if _, err := Copy(t.Context(), j, journal.Range{}, nil, noGap, c); !errors.Is(err, full) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c = &collector{}
	_, err := Copy(ctx, j, journal.Range{}, func(rec *journal.Record) bool {
		if rec.Seq%100 == 0 {
			cancel()
		}
		return true
	}, noGap, c)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
