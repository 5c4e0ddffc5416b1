package controlport

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// realTor is a tor process without network. It can be ended and started
// again at the same places.
type realTor struct {
	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// startTor starts tor with these options beside the usual ones.
func startTor(t testing.TB, options ...string) *realTor {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real tor")
	}
	dir := shortFolder(t)
	r := &realTor{t: t, dir: dir}
	t.Cleanup(r.kill)
	torrc := filepath.Join(dir, "torrc")
	if err := os.WriteFile(torrc, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.args = append([]string{
		"--defaults-torrc", "/nonexistent", "-f", torrc, "--hush", "DisableNetwork", "1", "SocksPort", "0",
		"DataDirectory", filepath.Join(dir, "data"), "ControlPortWriteToFile", filepath.Join(dir, "port"),
	}, options...)
	r.start()
	return r
}

// shortFolder makes a folder as tor wants it for a control socket: nobody
// else's, and with a path that is short enough.
func shortFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start returns when the control port listens.
func (r *realTor) start() {
	r.t.Helper()
	port := filepath.Join(r.dir, "port")
	_ = os.Remove(port)
	r.cmd = exec.Command("tor", r.args...)
	r.cmd.Stdout, r.cmd.Stderr = r.t.Output(), r.t.Output()
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("this test needs tor: %v", err)
	}
	until(r.t, "tor's control port", func() bool {
		_, err := os.Stat(port)
		return err == nil
	})
}

// kill ends the process at once.
func (r *realTor) kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// port is the address that tor chose.
func (r *realTor) port() Address {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "port"))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if addr, ok := strings.CutPrefix(strings.TrimSpace(line), "PORT="); ok {
			a, err := ParseAddress(addr)
			if err != nil {
				r.t.Fatal(err)
			}
			return a
		}
	}
	r.t.Fatalf("no port in %q", text)
	return Address{}
}

func hashPassword(t testing.TB, password string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a real tor")
	}
	out, err := exec.Command("tor", "--quiet", "--hash-password", password).Output()
	if err != nil {
		t.Fatalf("this test needs tor: %v", err)
	}
	words := strings.Fields(string(out))
	return words[len(words)-1]
}

