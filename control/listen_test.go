package control

import (
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	g := givableGroup(t)
	ln, err := Listen(t.Context(), "unix:"+path, g.Name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != groupSocketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if gid := info.Sys().(*syscall.Stat_t).Gid; strconv.FormatUint(uint64(gid), 10) != g.Gid {
		t.Errorf("it belongs to group %d, not to %s (%s)", gid, g.Gid, g.Name)
	}
	if _, err := Listen(t.Context(), "unix:"+path, ""); err == nil || !strings.Contains(err.Error(), "answers on") {
		t.Errorf("a second listener: %v", err)
	}

	// A server that was killed leaves its socket file behind.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	ln, err = Listen(t.Context(), "unix:"+path, "")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != ownSocketMode {
		t.Errorf("without a group: mode %v, %v", info.Mode(), err)
	}
	ln.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket file is still there")
	}
}

// givableGroup is a group that this process may give a file to; not its own, if
// there is another one.
func givableGroup(t *testing.T) *user.Group {
	t.Helper()
	ids, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		ids = append(ids, 1)
	}
	own, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if g, err := user.LookupGroupId(strconv.Itoa(id)); err == nil && g.Gid != own.Gid {
			return g
		}
	}
	return own
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	tests := []struct{ address, group, want string }{
		{busy.Addr().String(), "", "choose another"},
		{"unix:" + file, "", "no socket"},
		{"unix:" + filepath.Join(dir, "none", "x"), "", "no folder " + filepath.Join(dir, "none") + ": make it"},
		{"unix:" + filepath.Join(dir, strings.Repeat("x", 150)), "", "choose a shorter one"},
		{"192.0.2.1:0", "", "choose one of its own"},
		{"unix:" + filepath.Join(dir, "x"), "no-such-group", "no-such-group"},
		{"127.0.0.1:0", "daemon", "Unix socket"},
		{"localhost", "", "HOST:PORT"},
		{"", "", "HOST:PORT"},
		{"unix:", "", "unix:/path"},
		{"127.0.0.1:99999", "", "99999"},
	}
	for _, tt := range tests {
		ln, err := Listen(t.Context(), tt.address, tt.group)
		if err == nil {
			ln.Close()
			t.Errorf("%s: opened", tt.address)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.address, err, tt.want)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file was touched")
	}
}

// A port alone is a port of this machine alone, however it is written.
func TestListenPort(t *testing.T) {
	for _, port := range []string{"0", ":0"} {
		ln, err := Listen(t.Context(), port, "")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if a := ln.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port == 0 {
			t.Errorf("%s: listens on %v", port, a)
		}
	}
}

// TestUnixConversation: a Unix socket is served as TCP is.
func TestUnixConversation(t *testing.T) {
	ln, err := Listen(t.Context(), "unix:"+filepath.Join(t.TempDir(), "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, ln, Access{NoAuth: true})
	p := r.login()
	p.send("GETINFO version\r\nQUIT\r\n")
	p.expect("250-version=0.4.9.11", "250 OK", "250 closing connection")
	p.closed()
}
