package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"torjournal/journal"
)

// packed writes b to a file of the test's own by the compression w makes.
func packed(t *testing.T, name string, b []byte, pack func(io.Writer) (io.WriteCloser, error)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := pack(f)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
func xzed(w io.Writer) (io.WriteCloser, error)    { return xz.NewWriter(w) }
func zstded(w io.Writer) (io.WriteCloser, error)  { return zstd.NewWriter(w) }

// timesAndWires reads JSON lines: when, and what.
func timesAndWires(t *testing.T, lines string) (out []string) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(lines))
	for dec.More() {
		var rec struct {
			T, Time time.Time
			Raw     string
		}
		if err := dec.Decode(&rec); err != nil {
			t.Fatal(err)
		}
		if rec.T.IsZero() {
			rec.T = rec.Time
		}
		out = append(out, rec.T.UTC().Format(time.RFC3339Nano)+" "+rec.Raw)
	}
	return out
}

// What a tor said, of every type and shape in the corpora, comes out of an
// import as it went in, however the log was packed.
func TestImportCorpus(t *testing.T) {
	logs, err := filepath.Glob(filepath.Join("..", "..", "testdata", "corpus", "*.jsonl"))
	if err != nil || len(logs) == 0 {
		t.Fatal("no corpora")
	}
	packers := []func(io.Writer) (io.WriteCloser, error){gzipped, xzed, zstded}
	for i, log := range logs {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		db := journalIn(t)
		out, stderr := torjournal(t, 0, "import", "--journal", db, packed(t, "log", b, packers[i%3]))
		got, _ := torjournal(t, 0, "replay", "--journal", db, "--since", "2000-01-01", "-o", "json")
		want := timesAndWires(t, string(b))
		if g := timesAndWires(t, got); strings.Join(g, "") != strings.Join(want, "") {
			t.Errorf("%s: %d records, want %d, or their bytes differ", log, len(g), len(want))
		}
		if !strings.HasPrefix(out, fmt.Sprintf("%d events of ", len(want))) || stderr != "" {
			t.Errorf("%s: it says %q and %q", log, out, stderr)
		}
		if strings.Contains(got, "JOURNAL CLOCK") {
			t.Errorf("%s: an import has seen a clock jump", log)
		}
	}
}

// A journal that is being recorded is refused at once, with what to do.
func TestImportIsRefusedWhileRecording(t *testing.T) {
	db := journalIn(t)
	startRecorder(t, db, "--attach", "unix:"+filepath.Join(t.TempDir(), "none"))
	_, stderr := torjournal(t, 1, "import", "--journal", db, filepath.Join("..", "..", "testdata", "corpus", "client.jsonl"))
	if !strings.Contains(stderr, "a recorder runs") || !strings.Contains(stderr, "stop the recorder first") {
		t.Errorf("the refusal: %s", stderr)
	}
}

// noise returns n JSON lines that do not compress, of a kilobyte each.
func noise(n int) []byte {
	var b bytes.Buffer
	bits := make([]byte, 500)
	for i := range n {
		_, _ = rand.Read(bits)
		at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
		fmt.Fprintf(&b, "{\"t\":%q,\"raw\":\"650 NOTICE %s\\r\\n\"}\n", at.Format(time.RFC3339), hex.EncodeToString(bits))
	}
	return b.Bytes()
}

// An import that is interrupted has written whole portions, and says how far.
func TestImportInterrupted(t *testing.T) {
	db := journalIn(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "torjournal", "import", "--journal", db, "-")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(noise(3000)); err != nil { // more than one portion, and the pipe stays open
		t.Fatal(err)
	}
	for {
		if fi, err := os.Stat(db); err == nil && fi.Size() > 1<<20 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("nothing is written")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit %d", code)
	}
	m := regexp.MustCompile(`interrupted; what is told above is in the journal, up to standard input:(\d+)`).FindStringSubmatch(errs.String())
	if m == nil {
		t.Fatalf("it says %q and %q", out.String(), errs.String())
	}
	n, _ := strconv.Atoi(m[1])
	v, err := journal.Verify(db, nil)
	if err != nil || n == 0 || int(v.Records) != n || !strings.HasPrefix(out.String(), m[1]+" events of 1 session") {
		t.Errorf("up to line %d; %+v, %v; it says %q", n, v, err, out.String())
	}
}

// What can be read of a damaged log is imported, and the logs behind it are.
func TestImportOfHalfAFile(t *testing.T) {
	half := packed(t, "half.gz", noise(1000), gzipped)
	fi, err := os.Stat(half)
	if err != nil {
		t.Fatal(err)
	}
	truncate(t, half, fi.Size()/2)
	db := journalIn(t)
	out, stderr := torjournal(t, 1, "import", "--journal", db, half, packed(t, "whole", noise(10), gzipped))
	if !regexp.MustCompile(`^\d{3} events of 2 sessions`).MatchString(out) {
		t.Errorf("it says %q", out)
	}
	if !strings.Contains(stderr, "half.gz: what lies behind line ") || !strings.Contains(stderr, "1 log could not be read to the end") {
		t.Errorf("errors: %s", stderr)
	}
	// One that is not packed is no different.
	plain, log := filepath.Join(t.TempDir(), "plain"), noise(1000)
	if err := os.WriteFile(plain, log[:len(log)/2-7], 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr = torjournal(t, 1, "import", "--journal", journalIn(t), plain)
	if !strings.Contains(stderr, "1 log could not be read to the end, or ended within an event") {
		t.Errorf("errors: %s", stderr)
	}
}

// The size limit holds, and what it costs is said.
func TestImportIntoASmallJournal(t *testing.T) {
	db := journalIn(t)
	out, _ := torjournal(t, 0, "import", "--journal", db, "--max-size", "1MiB", packed(t, "log", noise(3000), zstded))
	m := regexp.MustCompile(`(\d+) records made room, the oldest; a larger --max-size`).FindStringSubmatch(out)
	v, err := journal.Verify(db, nil)
	if m == nil || err != nil || m[1] != strconv.Itoa(3000-int(v.Records)) {
		t.Errorf("%+v, %v; it says %q", v, err, out)
	}
	if fi, err := os.Stat(db); err != nil || fi.Size() > 1<<20 {
		t.Errorf("%v, %v", fi, err)
	}
}

// A full disk ends an import: it says why, how far it has come, and what to do,
// and what it says is in the journal is there.
func TestImportOntoAFullDisk(t *testing.T) {
	needTime(t)
	db, log := journalIn(t), packed(t, "log", noise(20000), gzipped)
	// Blocks of 512 bytes or a kilobyte, whichever the shell takes: 4 or 8 MB.
	cmd := exec.Command("sh", "-c", `ulimit -f 8000 && exec torjournal import --journal "$0" "$1"`, db, log)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit %d", code)
	}
	m := regexp.MustCompile(`cannot be written: .*file too large.*ulimit -f.*up to .*log:(\d+)\n$`).FindStringSubmatch(errs.String())
	if m == nil {
		t.Fatalf("it says %q and %q", out.String(), errs.String())
	}
	n, _ := strconv.Atoi(m[1])
	v, err := journal.Verify(db, nil)
	if err != nil || n == 0 || int(v.Records) < n || !strings.HasPrefix(out.String(), m[1]+" events of 1 session") {
		t.Errorf("up to line %d; %+v, %v; it says %q", n, v, err, out.String())
	}
}
