package control

import (
	"bytes"
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fooHash is the password "foo", hashed by tor 0.4.9.11.
const fooHash = "16:0092D97983853A3F60BB96FD4BA19C180EAF192AAE17165C80A725340A"

// TestAuthenticate goes through ways in and secrets; texts are tor's.
func TestAuthenticate(t *testing.T) {
	cookie := []byte("0123456789abcdef0123456789abcdef")
	file := filepath.Join(t.TempDir(), "cookie")
	if err := os.WriteFile(file, cookie, 0o600); err != nil {
		t.Fatal(err)
	}
	accesses := map[string]Access{
		"cookie":   {CookieFile: file},
		"password": {HashedPasswords: []string{fooHash}},
		"both":     {CookieFile: file, HashedPasswords: []string{"16:D96A9D5B0B4A0E5F60A5EEF84E1DF2EC58D4B4D6E2DE0A2B27C8BEA4B5", fooHash}},
		"none":     {NoAuth: true},
	}
	const (
		ok       = "250 OK"
		noHex    = "551 Invalid hexadecimal encoding.  Maybe you tried a plain text password?  If so, the standard requires that you put it in double quotes."
		tooMany  = "512 Too many arguments to AUTHENTICATE."
		keywords = "512 AUTHENTICATE does not accept keyword arguments."
	)
	zeros := strings.Repeat("00", cookieLen)
	tests := []struct{ args, cookie, password, both, none string }{
		{"", string(deniedCookieSize), string(deniedUnquoted), string(deniedBoth), ok},
		{" 00", string(deniedCookieSize), string(deniedUnquoted), string(deniedBoth), ok},
		{" " + zeros, string(deniedCookie), string(deniedUnquoted), string(deniedBoth), ok},
		{" " + hex.EncodeToString(cookie), ok, string(deniedUnquoted), ok, ok},
		{" " + strings.ToUpper(hex.EncodeToString(cookie)), ok, string(deniedUnquoted), ok, ok},
		{` "foo"`, string(deniedCookieSize), ok, ok, ok},
		{` "bar"`, string(deniedCookieSize), string(deniedPassword), string(deniedBoth), ok},
		{" 666f6f", string(deniedCookieSize), ok, ok, ok},
		{" zz", noHex, noHex, noHex, noHex},
		{" 0", noHex, noHex, noHex, noHex},
		{" foo=bar", keywords, keywords, keywords, keywords},
		{` "a"b`, tooMany, tooMany, tooMany, tooMany},
		{" 00 11 22", tooMany, tooMany, tooMany, tooMany},
	}
	for name, a := range accesses {
		r := newRig(t, a)
		for _, tt := range tests {
			want := map[string]string{"cookie": tt.cookie, "password": tt.password, "both": tt.both, "none": tt.none}[name]
			if !strings.HasPrefix(want, "2") && !strings.HasPrefix(want, "5") {
				want = "515 " + want
			}
			p := r.dial()
			p.send("AUTHENTICATE" + tt.args + "\r\n")
			if got := p.line(); got != want+"\r\n" {
				t.Errorf("%s: AUTHENTICATE%s\n got %q\nwant %q", name, tt.args, got, want)
			}
			if want != ok {
				p.closed()
			}
		}
	}
}

// challenge does the first half of SAFECOOKIE and returns the right answer.
func (p *peer) challenge(cookie, nonce []byte) string {
	p.t.Helper()
	p.send("AUTHCHALLENGE SAFECOOKIE " + hex.EncodeToString(nonce) + "\r\n")
	words := strings.Fields(p.line())
	if len(words) != 4 || words[0] != "250" {
		p.t.Fatalf("AUTHCHALLENGE: %q", words)
	}
	serverNonce, err := hex.DecodeString(strings.TrimPrefix(words[3], "SERVERNONCE="))
	if err != nil || len(serverNonce) != 32 {
		p.t.Fatalf("server nonce %q", words[3])
	}
	hash, err := hex.DecodeString(strings.TrimPrefix(words[2], "SERVERHASH="))
	if err != nil || !bytes.Equal(hash, safeHash(safeServerKey, cookie, nonce, serverNonce)) {
		p.t.Fatalf("server hash %q", words[2])
	}
	return hex.EncodeToString(safeHash(safeClientKey, cookie, nonce, serverNonce))
}

func TestSafeCookieWithRereadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cookie")
	r := newRig(t, Access{CookieFile: file})

	p := r.dial() // not there yet
	p.send("AUTHCHALLENGE SAFECOOKIE 00\r\n")
	p.expect("515 " + string(deniedCookieFault))
	p.closed()

	for _, cookie := range []string{strings.Repeat("a", 32), strings.Repeat("b", 32)} { // tor was restarted
		if err := os.WriteFile(file, []byte(cookie), 0o600); err != nil {
			t.Fatal(err)
		}
		p := r.dial()
		answer := p.challenge([]byte(cookie), []byte("nonce"))
		p.send("AUTHENTICATE " + answer + "\r\nREPLAY\r\n")
		p.expect("250 OK", "551 REPLAY "+noHistory) // it is tor's cookie

		again := r.dial() // the answer is worth nothing to another connection
		again.challenge([]byte(cookie), []byte("nonce"))
		again.send("AUTHENTICATE " + answer + "\r\n")
		again.expect("515 " + string(deniedSafe))
		again.closed()
	}

	for _, early := range []string{"AUTHCHALLENGE SAFECOOKIE 00", "PROTOCOLINFO"} { // neither comes after a challenge
		p := r.dial()
		p.challenge([]byte(strings.Repeat("b", 32)), []byte("nonce"))
		p.send(early + "\r\n")
		p.expect("514 Authentication required.")
		p.closed()
	}

	if err := os.WriteFile(file, make([]byte, 33), 0o600); err != nil {
		t.Fatal(err)
	}
	p = r.dial()
	p.send("AUTHENTICATE " + strings.Repeat("00", 32) + "\r\n")
	p.expect("515 " + string(deniedCookieFault))
	p.closed()
}

func TestOwnCookieGivesHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(file, []byte("of an earlier run"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Access{OwnCookie: file})
	p := r.dial()
	p.send("PROTOCOLINFO 1\r\n") // the server runs: the cookie is written
	for range 4 {
		p.line()
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 || info.Size() != cookieLen {
		t.Fatalf("own cookie: %v, %v", info, err)
	}
	cookie, _ := os.ReadFile(file)
	p.send("AUTHENTICATE " + p.challenge(cookie, []byte("n")) + "\r\nGETINFO journal/size\r\n")
	p.expect("250 OK", "250-journal/size=4096", "250 OK")
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAccessRules(t *testing.T) {
	loop, loop6, world, all, unix := "127.0.0.1:9151", "[::1]:9151", "192.0.2.1:9151", "0.0.0.0:9151", "unix:/run/x"
	tests := []struct {
		name string
		addr string
		a    Access
		want string // part of the error; "": methods instead
		meth string
	}{
		{"own", loop, Access{OwnCookie: "c"}, "", "COOKIE,SAFECOOKIE"},
		{"own elsewhere", world, Access{OwnCookie: "c"}, "", "COOKIE,SAFECOOKIE"},
		{"password switches the own cookie off", loop, Access{OwnCookie: "c", HashedPasswords: []string{fooHash}}, "", "HASHEDPASSWORD"},
		{"both", unix, Access{OwnCookie: "c", CookieFile: "f", HashedPasswords: []string{fooHash}}, "", "COOKIE,SAFECOOKIE,HASHEDPASSWORD"},
		{"no-auth", loop, Access{OwnCookie: "c", NoAuth: true}, "", "NULL"},
		{"no-auth on IPv6", loop6, Access{NoAuth: true}, "", "NULL"},
		{"no-auth on a socket", unix, Access{NoAuth: true}, "", "NULL"},
		{"no-auth on a port", "9151", Access{NoAuth: true}, "", "NULL"},
		{"no-auth on localhost", "localhost:9151", Access{NoAuth: true}, "", "NULL"},
		{"no-auth on a port with a colon", ":9151", Access{NoAuth: true}, "", "NULL"},
		{"no-auth on all", "0.0.0.0:9151", Access{NoAuth: true}, "let everybody in", ""},
		{"no-auth on a name", "tor.example:9151", Access{NoAuth: true}, "let everybody in", ""},
		{"no-auth for the world", world, Access{NoAuth: true}, "let everybody in", ""},
		{"no-auth everywhere", all, Access{NoAuth: true}, "let everybody in", ""},
		{"no-auth and cookie", loop, Access{NoAuth: true, CookieFile: "f"}, "no-auth stands alone", ""},
		{"no-auth and password", loop, Access{NoAuth: true, HashedPasswords: []string{fooHash}}, "no-auth stands alone", ""},
		{"nothing", loop, Access{}, "name a cookie file or a hashed password", ""},
		{"bad hash", loop, Access{HashedPasswords: []string{"16:00"}}, "tor --hash-password", ""},
		{"plain password", loop, Access{HashedPasswords: []string{"foo"}}, "tor --hash-password", ""},
	}
	for _, tt := range tests {
		local, err := LocalAddress(tt.addr)
		if err != nil {
			t.Fatal(err)
		}
		a, err := tt.a.check(tt.addr, local)
		if tt.want == "" {
			if err != nil || a.methods() != tt.meth {
				t.Errorf("%s: %q, %v; want %q", tt.name, a.methods(), err, tt.meth)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
		if got := tt.a.Check(tt.addr); (got == nil) != (err == nil) {
			t.Errorf("%s: Check says %v", tt.name, got)
		}
	}
}

// TestLocal: Serve judges by the address that the listener has.
func TestLocal(t *testing.T) {
	tests := []struct {
		addr net.Addr
		want bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.TCPAddr{IP: net.IPv4zero}, false},
		{&net.TCPAddr{}, false},
		{&net.UnixAddr{Name: "x", Net: "unix"}, true},
		{&net.IPAddr{IP: net.IPv6loopback}, false}, // we do not know what listens there
	}
	for _, tt := range tests {
		if local(tt.addr) != tt.want {
			t.Errorf("%v", tt.addr)
		}
	}
}

// TestServeRefusesAccess: what Check refuses never accepts a connection.
func TestServeRefusesAccess(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(Options{})
	if err := srv.Serve(t.Context(), ln, Access{}); err == nil {
		t.Fatal("Serve went on without authentication")
	}
	if _, err := net.DialTimeout("tcp", ln.Addr().String(), time.Second); err == nil {
		t.Error("the listener is still open")
	}
}

func TestHashedPassword(t *testing.T) {
	tests := []struct {
		hash, password string
		want           bool
	}{
		{fooHash, "foo", true},
		{fooHash, "Foo", false},
		{fooHash, "", false},
		{strings.ToLower(fooHash), "foo", true},
	}
	for _, tt := range tests {
		p, err := parseHashedPassword(tt.hash)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.matches([]byte(tt.password)); got != tt.want {
			t.Errorf("%q: %v", tt.password, got)
		}
	}
	for _, bad := range []string{"", "16:", "15:" + fooHash[3:], fooHash + "00", fooHash[:60], "16:" + strings.Repeat("zz", 29)} {
		if _, err := parseHashedPassword(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestHashedPasswordOfTor compares with tor itself, for lengths around those
// at which the hashed unit no longer fits.
func TestHashedPasswordOfTor(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tor")
	}
	for _, password := range []string{"", "a", "passé \"\\", strings.Repeat("x", 1000)} {
		out, err := exec.Command("tor", "--quiet", "--defaults-torrc", "/nonexistent", "--hash-password", password).Output()
		if err != nil {
			t.Fatalf("tor --hash-password: %v (is tor installed?)", err)
		}
		p, err := parseHashedPassword(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		if !p.matches([]byte(password)) || p.matches([]byte(password+"x")) {
			t.Errorf("password %.20q: tor's hash %s", password, out)
		}
	}
}
