package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
)

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Flags in a file stand for those of the command line that are not given
// there; commands other than run take only the journal from it.
func TestConfigMerges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flags")
	writeConfig(t, path, `
# a comment
journal  /var/lib/j.db
max-size 500 MiB
attach	127.0.0.1:9051
attach   unix:/run/tor/control
control  127.0.0.1:9151,no-auth,history
scrub
verbose  false
commit-delay 100ms
`)
	all := "--journal=/var/lib/j.db|--max-size=500 MiB|--attach=127.0.0.1:9051|--attach=unix:/run/tor/control|" +
		"--control=127.0.0.1:9151,no-auth,history|--scrub=true|--verbose=false|--commit-delay=100ms"
	for _, tc := range []struct{ in, want string }{
		{"run --config F", "run|--config|F|" + all},
		{"run --config=F", "run|--config=F|" + all},
		{"run --config F --attach 127.0.0.1:1 --max-size 1GiB -v", "run|--config|F|--attach|127.0.0.1:1|--max-size|1GiB|-v|" +
			"--journal=/var/lib/j.db|--control=127.0.0.1:9151,no-auth,history|--scrub=true|--commit-delay=100ms"},
		{"run --config F --name other", "run|--config|F|--name|other|" + strings.TrimPrefix(all, "--journal=/var/lib/j.db|")},
		{"replay --config F -b -1 --since 1h", "replay|--config|F|-b|-1|--since|1h|--journal=/var/lib/j.db"},
		{"query circuits --config F", "query|circuits|--config|F|--journal=/var/lib/j.db"},
		{"vacuum --config F", "vacuum|--config|F|--journal=/var/lib/j.db"},
		{"vacuum --config F --journal x.db", "vacuum|--config|F|--journal|x.db"},
	} {
		app := program{file: &config{}}.app()
		args := []string{"torjournal"}
		for _, word := range strings.Fields(tc.in) {
			if word == "F" || word == "--config=F" {
				word = word[:len(word)-1] + path
			}
			args = append(args, word)
		}
		line, err := commandLine(app.Commands, args, &config{})
		if got := strings.ReplaceAll(strings.Join(line, "|"), path, "F"); got != "torjournal|"+tc.want || err != nil {
			t.Errorf("%s\n became %s\n    want torjournal|%s\n     err %v", tc.in, got, tc.want, err)
		}
	}
}

// What is wrong in a file is told with its line.
func TestConfigErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flags")
	for text, want := range map[string]string{
		"\n\nmaxsize 3":                          `:3: "maxsize" is no flag that can stand here: ` + "`torjournal run -h`",
		"config other":                           `:1: "config" is no flag that can stand here`,
		"max-size":                               ":1: max-size has no value: write `max-size VALUE`",
		"# a\nmax-size lots":                     `:2: --max-size: "lots" is no size`,
		"max-size 1KiB":                          `:1: --max-size 1KiB: a journal needs at least 1.00 MiB`,
		"max-age yesterday":                      `:1: --max-age: "yesterday"`,
		"max-age 3d\nmax-age 4d":                 ":2: max-age stands in line 1 already",
		"commit-delay soon":                      `:1: commit-delay cannot be "soon"`,
		"scrub perhaps":                          `:1: scrub cannot be "perhaps"`,
		"commit-delay 2m":                        ":1: --commit-delay 2m0s: from 0 to 1m0s",
		"record nothing":                         ":1: --record: ",
		"control 9151\ncontrol 127.0.0.1:x":      ":2: --control",
		"\tattach 127.0.0.1:1\n\nattach nowhere": ":3: --attach: ",
		"log-format xml":                         `:1: --log-format "xml"`,
		"scrub-key k":                            ":1: --scrub-key k says",
		strings.Repeat("# much\n", 200_000):      " has more than 1 MiB",
	} {
		writeConfig(t, path, text)
		_, stderr := torjournal(t, 2, "run", "--config", path, "--journal", filepath.Join(t.TempDir(), "j.db"))
		if !strings.Contains(stderr, path+want) {
			t.Errorf("%q: it says %q, want %q", text, stderr, want)
		}
	}
	if _, stderr := torjournal(t, 2, "run", "--config", path+".none"); !strings.Contains(stderr, "--config: open "+path+".none") {
		t.Errorf("without the file it says %q", stderr)
	}
	writeConfig(t, path, "")
	if _, stderr := torjournal(t, 2, "run", "--config", path, "--max-size", "lots"); strings.Contains(stderr, path) {
		t.Errorf("of the command line it says %q", stderr)
	}
}

