package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"torjournal/tor/testnet"
)

// readmeCommands returns the command lines in the README's ```sh blocks,
// without their comments.
func readmeCommands(t *testing.T) (cmds []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside:
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" {
				cmds = append(cmds, line)
			}
		}
	}
	return cmds
}

// shellWords splits a line at blanks outside of single quotes.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		switch {
		case i%2 == 1:
			words = append(words, part)
		default:
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// Every command of the README does what it says beside it: the recorder with
// the README's own flags, on a real tor, and every reader beside it.
func TestReadmeCommands(t *testing.T) {
	needReal(t)
	cmds := readmeCommands(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal := journalIn(t)
	t.Setenv("TORJOURNAL", journal)
	t.Chdir(t.TempDir()) // where what the commands write is not found by the next run
	runs, reads := 0, 0
	var running *recorder
	for _, line := range cmds {
		args := strings.Fields(line)
		if args[0] != "torjournal" {
			t.Fatalf("README: %q is no command of torjournal", line)
		}
		if args[1] != "run" {
			continue
		}
		runs++
		line = strings.ReplaceAll(line, "127.0.0.1:9051", tor.ControlAddr)
		line = strings.ReplaceAll(line, "127.0.0.1:9151", freePort(t))
		running = startRecorder(t, journal, strings.Fields(line)[2:]...)
		running.attached()
		subscribe(t, tor.ControlAddr, ownCookie, "SIGNAL").must(t, "SIGNAL DUMP")
	}
	for _, line := range cmds {
		args := shellWords(line)
		if args[1] == "run" {
			continue
		}
		reads++
		if args[1] == "salvage" { // the one that needs the file for itself
			running.stop()
		}
		line = strings.Replace(line, "journal.db saved.db", journal+" "+journal+".saved", 1)
		line = strings.Replace(line, "--cursor-file seen", "--cursor-file "+journal+".seen", 1)
		args = shellWords(line)
		if out, _ := torjournal(t, 0, args[1:]...); out == "" && args[1] != "query" && !strings.Contains(line, "-e") {
			t.Errorf("README: %s: prints nothing", line)
		}
	}
	if runs != 1 || reads < 9 {
		t.Errorf("README: %d run commands and %d others found", runs, reads)
	}
}
