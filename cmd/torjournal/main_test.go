package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
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
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	})
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
