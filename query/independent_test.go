package query

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

// count is what a corpus holds, found without parser or state machine: words
// between blanks, counted.
type count struct {
	rows, launched, built, failed, closed, measured int
	reasons                                         map[string]int // of FAILED
	read, written                                   uint64
	buildTime                                       time.Duration // sum, from first LAUNCHED to first BUILT
	streams                                         int           // pairs of stream and circuit
	bw, bwRead, bwWritten                           int
}

func countWords(m *memory) count {
	c := count{reasons: map[string]int{}}
	launched, built := map[string]time.Time{}, map[string]time.Time{}
	ended, failedOnes, any := map[string]string{}, map[string]bool{}, map[string]bool{}
	pairs, bytes := map[string]bool{}, map[string][2]uint64{}
	for _, rec := range m.recs {
		w := strings.Fields(string(rec.Wire))
		switch w[1] {
		case "CIRC":
			any[w[2]] = true
			if _, ok := launched[w[2]]; !ok && w[3] == "LAUNCHED" {
				launched[w[2]] = rec.Time
			}
			if _, ok := built[w[2]]; !ok && w[3] == "BUILT" {
				built[w[2]] = rec.Time
			}
			if w[3] == "FAILED" && !failedOnes[w[2]] {
				failedOnes[w[2]] = true
				_, reason, _ := strings.Cut(string(rec.Wire), " REASON=")
				c.reasons[strings.Fields(reason)[0]]++
			}
			ended[w[2]] = w[3]
		case "CIRC_BW":
			id, b := strings.TrimPrefix(w[2], "ID="), bytes[strings.TrimPrefix(w[2], "ID=")]
			r, _ := strconv.ParseUint(strings.TrimPrefix(w[3], "READ="), 10, 64)
			wr, _ := strconv.ParseUint(strings.TrimPrefix(w[4], "WRITTEN="), 10, 64)
			bytes[id] = [2]uint64{b[0] + r, b[1] + wr}
		case "STREAM":
			if w[4] != "0" {
				pairs[w[2]+" "+w[4]] = true
			}
		case "BW":
			c.bw++
			r, _ := strconv.Atoi(w[2])
			wr, _ := strconv.Atoi(w[3])
			c.bwRead, c.bwWritten = c.bwRead+r, c.bwWritten+wr
		}
	}
	c.rows, c.launched, c.built, c.failed = len(any), len(launched), len(built), len(failedOnes)
	for _, last := range ended {
		if last == "CLOSED" {
			c.closed++
		}
	}
	for id := range failedOnes {
		if _, ok := built[id]; ok {
			c.measured++
		}
	}
	for id, b := range bytes {
		if any[id] {
			c.read, c.written = c.read+b[0], c.written+b[1]
		}
	}
	for id, t := range built {
		if began, ok := launched[id]; ok {
			c.buildTime += t.Sub(began).Truncate(time.Millisecond)
		}
	}
	for p := range pairs {
		if any[strings.Fields(p)[1]] {
			c.streams++
		}
	}
	return c
}

// countRows adds up the rows to the same numbers.
func countRows(t *testing.T, m *memory) count {
	t.Helper()
	c := count{reasons: map[string]int{}}
	began := map[time.Time]int{} // arrivals of LAUNCHED; a TIME_CREATED is none
	for _, rec := range m.recs {
		began[rec.Time] += strings.Count(string(rec.Wire), " LAUNCHED ")
	}
	_, err := circuits(t.Context(), m, journal.Range{}, CircuitPick{}, Part{}, func(r *Circuit) error {
		c.rows++
		c.launched += known(began[r.Launched.Time] > 0)
		c.built += known(!r.Built.IsZero())
		c.closed += known(r.Status == "CLOSED")
		if r.Outcome == Failed {
			c.failed++
			c.reasons[r.Reason]++
			c.measured += known(!r.Built.IsZero())
		}
		if r.ReadBytes != nil {
			c.read, c.written = c.read+*r.ReadBytes, c.written+*r.WrittenBytes
		}
		if r.BuildMS != nil {
			c.buildTime += time.Duration(*r.BuildMS) * time.Millisecond
		}
		if r.Streams != nil {
			c.streams += int(*r.Streams)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bandwidths(t.Context(), m, journal.Range{}, 7*time.Second, Part{}, func(b *Bandwidth) error {
		c.bw += int(b.Seconds)
		if b.Seconds > 0 {
			c.bwRead, c.bwWritten = c.bwRead+int(*b.ReadBytes), c.bwWritten+int(*b.WrittenBytes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func known(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

func TestCorporaAgreeWithCountedWords(t *testing.T) {
	files := corpora(t)
	if len(files) == 0 {
		t.Fatal("no corpus: testdata/corpus is missing")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := corpus(t, file)
			want, got := countWords(m), countRows(t, m)
			for _, n := range []struct {
				what      string
				got, want any
			}{
				{"rows", got.rows, want.rows}, {"launched", got.launched, want.launched},
				{"built", got.built, want.built}, {"failed", got.failed, want.failed},
				{"closed", got.closed, want.closed}, {"failed and measured", got.measured, want.measured},
				{"bytes read", got.read, want.read}, {"bytes written", got.written, want.written},
				{"build time", got.buildTime, want.buildTime}, {"streams", got.streams, want.streams},
				{"BW events", got.bw, want.bw}, {"BW read", got.bwRead, want.bwRead}, {"BW written", got.bwWritten, want.bwWritten},
			} {
				if n.got != n.want {
					t.Errorf("%s: %v in the rows, %v counted", n.what, n.got, n.want)
				}
			}
			for reason := range want.reasons {
				if got.reasons[reason] != want.reasons[reason] {
					t.Errorf("failed for %s: %d in the rows, %d counted", reason, got.reasons[reason], want.reasons[reason])
				}
			}
			t.Logf("%+v", want)
		})
	}
}