// A recorder that is sent SIGHUP reads its limits again: a lowered one holds
// after the vacuum that it starts, a bad file changes nothing, and what the
// command line says goes on to hold.
func TestHangupRereadsLimits(t *testing.T) {
	path := journalIn(t)
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if err := j.Append(t.Context(), journaltest.Big(1000*i, 1000)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if size() < 4<<20 {
		t.Fatalf("only %d bytes", size())
	}
	conf := filepath.Join(filepath.Dir(path), "flags")
	writeConfig(t, conf, "max-size 64MiB\nmax-age 40d\nattach 127.0.0.1:1\n")
	r := startRecorder(t, path, "--config", conf, "--log-format", "text")
	hangup := func(text string) {
		t.Helper()
		writeConfig(t, conf, text)
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	limits := func(size int64, age time.Duration) func() bool {
		return func() bool {
			st := r.status().Journal
			return st.MaxSize == size && st.MaxAge == age.Seconds()
		}
	}
	logged := func(text string) func() bool {
		return func() bool { return strings.Contains(r.log.String(), text) }
	}
	day := 24 * time.Hour
	r.await("the file's limits hold", limits(64<<20, 40*day))
	hangup("max-size 2MiB\nmax-age 40d\nattach 127.0.0.1:2\nsource-name x\n")
	r.await("the lower limit holds", limits(2<<20, 40*day))
	r.await("the file is as small", func() bool { return size() <= 2<<20 })
	r.await("it is logged", logged("the limits have been changed max_size=2097152 max_size_before=67108864"))
	r.await("the vacuum is logged", logged("the journal was vacuumed"))
	r.await("what waits for the next start is logged", logged(`flags="[attach source-name]"`))
	for n, bad := range []string{"max-size 2MiB\nmax-age soon\n", "max-size 4MiB\nno-such-flag 1\n", "max-size 1KiB\n"} {
		hangup(bad)
		want := conf + ":" + []string{"2", "2", "1"}[n]
		r.await("a bad file is logged", logged(want))
		if !limits(2<<20, 40*day)() {
			t.Errorf("%q has changed the limits: %+v", bad, r.status().Journal)
		}
	}
	hangup("max-age none\n")
	r.await("what the file does not say is as usual", limits(1<<30, 0))
	hangup("max-age none\n")
	r.await("nothing new is logged", logged("the limits have been read again: they are as they were"))
	r.stop()

	writeConfig(t, conf, "max-size 64MiB\nmax-age 40d\n")
	r = startRecorder(t, path, "--config", conf, "--attach", "127.0.0.1:1", "--max-size", "32MiB")
	r.await("the command line's size holds", limits(32<<20, 40*day))
	hangup("max-size 16MiB\nmax-age 20d\n")
	r.await("the command line's size goes on to hold", limits(32<<20, 20*day))
	r.stop()

	r = startRecorder(t, path, "--attach", "127.0.0.1:1")
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.await("it says that there is no file", logged("give them in a file, --config FILE"))
	r.stop()
}

func TestDiffering(t *testing.T) {
	lines := func(words ...string) (out []configLine) {
		for i := 0; i < len(words); i += 2 {
			out = append(out, configLine{name: words[i], value: words[i+1]})
		}
		return out
	}
	a := lines("attach", "x", "attach", "y", "scrub", "true", "max-age", "3d")
	if got := differing(a, a); got != nil {
		t.Errorf("of the same: %q", got)
	}
	if got := differing(a, lines("max-age", "4d", "attach", "y", "name", "n")); !slices.Equal(got, []string{"attach", "max-age", "name", "scrub"}) {
		t.Errorf("%q", got)
	}
}
