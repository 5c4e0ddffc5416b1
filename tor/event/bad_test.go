package event

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestBad: each file of testdata/bad holds, as a quoted Go string, bytes that
// are no event; the folder's name says, with dashes for blanks, what the error
// must say. The bytes themselves, which may be private, never stand in it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad input: %v", err)
	}
	for _, path := range files {
		quoted, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := strconv.Unquote(strings.TrimSpace(string(quoted)))
		if err != nil {
			t.Fatalf("%s is no Go string: %v", path, err)
		}
		e, err := Parse([]byte(wire))
		want := strings.ReplaceAll(filepath.Base(filepath.Dir(path)), "-", " ")
		if !errors.Is(err, ErrNotEvent) || e != nil {
			t.Errorf("%s: event %v, error %v", path, e, err)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q does not say %q", path, err, want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q quotes the input", path, err)
		}
	}
}