// Every way to authenticate, over TCP and a Unix socket, and what is said
// where it fails.
func TestRealAuthentication(t *testing.T) {
	const odd = "a \"b\\c\td é\x01'x"
	for _, c := range []struct {
		name    string
		options []string
		good    Credentials
		bad     Credentials
		want    string // of the error with bad
	}{
		{"cookie", []string{"CookieAuthentication", "1"}, Credentials{},
			Credentials{CookieFile: writeCookie(t, someCookie)}, "another tor's"},
		{"password", []string{"HashedControlPassword", hashPassword(t, odd)}, Credentials{Password: odd, HasPassword: true},
			Credentials{Password: "b", HasPassword: true}, "the password is wrong"},
		{"no password", []string{"HashedControlPassword", hashPassword(t, "")}, Credentials{HasPassword: true},
			Credentials{}, "wants a password"},
		{"both, by password", []string{"CookieAuthentication", "1", "HashedControlPassword", hashPassword(t, "p")},
			Credentials{Password: "p", HasPassword: true}, Credentials{CookieFile: "/nonexistent"}, "or give tor's password"},
		{"both, by cookie", []string{"CookieAuthentication", "1", "HashedControlPassword", hashPassword(t, "p")},
			Credentials{}, Credentials{CookieFile: "/dev/null"}, "is no cookie"},
		{"nothing", nil, Credentials{}, Credentials{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sock := Address{"unix", filepath.Join(shortFolder(t), "s")}
			tor := startTor(t, append(c.options, "ControlPort", "auto", "ControlSocket", sock.Addr)...)
			for _, a := range []Address{tor.port(), sock} {
				ctx := testContext(t)
				good, err := Dial(ctx, a, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer good.Close()
				if err := good.Authenticate(ctx, c.good); err != nil {
					t.Errorf("%v: %v", a, err)
				} else if _, err := good.must(ctx, "GETINFO version"); err != nil {
					t.Errorf("%v: %v", a, err)
				}
				if c.want == "" {
					continue
				}
				bad, err := Dial(ctx, a, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer bad.Close()
				if err := bad.Authenticate(ctx, c.bad); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v: error %v, want …%s…", a, err, c.want)
				}
			}
		})
	}
}

// What a real tor sends arrives byte for byte, and its replies stand where
// they do on the wire.
func TestRealEvents(t *testing.T) {
	tor := startTor(t, "ControlPort", "auto")
	var got collector
	ctx := testContext(t)
	c, err := Dial(ctx, tor.port(), got.take)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Authenticate(ctx, Credentials{}); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{
		"SETEVENTS CONF_CHANGED SIGNAL",
		`SETCONF ContactInfo="a \"b\"" MaxCircuitDirtiness=777`,
		"SIGNAL DUMP",
		"RESETCONF ContactInfo",
	} {
		if _, err := c.must(ctx, cmd); err != nil {
			t.Fatal(err)
		}
	}
	want := "650-CONF_CHANGED\r\n650-ContactInfo=a \"b\"\r\n650-MaxCircuitDirtiness=777\r\n650 OK\r\n" +
		"650 SIGNAL DUMP\r\n" +
		"650-CONF_CHANGED\r\n650-ContactInfo\r\n650 OK\r\n"
	until(t, "three events", func() bool { return len(got.all()) == 3 })
	if s := strings.Join(got.all(), ""); s != want {
		t.Errorf("got\n%q, want\n%q", s, want)
	}
	var w bytes.Buffer
	if err := c.Forward(ctx, []byte("GETINFO config/names version\r\n"), &w); err != nil {
		t.Fatal(err)
	}
	if s := w.String(); !strings.HasPrefix(s, "250+config/names=\r\n") || !strings.HasSuffix(s, "\r\n.\r\n250-version="+tor.version(c)+"\r\n250 OK\r\n") {
		t.Errorf("forwarded %.60q … %q", s, s[max(0, len(s)-60):])
	}
	w.Reset()
	if err := c.Forward(ctx, []byte("+LOADCONF\r\nDisableNetwork 1\r\n.\r\n"), &w); err != nil || !strings.HasPrefix(w.String(), "250") && !strings.HasPrefix(w.String(), "55") {
		t.Errorf("LOADCONF with a data block: %v %q", err, w.String())
	}
	if err := c.Forward(ctx, []byte("QUIT\r\n"), &w); err != nil || !strings.HasSuffix(w.String(), "250 closing connection\r\n") {
		t.Errorf("QUIT: %v %q", err, w.String())
	}
	<-c.Done()
}

func (r *realTor) version(c *Conn) string {
	r.t.Helper()
	rep, err := c.must(context.Background(), "GETINFO version")
	if err != nil {
		r.t.Fatal(err)
	}
	return first(rep.Values(), "version")
}

// Tor is killed and started again: the loss, the return and the new life are
// told, and controllers of the old one learn that it has ended.
func TestRealLossAndReturn(t *testing.T) {
	socket := Address{"unix", filepath.Join(shortFolder(t), "control")}
	tor := startTor(t, "ControlSocket", socket.Addr, "ControlPort", "auto", "CookieAuthentication", "1")
	sink := &memorySink{}
	s := newSource(t, SourceOptions{Addresses: []Address{socket}, Sink: sink})
	runSource(t, s)
	until(t, "the snapshot", func() bool { return sink.find("650+JOURNAL SNAPSHOT") != "" })
	first := s.Status()
	if !first.Attached || first.Source.PID != tor.cmd.Process.Pid || first.Source.Name != socket.String() ||
		time.Since(first.Source.Started) > time.Minute || first.Source.Version == "" {
		t.Errorf("status %+v", first)
	}
	lost := s.Lost()
	c, err := s.Open(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.must(testContext(t), "SIGNAL DUMP"); err != nil {
		t.Fatal(err)
	}
	until(t, "the signal", func() bool { return sink.find("650 SIGNAL DUMP\r\n") != "" })

	tor.kill()
	await(t, "the loss", lost)
	await(t, "the end of the controller's connection", c.Done())
	if ev := sink.find("650 JOURNAL SOURCE_LOST"); !strings.Contains(ev, "REASON=CLOSED") {
		t.Errorf("Lost before SOURCE_LOST, or the wrong reason: %q", ev)
	}
	if _, err := s.Open(testContext(t)); err == nil {
		t.Error("Open succeeds without a tor")
	}
	await(t, "Lost while there is none", s.Lost())

	tor.start()
	until(t, "SOURCE_RESTORED", func() bool { return sink.find("650 JOURNAL SOURCE_RESTORED SESSION=2 CONTINUED=0") != "" })
	until(t, "the second snapshot", func() bool { return sink.count("650+JOURNAL SNAPSHOT") == 2 })
	if st := s.Status(); st.Source.PID == first.Source.PID || !st.Attached || st.LastError != "" {
		t.Errorf("status %+v", st)
	}
	if sink.count("650 JOURNAL START") != 1 {
		t.Errorf("START: %d times", sink.count("650 JOURNAL START"))
	}
}

func await(t testing.TB, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}
