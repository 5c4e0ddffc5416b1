package event

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// sampleDir has the committed sample of the corpora; corpusDir the corpora
// themselves, where a checkout lies beside them.
const (
	sampleDir = "../../testdata/corpus"
	corpusDir = "../../../shared/corpus"
)

// record is one line of a corpus file.
type record struct {
	T   string `json:"t"`   // arrival
	Raw string `json:"raw"` // wire form
}

// records calls each with every record of the corpus file.
func records(t testing.TB, path string, each func(record)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".zst") {
		z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var rec record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatalf("%s, record %d: %v", path, n+1, err)
		}
		each(rec)
	}
	if err := lines.Err(); err != nil || n == 0 {
		t.Fatalf("%s: %d records, error %v", path, n, err)
	}
}

func corpusFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(sampleDir + "/*.jsonl*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sample in %s: %v", sampleDir, err)
	}
	if !testing.Short() {
		more, _ := filepath.Glob(corpusDir + "/*.jsonl*")
		files = append(files, more...)
	}
	return files
}

// TestCorpus: every record that tor sent is parsed to its own struct, fits
// its grammar without a rest, and formats to the bytes it came as.
func TestCorpus(t *testing.T) {
	for _, path := range corpusFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			records(t, path, func(rec record) {
				raw := rec.Raw
				e, err := Parse([]byte(raw))
				if err != nil {
					t.Fatalf("%v: %q", err, raw)
				}
				if got := string(e.Format()); got != raw {
					t.Fatalf("format differs:\n got %q\nwant %q", got, raw)
				}
				if e.Type() != TypeOf([]byte(raw)) || !e.Type().Known() {
					t.Fatalf("type %q: %q", e.Type(), raw)
				}
				if why := oddity(e); why != "" {
					t.Errorf("%s: %q", why, raw)
				}
			})
		})
	}
}

// oddity says why e is not wholly told by its struct's fields, "" if it is.
func oddity(e Event) string {
	if _, unknown := e.(*Unknown); unknown {
		return "not parsed"
	}
	if c, ok := e.(interface{ self() *form }); ok && c.self().layout != nil {
		return "not in canonical form"
	}
	if extra := reflect.ValueOf(e).Elem().FieldByName("Extra"); extra.IsValid() && extra.String() != "" {
		return "unknown words " + extra.String()
	}
	return ""
}
