package query

import (
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// record writes m into a journal file, cut records to a commit, by a clock
// that shows m's times.
func record(t *testing.T, m *memory, cut int) *journal.Journal {
	t.Helper()
	var now atomic.Pointer[time.Time]
	now.Store(&m.recs[0].Time)
	clock := func() time.Time { return *now.Load() }
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "corpus", PID: 1}); err != nil {
		t.Fatal(err)
	}
	for i, rec := range m.recs {
		now.Store(&m.recs[i].Time)
		if err := j.Append(t.Context(), event.NewRaw(rec.Wire)); err != nil {
			t.Fatal(err)
		}
		if i%cut == 0 || i == len(m.recs)-1 {
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return j
}

// read returns a journal's records as a source that knows no batches.
func read(t *testing.T, j *journal.Journal) *memory {
	t.Helper()
	m := &memory{}
	for rec, err := range journal.Records(t.Context(), j, journal.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		m.recs = append(m.recs, rec)
	}
	var err error
	if m.sessions, err = j.Sessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// The rows of a real journal are those of its records, whatever the batches.
func TestRowsDoNotDependOnBatches(t *testing.T) {
	files := corpora(t)
	if len(files) == 0 {
		t.Fatal("no corpus: testdata/corpus is missing")
	}
	whole := corpus(t, files[0])
	for _, f := range files {
		if m := corpus(t, f); len(m.recs) > len(whole.recs) && len(m.recs) < 7000 {
			whole = m
		}
	}
	n := 600
	if testing.Short() {
		n = 200
	}
	for _, cut := range []int{1, 7, 100, n} {
		for _, part := range []*memory{whole, {recs: whole.recs[:min(n, len(whole.recs))]}} {
			if cut < 100 && part == whole {
				continue // a commit waits for the disk
			}
			j := record(t, part, cut)
			compareRows(t, j, cut)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func compareRows(t *testing.T, j *journal.Journal, cut int) {
	t.Helper()
	m := read(t, j)
	begin, length := m.recs[0].Time, m.recs[len(m.recs)-1].Time.Sub(m.recs[0].Time)
	for _, r := range []journal.Range{
		{},
		{Session: 1},
		{Since: begin.Add(length / 2)},
		{Until: begin.Add(length / 2)},
		{Since: begin.Add(length / 3), Until: begin.Add(length / 2)},
		{Since: begin.Add(-time.Hour), Until: begin},
		{To: uint64(len(m.recs) / 2)},
	} {
		if got, want := circuitRows(t, stored{j}, r), circuitRows(t, m, r); got != want {
			t.Errorf("circuits of %+v in commits of %d:\n--- stored\n%s--- in memory\n%s", r, cut, got, want)
		}
		if got, want := onionRows(t, stored{j}, r, OnionPick{}), onionRows(t, m, r, OnionPick{}); got != want {
			t.Errorf("onion services of %+v in commits of %d:\n--- stored\n%s--- in memory\n%s", r, cut, got, want)
		}
		if got, want := outageRows(t, stored{j}, r), outageRows(t, m, r); got != want {
			t.Errorf("outages of %+v in commits of %d:\n--- stored\n%s--- in memory\n%s", r, cut, got, want)
		}
		if got, want := bandwidthRows(t, stored{j}, r, time.Second), bandwidthRows(t, m, r, time.Second); got != want {
			t.Errorf("bandwidth of %+v in commits of %d:\n--- stored\n%s--- in memory\n%s", r, cut, got, want)
		}
	}
}

// What is read of a block by columns is what each record says alone.
func TestParsedIsWhatIsRecorded(t *testing.T) {
	files := corpora(t)
	if testing.Short() {
		files = files[:1]
	}
	for _, file := range files {
		m := corpus(t, file)
		path := filepath.Join(t.TempDir(), "journal.db")
		j, err := journal.Open(path, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.BeginImport(t.Context(), event.Source{Name: "corpus"}, m.recs[0].Time); err != nil {
			t.Fatal(err)
		}
		var past []journal.Arrival
		for _, rec := range m.recs {
			past = append(past, journal.Arrival{Time: rec.Time, Wire: rec.Wire})
		}
		if err := j.Import(t.Context(), past); err != nil {
			t.Fatal(err)
		}
		if err := j.Pack(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := 0
		for rec, err := range (stored{j}).Parsed(t.Context(), journal.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			if want := parse(&rec.Record); !reflect.DeepEqual(rec.As, want) || string(rec.Wire) != string(m.recs[n].Wire) {
				t.Fatalf("%s: record %d, %q, says %+v\nalone %+v", file, rec.Seq, rec.Wire, rec.As, want)
			}
			n++
		}
		if n != len(m.recs) {
			t.Errorf("%s: %d records, want %d", file, n, len(m.recs))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The exported functions, on a journal file that nobody writes.
func TestAnswersFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for life := range 2 {
		if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "tor", PID: 10 + life}); err != nil {
			t.Fatal(err)
		}
		for _, wire := range []string{"650 CIRC 1 LAUNCHED\r\n", "650 BW 3 4\r\n", "650 CIRC 1 BUILT $A\r\n"} {
			if err := j.Append(t.Context(), event.NewRaw([]byte(wire))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := journal.OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var outcomes []string
	gaps, err := Circuits(t.Context(), f, journal.Range{}, CircuitPick{}, Part{}, func(c *Circuit) error {
		outcomes = append(outcomes, c.Outcome)
		return nil
	})
	if err != nil || len(gaps) > 0 || len(outcomes) != 2 || outcomes[0] != Lost || outcomes[1] != Open {
		t.Errorf("circuits are %v; gaps %v, %v", outcomes, gaps, err)
	}
	var bytes uint64
	answer, err := Bandwidths(t.Context(), f, journal.Range{}, time.Hour, Part{}, func(b *Bandwidth) error {
		bytes += *b.ReadBytes
		return nil
	})
	if err != nil || !reflect.DeepEqual(answer, BandwidthAnswer{}) || bytes != 6 {
		t.Errorf("%d bytes read; %+v, %v", bytes, answer, err)
	}
}
