package event

import (
	"bufio"
	"encoding/json"
	"fmt"
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
				keywordsInFields(t, e, raw)
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

// otherNames are the fields that are not named as their keywords.
var otherNames = map[string]string{
	"NCIRCS": "Circuits", "SS": "SlowStart", "CWND": "CongestionWindow", "TYPE": "Kind", "PT": "Program",
}

// keywordsInFields looks, in its own simple way, for the value of each
// keyword of a line in the field of that name.
func keywordsInFields(t *testing.T, e Event, raw string) {
	t.Helper()
	v := reflect.ValueOf(e).Elem()
	if !v.FieldByName("Extra").IsValid() {
		return // multi-line, a log message, a list or any keywords
	}
	for _, word := range strings.Split(strings.TrimSuffix(raw, "\r\n"), " ") {
		key, want, ok := strings.Cut(word, "=")
		if !ok || strings.ContainsAny(key, "$\"") || strings.Count(want, "\"") == 1 {
			continue // no keyword, or a value with blanks
		}
		name := otherNames[key]
		if name == "" {
			name = strings.ReplaceAll(key, "_", "")
		}
		field := v.FieldByNameFunc(func(f string) bool { return strings.EqualFold(f, name) })
		if !field.IsValid() {
			t.Fatalf("%T has no field for %s: %q", e, key, raw)
		}
		got := fmt.Sprint(field)
		if field.CanFloat() {
			got = fmt.Sprintf("%f", field.Float())
		}
		if got != strings.Trim(want, "\"") {
			t.Fatalf("%s is %q in %q", key, got, raw)
		}
	}
}
