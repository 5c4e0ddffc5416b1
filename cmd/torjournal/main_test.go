package main

import (
	"context"
	"flag"
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
	testscript.Main(m, map[string]func(){"torjournal": main})
}

// The scripts say what a user types and sees. They need nothing but torjournal.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"record": record},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("HOME", env.WorkDir)
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
		line, err := commandLine(app.Commands, strings.Fields(tc.in))
		if got := strings.Join(line, " "); got != tc.want || err != nil {
			t.Errorf("%s\n became %s\n    want %s\n     err %v", tc.in, got, tc.want, err)
		}
	}
}
