package main

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"torjournal/tor/testnet"
)

// debianPython is the interpreter that Debian's python3-stem is made for.
const debianPython = "/usr/bin/python3"

// python3-stem takes torjournal for tor: cookie, listeners, GETINFO, SETCONF,
// SIGNAL, and a circuit of its own.
func TestStemTakesTorjournalForTor(t *testing.T) {
	needReal(t)
	tornet := network(t, testnet.Options{})
	journal, addr := journalIn(t), freePort(t)
	r := startRecorder(t, journal, "--attach", tornet.Client(0).ControlAddr, "--control", addr)
	r.attached()

	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, debianPython, "testdata/stem_session.py", port).CombinedOutput()
	if err != nil {
		t.Fatalf("stem: %v\n%s", err, out)
	}
	id := strings.Fields(string(out)[strings.Index(string(out), "circuit"):])[1]
	told, _ := torjournal(t, 0, "query", "circuits", "--journal", journal)
	if !strings.Contains(told, id) {
		t.Errorf("stem built circuit %s, query circuits does not tell of it:\n%s", id, told)
	}
}
