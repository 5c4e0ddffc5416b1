package journal

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What is told of records that are missing covers them all, and no more than
// is known.
func TestGapEntries(t *testing.T) {
	h := func(first, last uint64, from, to int64) header {
		return header{first: first, last: last, session: 1, minTime: from, maxTime: to, mask: 1}
	}
	before, after := h(1, 10, 100, 110), h(31, 40, 300, 310)
	known := []header{h(1, 10, 100, 110), h(11, 20, 150, 160), h(24, 26, 180, 190), h(31, 40, 300, 310)}
	type span struct {
		first, last uint64
		from, to    int64
	}
	for name, c := range map[string]struct {
		known         []header
		before, after *header
		want          []span
	}{
		"neighbours":  {nil, &before, &after, []span{{11, 30, 110, 300}}},
		"the index":   {known, &before, &after, []span{{11, 20, 150, 160}, {21, 23, 160, 180}, {24, 26, 180, 190}, {27, 30, 190, 300}}},
		"no end":      {nil, &before, nil, []span{{11, 30, 110, noEnd}}},
		"known, then": {known[:2], &before, nil, []span{{11, 20, 150, 160}, {21, 30, 160, noEnd}}},
		"no begin":    {nil, nil, &after, []span{{11, 30, noBegin, 300}}},
		"nothing":     {nil, nil, nil, []span{{11, 30, 0, 0}}},
	} {
		got := gapEntries(c.known, c.before, c.after, 11, 30)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
			continue
		}
		for i, w := range c.want {
			g := got[i]
			inIndex := g.mask == 1
			if (span{g.first, g.last, g.minTime, g.maxTime}) != w || !g.lost() || !inIndex && g.mask != math.MaxUint64 {
				t.Errorf("%s: %+v, want %+v", name, g, w)
			}
		}
		m := missingOf(got)
		if last := c.want[len(c.want)-1]; m.From != 11 || m.To != 30 || (last.to == noEnd || last.to == 0) != m.Until.IsZero() || (c.want[0].from == noBegin || c.want[0].from == 0) != m.Since.IsZero() {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// Records that are lost at the end arrived between the last that is there and
// the last write: who asks for that time is told of the gap.
func TestSalvageTellsTrueSpans(t *testing.T) {
	p := newPatient(t, nil)
	batch := p.batches[len(p.batches)-1]
	content := p.inPage(t, p.intact[batch.off:batch.off+int64(batch.size())], headerSize+3)(bytes.Clone(p.intact))
	dir := t.TempDir()
	old, saved := filepath.Join(dir, "old.db"), filepath.Join(dir, "new.db")
	if err := os.WriteFile(old, content, 0o600); err != nil {
		t.Fatal(err)
	}
	written := p.records[len(p.records)-1].Time.Add(time.Hour).Truncate(time.Second)
	if err := os.Chtimes(old, written, written); err != nil {
		t.Fatal(err)
	}
	s, err := Salvage(within(t), old, saved, SalvageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := p.records[batch.first-2].Time
	if len(s.Missing) != 1 || s.Missing[0] != (Missing{batch.first, batch.last, before, written}) {
		t.Errorf("missing %+v, want records %d to %d from %v to %v", s.Missing, batch.first, batch.last, before, written)
	}
	f, err := OpenFile(saved, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for since, told := range map[time.Time]bool{written.Add(-time.Minute): true, written.Add(time.Minute): false} {
		if recs, gaps := readAll(t, f, Range{Since: since}); len(recs) > 0 || (len(gaps) == 1) != told {
			t.Errorf("since %v there are %d records and the gaps %v", since, len(recs), gaps)
		}
	}
	var ends []*DamageError
	if _, err := VerifyEach(old, nil, func(d *DamageError) { ends = append(ends, d) }); err != nil || len(ends) == 0 {
		t.Errorf("Verify: %v, %v", ends, err)
	}
}
