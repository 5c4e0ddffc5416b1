package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Shells complete what they have loaded: bash, zsh and fish themselves say what.
func TestCompletion(t *testing.T) {
	if testing.Short() {
		t.Skip("needs bash, zsh and fish")
	}
	for line, want := range map[string][]string{
		"torjournal query bandw":            {"bandwidth"},
		"torjournal query --json bandw":     {"bandwidth"},
		"torjournal replay --show":          {"--show-cursor"},
		"torjournal replay -o js":           {"json"},
		"torjournal replay --since 1h -e C": {"CIRC", "CLIENTS_SEEN", "CONF_CHANGED", "CIRC_MINOR", "CONN_BW", "CIRC_BW", "CELL_STATS"},
		"torjournal comp":                   {"completion"},
		"torjournal query circuits --sin":   {"--since"},
		"torjournal run --jour":             {"--journal"},
		"torjournal verify a":               {"a file"},
		"torjournal verify --key-file a":    {"a file"},
		"torjournal query circuits --qq":    nil,
	} {
		for shell, complete := range map[string]func(*testing.T, string, string) []string{"bash": completeBash, "fish": completeFish} {
			t.Run(shell+"/"+line, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "a file"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				got := complete(t, dir, line)
				want := slices.Sorted(slices.Values(want))
				if slices.Sort(got); !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
			})
		}
	}
}

// completion writes a shell's completion into a file.
func completion(t *testing.T, dir, shell string) string {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs, now: time.Now, loc: time.UTC}
	if code := p.main(t.Context(), []string{"torjournal", "completion", shell}); code != 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	path := filepath.Join(dir, "."+shell)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func completeBash(t *testing.T, dir, line string) []string {
	words := strings.Split(line, " ")
	script := `. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _torjournal; IFS=$'\n'; echo "${COMPREPLY[*]}"`
	args := append([]string{"--norc", "-c", script, "bash", completion(t, dir, "bash")}, words...)
	return lines(output(t, dir, "bash", args...))
}

func completeFish(t *testing.T, dir, line string) []string {
	path := completion(t, dir, "fish")
	out := lines(output(t, dir, "fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, path, line))
	for i, l := range out {
		word, _, _ := strings.Cut(l, "\t")
		out[i] = strings.ReplaceAll(word, `\ `, " ")
	}
	return out
}

// zsh has no command that completes: it is asked at a terminal of its own.
func TestCompletionOfZsh(t *testing.T) {
	if testing.Short() {
		t.Skip("needs zsh")
	}
	dir := t.TempDir()
	path := completion(t, dir, "zsh")
	output(t, dir, "zsh", "-f", "-n", path)
	const script = `
zmodload zsh/zpty
ask() {
	zpty z zsh -f -i
	zpty -w z "PS1=; autoload -U compinit; compinit -u -D; . $1; bindkey '^I' complete-word; print -r READY-\$((1+1))"
	zpty -r -m z l '*READY-2*'
	zpty -w -n z "$2"$'\t'
	zpty -r -m z l "*$3*" && print -r -- "found $3"
	zpty -d z
}
ask "$1" 'torjournal query circuits --sinc' --since
ask "$1" 'torjournal replay --speed ' 10x
ask "$1" 'torjournal sal' salvage
`
	got := output(t, dir, "zsh", "-f", "-c", script, "zsh", path)
	if want := "found --since\nfound 10x\nfound salvage\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The manual page has every command and no fault that its reader knows of.
func TestManual(t *testing.T) {
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs, now: time.Now, loc: time.UTC}
	if code := p.main(t.Context(), []string{"torjournal", "man"}); code != 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	eachCommand(describe(p.app().Commands), func(c described) {
		if want := `.SS "torjournal ` + escape(strings.Join(c.path, " ")) + `"` + "\n"; !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
		for _, f := range c.flags {
			if f.usage == "" {
				t.Errorf("%s: --%s says nothing", c.path, f.names[0])
			}
		}
	})
	if testing.Short() {
		return
	}
	page := filepath.Join(t.TempDir(), "torjournal.1")
	if err := os.WriteFile(page, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(output(t, "", "sh", "-c", `mandoc -T lint "$0" || true`, page)) {
		if !strings.Contains(l, "STYLE") && !strings.Contains(l, "missing date") {
			t.Error(l)
		}
	}
	text := output(t, "", "sh", "-c", `mandoc -T ascii "$0" | col -b`, page)
	for _, want := range []string{"torjournal query circuits", "--show-cursor", `--where 'Status == "FAILED"'`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+t.TempDir(), "TERM=xterm")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &errs)
	}
	return string(out)
}

func lines(s string) (out []string) {
	for l := range strings.Lines(s) {
		if l = strings.TrimSuffix(l, "\n"); l != "" {
			out = append(out, l)
		}
	}
	return out
}
