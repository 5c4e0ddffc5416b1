package query

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"torjournal/journal"
)

// FuzzDoctor: whatever the record has, the doctor and the summary come to an end,
// what they say is text, and what they name is there.
func FuzzDoctor(f *testing.F) {
	for _, c := range ruleCases {
		f.Add(many(f, c.found), 0, 0)
	}
	f.Add(many(f, summaryStory), 20, 40)
	f.Fuzz(func(t *testing.T, lines string, since, until int) {
		m, at := &memory{}, clock(t, "08:00:00")
		for line := range strings.Lines(lines) {
			if line = strings.TrimRight(line, "\r\n"); len(m.recs) == 2000 || strings.ContainsAny(line, "\r\n") {
				return
			}
			at = at.Add(time.Second)
			if _, what, ok := strings.Cut(line, " "); ok { // stories begin with a time
				m.add(uint64(1+len(m.recs)/500), at, "650 "+what+"\r\n")
			}
		}
		var r journal.Range
		if since > 0 {
			r.Since = clock(t, "08:00:00").Add(time.Duration(since) * time.Second)
		}
		if until > 0 {
			r.Until = clock(t, "08:00:00").Add(time.Duration(until) * time.Second)
		}
		for _, f := range findings(t, m, r) {
			if f.What == "" || !utf8.ValidString(f.What) || len(f.Next) == 0 || !slices.IsSorted(f.Records) {
				t.Errorf("%+v", f)
			}
			for _, seq := range f.Records {
				if seq == 0 || seq > uint64(len(m.recs)) {
					t.Errorf("%s names record %d of %d", f.Rule, seq, len(m.recs))
				}
			}
		}
		_ = summaryRows(t, m, r)
	})
}
