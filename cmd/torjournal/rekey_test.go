package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"
)

// refused is the script command `refused FILE REGEXP`: every command that opens
// a journal is run on FILE, and must fail and say on standard error what
// matches.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: refused FILE REGEXP")
	}
	file, want := args[0], regexp.MustCompile(args[1])
	for _, line := range [][]string{
		{"replay", "--journal", file},
		{"tail", "--journal", file},
		{"query", "circuits", "--journal", file},
		{"query", "bandwidth", "--journal", file},
		{"status", "--journal", file},
		{"verify", "--journal", file},
		{"vacuum", "--journal", file},
		{"salvage", file, "not-made.db"},
		{"run", "--journal", file, "--attach", "127.0.0.1:1"},
		{"import", "--journal", file, "--format", "torctl", "log.torctl"},
	} {
		if err := ts.Exec("torjournal", line...); err == nil {
			ts.Fatalf("%q succeeded", line)
		}
		stderr := ts.ReadFile("stderr")
		// A key file that is missing is told in another way by what could make it.
		if !want.MatchString(stderr) && !((line[0] == "run" || line[0] == "import") && newKey.MatchString(stderr)) {
			ts.Fatalf("%q says\n%s\nwant %s", line, stderr, want)
		}
	}
}

var newKey = regexp.MustCompile(`no new key opens it`)

// Every command that opens a journal takes its key.
func TestEveryCommandTakesTheKey(t *testing.T) {
	var leaves int
	var walk func(name string, cmds []*cli.Command)
	walk = func(name string, cmds []*cli.Command) {
		for _, cmd := range cmds {
			at := name + " " + cmd.Name
			if len(cmd.Subcommands) > 0 {
				walk(at, cmd.Subcommands)
				continue
			}
			if slices.Contains([]string{"version", "help", "man", "completion bash", "completion zsh", "completion fish"}, strings.TrimPrefix(at, "torjournal ")) {
				continue // reads no journal
			}
			leaves++
			found := false
			for _, f := range cmd.Flags {
				if s, ok := f.(*cli.StringFlag); ok && s.Name == "key-file" && len(s.EnvVars) == 1 {
					found = true
				}
			}
			if !found {
				t.Errorf("%s does not take --key-file", at)
			}
		}
	}
	walk("torjournal", program{}.app().Commands)
	if leaves < 9 {
		t.Errorf("only %d commands", leaves)
	}
}
