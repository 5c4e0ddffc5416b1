package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"torjournal/query"
	"torjournal/tor/testnet"
)

// What controllers do to a real tor is in the journal, with its answers and
// without its secrets; what tor did not live to answer too.
func TestCommandsOfControllers(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	sock := journal + ".control"
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr, "--control", "unix:"+sock)
	r.attached()

	const (
		clientKey = "uGDsHWVUMHUKDAp5Bhl7Ea4gVEcPGgnNKUzpvm50dXM="
		onion     = "myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd"
		hash      = "16:0092D97983853A3F60BB96FD4BA19C180EAF192AAE17165C80A725340A"
	)
	w, u := dialWire(t, addr, journal), dialWire(t, "unix:"+sock, journal)
	u.ask("SETEVENTS BW CIRC")
	w.write("SETCONF HashedControlPassword=" + hash + " MaxCircuitDirtiness=\"11 minutes\"\r\n")
	w.line()
	w.ask("GETINFO version")
	u.ask("SIGNAL NEWNYM")
	u.ask("SETCONF NoSuchOption=hunter2")
	w.write("ADD_ONION NEW:ED25519-V3 Port=80,127.0.0.1:8080\r\n")
	var key string
	for line := w.line(); !strings.HasPrefix(line, "250 "); line = w.line() {
		key += strings.TrimPrefix(line, "250-PrivateKey=")
	}
	_, key, _ = strings.Cut(key, "ED25519-V3:")
	if len(key) < 80 {
		t.Fatalf("tor's key is %q", key)
	}
	w.ask("ADD_ONION ED25519-V3:" + key + " Flags=Detach Port=81")
	w.ask("ONION_CLIENT_AUTH_ADD " + onion + " x25519:" + clientKey + " ClientName=alice")
	w.ask(`JOURNAL MARK "trial 7 begins"`)
	if got := w.ask("+LOADCONF\r\nHashedControlPassword " + hash + "\r\nContactInfo alice\r\n."); !strings.HasPrefix(got, "5") && !strings.HasPrefix(got, "2") {
		t.Fatal(got)
	}
	w.ask("SIGNAL HALT")
	r.await("tor is lost", func() bool { return !r.status().Source.Attached })
	r.stop()

	text, _ := torjournal(t, 0, "query", "commands", "--journal", journal)
	varying := regexp.MustCompile(`(?m)^\S+ \S+  |127\.0\.0\.1:\d+ +| +\d+\.\dms|pid \d+ uid \d+`)
	var got []string
	for line := range strings.Lines(text) {
		got = append(got, strings.Join(strings.Fields(varying.ReplaceAllString(line, "")), " "))
	}
	want := `
		TIME CONN PEER COMMAND ANSWER TOOK ARGUMENTS
		1 SETCONF 250 HashedControlPassword=[scrubbed] MaxCircuitDirtiness=11minutes
		2 unix SIGNAL 250 NEWNYM
		2 unix SETCONF 552 [scrubbed]
		1 ADD_ONION 250 NEW:ED25519-V3 Port=80,127.0.0.1:8080
		1 ADD_ONION 550 ED25519-V3:[scrubbed] Flags=Detach Port=81
		1 ONION_CLIENT_AUTH_ADD 250 ` + onion + ` x25519:[scrubbed] ClientName=[scrubbed]
		1 LOADCONF 553 HashedControlPassword=[scrubbed] ContactInfo=[scrubbed]
		1 SIGNAL 250 HALT`
	var wanted []string
	for line := range strings.Lines(strings.TrimSpace(want)) {
		wanted = append(wanted, strings.TrimSpace(line))
	}
	if w, g := strings.Join(wanted, "\n"), strings.Join(got, "\n"); w != g {
		t.Errorf("query commands prints\n%s\nwant\n%s", g, w)
	}

	rows, _ := torjournal(t, 0, "query", "commands", "--counts", "--json", "--journal", journal)
	counted := map[string]int{}
	for line := range strings.Lines(rows) {
		var row query.Command
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		for verb, n := range row.Verbs {
			counted[verb] += n
		}
		if row.Count == nil && (row.MS == nil || *row.MS <= 0) {
			t.Errorf("how long it took is not known: %s", line)
		}
		if row.Peer == "unix" && (row.PID == nil || *row.PID != int64(os.Getpid()) || *row.UID != int64(os.Getuid())) {
			t.Errorf("whose it is is not known: %s", line)
		}
	}
	if fmt.Sprint(counted) != "map[GETINFO:1 JOURNAL:1 SETEVENTS:1]" {
		t.Errorf("counted %v", counted)
	}

	events, _ := torjournal(t, 0, "replay", "--journal", journal, "-e", "JOURNAL", "-o", "wire")
	if !strings.Contains(events, `TEXT="trial 7 begins"`) {
		t.Error("the mark is not in the history")
	}
	all, _ := torjournal(t, 0, "replay", "--journal", journal, "-o", "wire")
	file, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{key, clientKey, "hunter2"} {
		if strings.Contains(all, secret) || bytes.Contains(file, []byte(secret)) {
			t.Errorf("the journal holds the secret %.20s…", secret)
		}
	}
	if strings.Contains(events, hash) {
		t.Error("an event of ours holds the hashed password")
	}
}

// Tor says nothing to a +HSPOST without HSADDRESS, and goes on.
func TestCommandThatTorSaysNothingTo(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr).attached()
	w := dialWire(t, addr, journal)
	server := "$" + strings.Repeat("A", 40)
	w.write("+HSPOST\r\nfoo\r\n.\r\n+HSPOST SERVER=" + server + "\r\nfoo\r\n.\r\nGETINFO config-file\r\n")
	for _, want := range []string{`552 Server "` + server + `" not found`, "250-config-file=", "250 OK"} {
		if got := w.line(); !strings.HasPrefix(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
