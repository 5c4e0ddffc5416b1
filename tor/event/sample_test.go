package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the sample in testdata/corpus anew from the corpora beside the checkout")

const (
	perShape   = 2   // records of the same type and keywords that a sample has of one corpus
	perLogType = 20  // log messages of each severity
	sampleMax  = 400 // KiB, all samples together
)

// TestSample: the committed sample is what the selection rule takes from the
// corpora: of each file the first records of every type and shape.
func TestSample(t *testing.T) {
	if testing.Short() {
		t.Skip("reads all corpora")
	}
	files, _ := filepath.Glob(corpusDir + "/*.jsonl.zst")
	if len(files) == 0 && *update {
		t.Fatalf("no corpora in %s to take a sample from", corpusDir)
	}
	total := 0
	for _, path := range files {
		name := filepath.Join(sampleDir, strings.TrimSuffix(filepath.Base(path), ".zst"))
		want := sample(t, path)
		total += len(want)
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the sample of its corpus (%v); write it with: go test ./tor/event -run TestSample -update", name, err)
		}
	}
	if total > sampleMax<<10 {
		t.Errorf("the sample has %d KiB, more than %d", total>>10, sampleMax)
	}
}

func sample(t *testing.T, path string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	seen := map[string]int{}
	records(t, path, func(rec record) {
		s := shape(rec.Raw)
		seen[s]++
		limit := perShape
		switch TypeOf([]byte(rec.Raw)) {
		case DEBUG, INFO, NOTICE, WARN, ERR:
			limit = perLogType
		case NEWCONSENSUS, HS_DESC_CONTENT:
			limit = 1
		}
		if seen[s] <= limit {
			if err := enc.Encode(rec); err != nil {
				t.Fatal(err)
			}
		}
	})
	return out.Bytes()
}

// shape is an event's type and the names of its keywords; words without a
// keyword count by their number.
func shape(raw string) string {
	line, _, _ := strings.Cut(raw, "\r\n")
	name, words, _ := strings.Cut(line, " ")
	if name != "650" { // multi-line, with an empty data block or not
		return name + strings.Repeat(" EMPTY", strings.Count(raw, "\r\n\r\n.\r\n"))
	}
	name, words, _ = strings.Cut(words, " ")
	switch Type(name) {
	case DEBUG, INFO, NOTICE, WARN, ERR:
		return name
	case STATUS_CLIENT, STATUS_GENERAL, STATUS_SERVER:
		_, action, _ := strings.Cut(words, " ")
		action, _, _ = strings.Cut(action, " ")
		name += " " + action
	}
	for key := range Keywords(words).raw() {
		name += " " + key
	}
	return name
}
