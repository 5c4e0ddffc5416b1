package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// What is dropped because another batch counts for its numbers gives the
// records that only it has, if it is of the same journal.
func TestSalvageTakesParts(t *testing.T) {
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old.db")
	var content []byte
	place := func(first, last uint64, life string) found {
		var recs []Record
		for n := first; n <= last; n++ {
			recs = append(recs, Record{Seq: n, Session: 1, Time: lostHour(int(n)), Type: "NOTICE", Wire: fmt.Appendf(nil, "650 NOTICE %s %d\r\n", life, n)})
		}
		h, data := enc.encode(recs)
		f := found{header: h, off: int64(len(content))}
		content = append(content, data...)
		return f
	}
	for name, c := range map[string]struct {
		kept, dropped []found
		want          []Gap // From and To of what is saved
	}{
		"both ends of a block":      {[]found{place(3, 4, "a")}, []found{place(1, 6, "a")}, []Gap{{1, 2}, {3, 4}, {5, 6}}},
		"between two":               {[]found{place(1, 2, "a"), place(5, 6, "a")}, []found{place(2, 5, "a")}, []Gap{{1, 2}, {3, 4}, {5, 6}}},
		"of another life":           {[]found{place(3, 4, "a")}, []found{place(1, 6, "b")}, []Gap{{3, 4}}},
		"of another life in part":   {[]found{place(1, 2, "a"), place(4, 6, "b")}, []found{place(2, 4, "a")}, []Gap{{1, 2}, {4, 6}}},
		"nothing that is not there": {[]found{place(1, 6, "a")}, []found{place(3, 4, "a"), place(1, 6, "b")}, []Gap{{1, 6}}},
		"two that complete":         {[]found{place(3, 4, "a")}, []found{place(1, 3, "a"), place(4, 6, "a")}, []Gap{{1, 2}, {3, 4}, {5, 6}}},
		"a part agrees with a part": {[]found{place(3, 3, "a")}, []found{place(3, 4, "a"), place(2, 6, "b"), place(1, 3, "a")}, []Gap{{1, 2}, {3, 3}, {4, 4}}},
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &salvage{file: &patient{file: f}, size: int64(len(content))}
		var got []Gap
		for _, k := range s.extend(slices.Clone(c.kept), slices.Clone(c.dropped)) {
			got = append(got, Gap{k.first, k.last})
			if k.minTime != lostHour(int(k.first)).UnixMicro() || k.maxTime != lostHour(int(k.last)).UnixMicro() {
				t.Errorf("%s: the times of %d to %d are another's", name, k.first, k.last)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		f.Close()
	}
}
