package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// What controllers that people use do on tor and on torjournal: the same. One
// private network serves them all, one after the other.
func TestControllersTakeTorjournalForTor(t *testing.T) {
	needReal(t)
	s := newStage(t)
	t.Run("nyx", s.nyx) // first: tor has few circuits yet
	t.Run("conversations", s.conversations)
	t.Run("stem", s.stem)
	t.Run("txtorcon", s.txtorcon)
}

// stage is a private network whose first client is recorded, with every way
// to reach that client: tor's own ports and torjournal's.
type stage struct {
	net      *testnet.Network
	client   *testnet.Node
	journal  string
	recorder *recorder

	// Control ports: of tor, and in front of it.
	tor, ours         string // with a cookie
	ourPassword       string // with the password fooPassword, or tor's cookie; tor has both on one port
	torSock, ourSocks string // paths of Unix sockets
}

// fooHash is the password "foo", hashed by tor.
const fooHash = "16:0092D97983853A3F60BB96FD4BA19C180EAF192AAE17165C80A725340A"

func newStage(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir() // tor wants its sockets in folders of its user alone
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &stage{
		net:     network(t, testnet.Options{Exits: 5, Middles: 3, Clients: 2, ClientTorrc: []string{"HashedControlPassword " + fooHash}}),
		journal: journalIn(t), ours: freePort(t), ourPassword: freePort(t),
		torSock: filepath.Join(dir, "tor"), ourSocks: filepath.Join(dir, "torjournal"),
	}
	s.client = s.net.Client(0)
	s.tor = s.client.ControlAddr
	s.openSocket(t)
	s.recorder = startRecorder(t, s.journal, "--attach", s.tor, "--control", s.ours,
		"--control", s.ourPassword+",cookie-file="+s.client.CookieFile+",hashed-password="+fooHash,
		"--control", "unix:"+s.ourSocks)
	s.recorder.attached()
	return s
}

// openSocket has tor listen on its Unix socket too: no line of the network's
// torrc can, since all clients have the same.
func (s *stage) openSocket(t *testing.T) {
	t.Helper()
	connect(t, s.tor, controlport.Credentials{}).must(t, "SETCONF ControlSocket="+s.torSock)
}

// debianPython is the interpreter that Debian's python3-stem and
// python3-txtorcon are made for.
const debianPython = "/usr/bin/python3"

// python3-stem: the ways in, listeners for everything, every GETINFO, a
// circuit and a stream of its own, an onion service and a page fetched from it.
func (s *stage) stem(t *testing.T) {
	web := port(t, strings.TrimPrefix(s.net.URL("127.0.0.1", ""), "http://"))
	run := func(control, password, socket string) (stdout, stderr string) {
		return python(t, "testdata/stem_session.py", port(t, control), port(t, password), "foo", socket,
			port(t, s.client.SocksAddr), port(t, s.net.Client(1).SocksAddr), web)
	}
	atTor, _ := run(s.tor, s.tor, s.torSock)
	atUs, stderr := run(s.ours, s.ourPassword, s.ourSocks)
	sameLines(t, "stem", atTor, atUs)

	id := strings.Fields(stderr[strings.Index(stderr, "built circuit ")+len("built circuit "):])[0]
	told, _ := torjournal(t, 0, "query", "circuits", "--journal", s.journal)
	if !strings.Contains(told, id) {
		t.Errorf("stem built circuit %s, query circuits does not tell of it:\n%s", id, told)
	}
}

// python3-txtorcon: create_state(), a model of all circuits and streams that
// events keep up, and a circuit and a stream followed in it.
func (s *stage) txtorcon(t *testing.T) {
	web := port(t, strings.TrimPrefix(s.net.URL("127.0.0.1", ""), "http://"))
	atTor, _ := python(t, "testdata/txtorcon_session.py", port(t, s.tor), port(t, s.client.SocksAddr), web)
	atUs, _ := python(t, "testdata/txtorcon_session.py", port(t, s.ours), port(t, s.client.SocksAddr), web)
	sameLines(t, "txtorcon", atTor, atUs)
}

// python runs a script to its end.
func python(t *testing.T, script string, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, debianPython, append([]string{script}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v (is what `make tools` installs there?)\n%s%s", script, strings.Join(args, " "), err, out.String(), errs.String())
	}
	t.Logf("%s: %.1f s", script, time.Since(began).Seconds())
	return out.String(), errs.String()
}

// sameLines fails the test where a client saw something else on torjournal.
func sameLines(t *testing.T, client, atTor, atUs string) {
	t.Helper()
	want, got := strings.Split(atTor, "\n"), strings.Split(atUs, "\n")
	for i := range max(len(want), len(got)) {
		w, g := "(nothing)", "(nothing)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			t.Fatalf("%s, line %d of what it saw:\non tor        %s\non torjournal %s", client, i+1, w, g)
		}
	}
}

// port is the port of a host:port address.
func port(t *testing.T, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
