package main

import (
	"compress/gzip"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"torjournal/journal"
	"torjournal/journal/journaltest"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// TestMain makes this test binary the program `torjournal` too: scripts and
// tests run it by that name.
func TestMain(m *testing.M) {
	// The race detector would let each of them wait a second at its end, for
	// races of what still runs then; a tenth does.
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=100")
	}
	testscript.Main(tests{m}, map[string]func(){
		"torjournal": main,
		"spin":       func() { forever(func() {}) }, // takes what time there is
		"hold":       hold,
	})
}

func forever(do func()) {
	for {
		do()
	}
}

// The scripts say what a user types and sees. They need nothing but torjournal.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"record":      record,
			"old-journal": oldJournal,
			"damage":      damage,
			"until":       until,
			"refused":     refused,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
	})
}

// record FILE makes a journal of 3,000 records of 1 KiB, half of them of the
// day before yesterday, the others of an hour ago.
func record(ts *testscript.TestScript, _ bool, args []string) {
	now := time.Now().Add(-48 * time.Hour)
	j, err := journal.Open(ts.MkAbs(args[0]), journal.Options{MaxSize: 16 << 20, Now: func() time.Time { return now }})
	ts.Check(err)
	for i := range 3000 {
		if i == 1500 {
			ts.Check(j.Flush(context.Background()))
			now = time.Now().Add(-time.Hour)
		}
		ts.Check(j.Append(context.Background(), journaltest.Big(i, 1)...))
	}
	ts.Check(j.Close())
}

// oldJournal is the script command `old-journal FILE`: it writes the journal of
// schema 1 that the tests of migrations have.
func oldJournal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: old-journal FILE")
	}
	f, err := os.Open(filepath.Join(oldJournals, "schema1.db.gz"))
	ts.Check(err)
	defer f.Close()
	zr, err := gzip.NewReader(f)
	ts.Check(err)
	data, err := io.ReadAll(zr)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// oldJournals is where they lie; a script has its own working folder.
var oldJournals = func() string {
	dir, err := filepath.Abs("../../migrations/testdata")
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestFlagsMayStandBehindArguments(t *testing.T) {
	app := program{}.app()
	for _, tc := range []struct{ in, want string }{
		{"torjournal query circuits --since 1h", "torjournal query circuits --since 1h"},
		{"torjournal query --since 1h circuits --json", "torjournal query circuits --since 1h --json"},
		{"torjournal --journal F replay -n 3", "torjournal replay --journal F -n 3"},
		{"torjournal replay word -f", "torjournal replay -f word"},
		{"torjournal replay -b -1 word", "torjournal replay -b -1 word"},
		{"torjournal replay --since=1h word", "torjournal replay --since=1h word"},
		{"torjournal replay -- -f", "torjournal replay -- -f"},
		{"torjournal", "torjournal"},
	} {
		line, err := commandLine(app.Commands, strings.Fields(tc.in), &config{})
		if got := strings.Join(line, " "); got != tc.want || err != nil {
			t.Errorf("%s\n became %s\n    want %s\n     err %v", tc.in, got, tc.want, err)
		}
	}
}
