package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// serviceManager is systemd as far as a recorder deals with it: it is told, and
// keeps descriptors.
type serviceManager struct {
	t    *testing.T
	sock *net.UnixConn
	path string
	told chan string
	kept chan keptFile // those that it has been given
}

type keptFile struct {
	name string
	file *os.File
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	m := &serviceManager{t: t, path: filepath.Join(t.TempDir(), "notify"), told: make(chan string, 100), kept: make(chan keptFile, 100)}
	var err error
	if m.sock, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { m.sock.Close(); <-done })
	go func() {
		defer close(done)
		text, rights := make([]byte, 4096), make([]byte, 4096)
		for {
			n, r, _, _, err := m.sock.ReadMsgUnix(text, rights)
			if err != nil {
				return
			}
			m.take(string(text[:n]), rights[:r])
		}
	}()
	return m
}

func (m *serviceManager) take(state string, rights []byte) {
	m.told <- state
	name, ok := strings.CutPrefix(state, "FDSTORE=1\nFDNAME=")
	if !ok {
		return
	}
	msgs, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(msgs) != 1 {
		m.t.Errorf("%s: %d messages, %v", state, len(msgs), err)
		return
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		m.t.Errorf("%s: %v, %v", state, fds, err)
		return
	}
	syscall.CloseOnExec(fds[0])
	m.kept <- keptFile{name, os.NewFile(uintptr(fds[0]), name)}
}

// await waits until it is told something that begins so.
func (m *serviceManager) await(prefix string) string {
	m.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case got := <-m.told:
			if strings.HasPrefix(got, prefix) {
				return got
			}
		case <-deadline:
			m.t.Fatalf("the manager was not told %q", prefix)
		}
	}
}

// start starts a recorder with what is kept.
func (m *serviceManager) start(journal string, kept []keptFile, args ...string) *recorder {
	m.t.Helper()
	r := m.launch(journal, kept, nil, args...)
	m.await("READY=1")
	r.answers()
	r.attached()
	return r
}

// launch starts it, with env in its environment, and waits for nothing.
func (m *serviceManager) launch(journal string, kept []keptFile, env []string, args ...string) *recorder {
	m.t.Helper()
	names := make([]string, len(kept))
	line := `LISTEN_PID=$$ WATCHDOG_PID=${WATCHDOG_PID-$$} exec torjournal "$@"`
	cmd := exec.Command("sh", append([]string{"-c", line, "sh", "run", "--journal", journal}, args...)...)
	for i, k := range kept {
		names[i] = k.name
		cmd.ExtraFiles = append(cmd.ExtraFiles, k.file)
	}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path, fmt.Sprintf("LISTEN_FDS=%d", len(kept)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.Env = append(cmd.Env, env...)
	return launchCommand(m.t, journal, cmd)
}

// With a service manager that keeps descriptors a restart of the recorder ends
// neither the onion service of a controller nor tor, which another one owns;
// when the manager closes them too, both end as they should.
func TestConnectionsOutliveARestart(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	args := []string{"--attach", tor.ControlAddr, "--control", addr}
	m := newServiceManager(t)
	r := m.start(journal, nil, args...)
	maker, owner, other := dialWire(t, addr, journal), dialWire(t, addr, journal), dialWire(t, addr, journal)
	maker.write("ADD_ONION NEW:ED25519-V3 Port=80\r\n")
	id, _ := strings.CutPrefix(maker.line(), "250-ServiceID=")
	key, _ := strings.CutPrefix(maker.line(), "250-PrivateKey=")
	if got := maker.line(); got != "250 OK" || len(id) != 56 {
		t.Fatalf("%q, %q", id, got)
	}
	for w, command := range map[*wire]string{owner: "TAKEOWNERSHIP", other: "GETINFO version"} {
		if got := w.ask(command); got != "250 OK" {
			t.Fatalf("%s: %q", command, got)
		}
	}
	pid := tor.PID()
	r.stop()
	if n := len(m.kept); n != 2 {
		t.Fatalf("the manager has %d descriptors, want that of the maker and that of the owner\n%s", n, r.log)
	}
	kept := []keptFile{<-m.kept, <-m.kept}

	r = m.start(journal, kept, args...)
	again := "ADD_ONION " + key + " Port=80"
	direct := subscribe(t, tor.ControlAddr, controlport.Credentials{}, "")
	ask := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		rep, err := direct.Do(ctx, again)
		if err != nil {
			t.Fatal(err)
		}
		return rep.String()
	}
	if tor.PID() != pid || pid == 0 {
		t.Fatal("tor has ended with the recorder")
	}
	if got := ask(); !strings.HasPrefix(got, "550 Onion address collision") {
		t.Errorf("the onion service has ended: made again it is %q", got)
	}
	st := r.status()
	if len(st.Legacies) != 2 || st.Legacies[0].OwnsTor == st.Legacies[1].OwnsTor {
		t.Fatalf("status: %+v", st.Legacies)
	}
	out, _ := torjournal(t, 0, "status", "--journal", journal)
	if !strings.Contains(out, "onion services "+id+", for a controller of before the restart") || !strings.Contains(out, "tor, for a controller of before the restart") {
		t.Errorf("torjournal status: %s", out)
	}

	// A second restart: the manager still has them, and is not given them again.
	r.stop()
	if n := len(m.kept); n != 0 {
		t.Errorf("the manager was given %d descriptors that it has", n)
	}
	if got := ask(); !strings.HasPrefix(got, "550 ") {
		t.Errorf("between two recorders the service is %q", got)
	}
	for _, k := range kept {
		if strings.Contains(k.name, id) {
			k.file.Close()
		}
	}
	for got := ask(); !strings.HasPrefix(got, "250-ServiceID="+id); got = ask() {
		if !strings.HasPrefix(got, "550 Onion address collision") {
			t.Fatalf("when nobody has the connection any more the service is %q", got)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, k := range kept {
		k.file.Close()
	}
	select {
	case <-tor.Exited():
	case <-time.After(patience):
		t.Error("tor outlives its owner")
	}
}

// When tor closes what is kept, the manager is told to forget it.
func TestTorEndsWhatIsKept(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	args := []string{"--attach", tor.ControlAddr, "--control", addr}
	m := newServiceManager(t)
	r := m.start(journal, nil, args...)
	w := dialWire(t, addr, journal)
	if got := w.ask("TAKEOWNERSHIP"); got != "250 OK" {
		t.Fatal(got)
	}
	r.stop()
	kept := <-m.kept
	defer kept.file.Close()
	r = m.start(journal, []keptFile{kept}, args...)
	r.await("it is held", func() bool { return len(r.status().Legacies) == 1 })
	if err := tor.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := m.await("FDSTOREREMOVE=1"); got != "FDSTOREREMOVE=1\nFDNAME="+kept.name {
		t.Errorf("it is told %q, and has %q", got, kept.name)
	}
	r.await("it is given up", func() bool { return len(r.status().Legacies) == 0 })
}
