package query

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"torjournal/journal"
)

// debianPython is the interpreter that Debian's python3-stem is made for.
const debianPython = "/usr/bin/python3"

// stemCount gives records to a script of testdata that parses them with
// python3-stem, and decodes what it has counted.
func stemCount(t *testing.T, script string, m *memory, into any) {
	t.Helper()
	var in, errs bytes.Buffer
	enc := NewEncoder(&in)
	for _, rec := range m.recs {
		if err := enc.Encode(map[string]string{"t": rec.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), "raw": string(rec.Wire)}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(debianPython, filepath.Join("testdata", script))
	cmd.Stdin, cmd.Stderr = &in, &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v (is what `make tools` installs there?)\n%s", script, err, errs.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// What the rows of a recorded tor say in sum is what python3-stem counts in its
// events.
func TestCorporaAgreeWithStem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts python")
	}
	for _, file := range corpora(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := corpus(t, file)
			var want map[string]any
			stemCount(t, "stem_count.py", m, &want)
			got := rowCounts(t, m)
			for name := range maps.Keys(want) {
				if !reflect.DeepEqual(got[name], want[name]) {
					t.Errorf("%s: %v in the rows, stem counts %v", name, got[name], want[name])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d numbers of the rows, %d of stem", len(got), len(want))
			}
		})
	}
}

// rowCounts sums rows up to the numbers that stem_count.py prints, as JSON has
// them.
func rowCounts(t *testing.T, m *memory) map[string]any {
	t.Helper()
	sums, groups := map[string]float64{}, map[string]map[string]any{}
	add := func(name string, n float64) { sums[name] += n }
	group := func(name, of string) {
		if groups[name] == nil {
			groups[name] = map[string]any{}
		}
		n, _ := groups[name][of].(float64)
		groups[name][of] = n + 1
	}
	for _, n := range strings.Fields("circuits launched built circuit_read circuit_written build_ms streams opened succeeded stream_read stream_written connect_ms guard_ups guard_downs") {
		sums[n] = 0
	}
	for _, n := range strings.Fields("failed purposes stream_failed stream_status orconns orconn_reasons guards bootstrap") {
		groups[n] = map[string]any{}
	}
	launched := map[string]bool{} // a row may have its beginning from a TIME_CREATED
	for _, rec := range m.recs {
		if f := strings.Fields(string(rec.Wire)); f[1] == "CIRC" && f[3] == "LAUNCHED" {
			launched[f[2]] = true
		}
	}
	_, err := circuits(t.Context(), m, journal.Range{}, CircuitPick{}, Part{}, func(c *Circuit) error {
		add("circuits", 1)
		add("launched", float64(known(launched[c.ID])))
		add("built", float64(known(!c.Built.IsZero())))
		if c.Outcome == Failed {
			group("failed", c.Reason)
		}
		if c.Purpose != "" {
			group("purposes", c.Purpose)
		}
		if c.ReadBytes != nil {
			add("circuit_read", float64(*c.ReadBytes))
			add("circuit_written", float64(*c.WrittenBytes))
		}
		if c.BuildMS != nil {
			add("build_ms", float64(*c.BuildMS))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = streams(t.Context(), m, journal.Range{}, StreamPick{}, Part{}, func(s *Stream) error {
		add("streams", 1)
		add("opened", float64(known(!s.Opened.IsZero())))
		add("succeeded", float64(known(!s.Succeeded.IsZero())))
		group("stream_status", s.Status)
		if s.Outcome == Failed {
			group("stream_failed", s.Reason)
		}
		if s.ReadBytes != nil {
			add("stream_read", float64(*s.ReadBytes))
			add("stream_written", float64(*s.WrittenBytes))
		}
		if s.ConnectMS != nil {
			add("connect_ms", float64(*s.ConnectMS))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = orConns(t.Context(), m, journal.Range{}, ORConnPick{}, Part{}, func(o *ORConn) error {
		group("orconns", o.Status)
		if o.Reason != "" {
			group("orconn_reasons", o.Reason)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = guards(t.Context(), m, journal.Range{}, Part{}, func(g *Guard) error {
		group("guards", g.Status)
		add("guard_ups", float64(g.Ups))
		add("guard_downs", float64(g.Downs))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bootstraps(t.Context(), m, journal.Range{}, Part{}, func(b *Bootstrap) error {
		group("bootstrap", strconv.FormatInt(b.Progress, 10))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for name, n := range sums {
		out[name] = n
	}
	for name, g := range groups {
		out[name] = g
	}
	return out
}
