package controlport

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"torjournal/tor/event"
)

func protocolInfo(methods, cookieFile string) string {
	auth := "250-AUTH METHODS=" + methods
	if cookieFile != "" {
		auth += " COOKIEFILE=" + event.Quote(cookieFile)
	}
	return "250-PROTOCOLINFO 1\r\n" + auth + "\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n"
}

// safeTor knows a cookie and proves it.
func safeTor(info string, cookie []byte) func(*fakeConn, string) string {
	serverNonce := bytes.Repeat([]byte{9}, 32)
	var said []byte
	return func(_ *fakeConn, command string) string {
		word, rest, _ := strings.Cut(command, " ")
		switch word {
		case "PROTOCOLINFO":
			return info
		case "AUTHCHALLENGE":
			nonce, _ := hex.DecodeString(strings.TrimPrefix(rest, "SAFECOOKIE "))
			said = append(append(append([]byte(nil), cookie...), nonce...), serverNonce...)
			return fmt.Sprintf("250 AUTHCHALLENGE SERVERHASH=%X SERVERNONCE=%X\r\n", proof(serverKey, said), serverNonce)
		case "AUTHENTICATE":
			if rest == hex.EncodeToString(proof(clientKey, said)) {
				return "250 OK\r\n"
			}
		}
		return "515 Authentication failed\r\n"
	}
}

// expects accepts exactly one AUTHENTICATE argument.
func expects(info, argument string) func(*fakeConn, string) string {
	return func(_ *fakeConn, command string) string {
		switch {
		case strings.HasPrefix(command, "PROTOCOLINFO"):
			return info
		case command == strings.TrimRight("AUTHENTICATE "+argument, " "):
			return "250 OK\r\n"
		}
		return "515 Authentication failed: no\r\n"
	}
}

func TestAuthentication(t *testing.T) {
	cookieFile := writeCookie(t, someCookie)
	otherCookie := writeCookie(t, bytes.Repeat([]byte{8}, 32))
	longCookie := writeCookie(t, bytes.Repeat([]byte{8}, 33))
	odd := filepath.Join(t.TempDir(), "a \"b\\c\né")
	if err := os.WriteFile(odd, someCookie, 0o600); err != nil {
		t.Fatal(err)
	}
	hexCookie := hex.EncodeToString(someCookie)
	password := Credentials{Password: `a"b\c d`, HasPassword: true}
	challenge := func(answer string) func(*fakeConn, string) string {
		return func(_ *fakeConn, command string) string {
			if strings.HasPrefix(command, "PROTOCOLINFO") {
				return protocolInfo("SAFECOOKIE", cookieFile)
			}
			return answer
		}
	}
	for _, c := range []struct {
		name   string
		answer func(*fakeConn, string) string
		cred   Credentials
		want   string // part of the error; "": none
		is     error
	}{
		{"nothing needed", expects(protocolInfo("NULL", ""), ""), Credentials{}, "", nil},
		{"nothing needed, password given", expects(protocolInfo("NULL", ""), ""), password, "", nil},
		{"password", expects(protocolInfo("HASHEDPASSWORD", ""), `"a\"b\\c d"`), password, "", nil},
		{"password with a line end", expects(protocolInfo("HASHEDPASSWORD", ""), "610d0a"), Credentials{Password: "a\r\n", HasPassword: true}, "", nil},
		{"wrong password", expects(protocolInfo("HASHEDPASSWORD", ""), `"x"`), password, "the password is wrong (tor says: 515", ErrCredentials},
		{"no password", expects(protocolInfo("HASHEDPASSWORD", ""), ""), Credentials{}, "wants a password and none was given", ErrCredentials},
		{"password rather than cookie", expects(protocolInfo("COOKIE,SAFECOOKIE,HASHEDPASSWORD", cookieFile), `"a\"b\\c d"`), password, "", nil},
		{"safe cookie", safeTor(protocolInfo("COOKIE,SAFECOOKIE", cookieFile), someCookie), Credentials{}, "", nil},
		{"password given, cookie wanted", safeTor(protocolInfo("COOKIE,SAFECOOKIE", cookieFile), someCookie), password, "", nil},
		{"cookie, odd name", safeTor(protocolInfo("SAFECOOKIE", odd), someCookie), Credentials{}, "", nil},
		{"cookie elsewhere", safeTor(protocolInfo("SAFECOOKIE", "/nonexistent"), someCookie), Credentials{CookieFile: cookieFile}, "", nil},
		{"plain cookie", expects(protocolInfo("COOKIE", cookieFile), hexCookie), Credentials{}, "", nil},
		{"wrong plain cookie", expects(protocolInfo("COOKIE", otherCookie), hexCookie), Credentials{}, "is not this tor's", ErrCredentials},
		{"another tor's cookie", safeTor(protocolInfo("COOKIE,SAFECOOKIE", otherCookie), someCookie), Credentials{}, "does not know the cookie in " + otherCookie, ErrCredentials},
		{"missing cookie", safeTor(protocolInfo("SAFECOOKIE", "/nonexistent/c"), someCookie), Credentials{}, "/nonexistent/c: no such file", ErrCredentials},
		{"missing cookie, or password", safeTor(protocolInfo("SAFECOOKIE,HASHEDPASSWORD", "/nonexistent/c"), someCookie), Credentials{}, "or give tor's password", ErrCredentials},
		{"no place of the cookie", safeTor(protocolInfo("SAFECOOKIE", ""), someCookie), Credentials{}, "does not say where it is", ErrCredentials},
		{"a file that is no cookie", expects(protocolInfo("COOKIE", longCookie), ""), Credentials{}, "not a file of 32 bytes", ErrCredentials},
		{"a device", expects(protocolInfo("COOKIE", "/dev/zero"), ""), Credentials{}, "not a file of 32 bytes", ErrCredentials},
		{"unknown methods", expects(protocolInfo("IRIS,DNA", ""), ""), Credentials{}, "only methods we do not know: IRIS, DNA", ErrCredentials},
		{"no methods", expects("250-PROTOCOLINFO 1\r\n250 OK\r\n", ""), Credentials{}, "names no way", ErrMalformed},
		{"PROTOCOLINFO of the future", expects("250-PROTOCOLINFO 2\r\n250 OK\r\n", ""), Credentials{}, "version \"2\"", nil},
		{"PROTOCOLINFO refused", expects("514 Authentication required.\r\n", ""), Credentials{}, "tor refuses PROTOCOLINFO: 514", nil},
		{"HTTP", expects("HTTP/1.0 501 Tor ControlPort is not an HTTP proxy\r\n\r\n", ""), Credentials{}, "not the Tor control protocol", ErrMalformed},
		{"challenge refused", challenge("512 Wrong number of arguments\r\n"), Credentials{}, "ask for tor's proof: tor refuses AUTHCHALLENGE: 512", nil},
		{"short proof", challenge("250 AUTHCHALLENGE SERVERHASH=00 SERVERNONCE=00\r\n"), Credentials{}, "answer to AUTHCHALLENGE", ErrMalformed},
		{"no proof", challenge("250 OK\r\n"), Credentials{}, "answer to AUTHCHALLENGE", ErrMalformed},
		{"false proof", challenge("250 AUTHCHALLENGE SERVERHASH=" + strings.Repeat("00", 32) + " SERVERNONCE=" + strings.Repeat("11", 32) + "\r\n"),
			Credentials{}, "does not know the cookie", ErrCredentials},
	} {
		t.Run(c.name, func(t *testing.T) {
			tor := startFake(t, c.answer)
			conn, err := Dial(testContext(t), tor.address(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = conn.Authenticate(testContext(t), c.cred)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%v; sent %q", err, tor.commands(0))
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want …%s…", err, c.want)
			case c.is != nil && !errors.Is(err, c.is):
				t.Errorf("%v is no %v", err, c.is)
			}
			for _, secret := range []string{password.Password, hexCookie} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells the secret: %v", err)
				}
			}
			for _, said := range tor.commands(0) {
				if strings.Contains(c.name, "false proof") && strings.HasPrefix(said, "AUTHENTICATE") {
					t.Errorf("who cannot prove that he knows the cookie was shown %q", said)
				}
			}
		})
	}
}

// Who may not read the cookie is told which group may.
func TestUnreadableCookie(t *testing.T) {
	err := cookieError("/nonexistent/control.authcookie", os.ErrPermission)
	if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "debian-tor") || !strings.Contains(err.Error(), "adduser") {
		t.Error(err)
	}
	err = dialError(t.Context(), Address{"unix", "/run/tor/control"}, os.ErrPermission)
	if !strings.Contains(err.Error(), "debian-tor") || !strings.Contains(err.Error(), "/run/tor/control") {
		t.Error(err)
	}
}

func TestDialErrors(t *testing.T) {
	for _, c := range []struct {
		a    Address
		want string
	}{
		{Address{"tcp", "127.0.0.1:1"}, "connect to 127.0.0.1:1: connection refused: is tor running with ControlPort 127.0.0.1:1?"},
		{Address{"unix", "/nonexistent/control"}, "connect to unix:/nonexistent/control: file does not exist: is tor running with ControlSocket /nonexistent/control?"},
	} {
		_, err := Dial(testContext(t), c.a, nil)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%v, want …%s", err, c.want)
		}
	}
}

func TestParseProtocolInfo(t *testing.T) {
	text := "250-PROTOCOLINFO 1\r\n250-FUTURE x=1\r\n250-VERSION Tor=\"0.4.9.11\" Extra=\"a b\"\r\n" +
		"250-AUTH METHODS=COOKIE,SAFECOOKIE EXTRA COOKIEFILE=\"/a b/\\303\\251\\\"\\\\\" MORE=1\r\n250 OK\r\n"
	got, err := parseProtocolInfo(Reply{raw: []byte(text)})
	want := ProtocolInfo{Methods: []string{"COOKIE", "SAFECOOKIE"}, CookieFile: "/a b/é\"\\", Version: "0.4.9.11"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %+v, want %+v", err, got, want)
	}
}

func FuzzProtocolInfo(f *testing.F) {
	f.Add([]byte(protocolInfo("NULL", "")))
	f.Add([]byte(protocolInfo("COOKIE,SAFECOOKIE,HASHEDPASSWORD", "/run/tor/control.authcookie\"\n")))
	f.Add([]byte("250-AUTH METHODS= COOKIEFILE=\"\\\r\n250-AUTH\r\n250-VERSION Tor=\r\n250 OK\r\n"))
	f.Add([]byte("250+AUTH METHODS=NULL\r\n..\r\n.\r\n250 OK"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p, err := parseProtocolInfo(Reply{raw: raw}); err == nil && len(p.Methods) == 0 {
			t.Errorf("no methods in %q, and no error", raw)
		}
	})
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		in, want string // want: the String, or "! part of the error"
	}{
		{"127.0.0.1:9051", "127.0.0.1:9051"},
		{"9051", "127.0.0.1:9051"},
		{"[::1]:9051", "[::1]:9051"},
		{"localhost:9051", "localhost:9051"},
		{"tor:09051", "tor:9051"},
		{"unix:/run/tor/control", "unix:/run/tor/control"},
		{"/run/tor/control", "unix:/run/tor/control"},
		{"unix:/a b:c", "unix:/a b:c"},
		{"", "! it is empty"},
		{"unix:", "! not absolute"},
		{"unix:run/tor", "! not absolute"},
		{"unix:/" + strings.Repeat("x", 107), "! at most 107 bytes"},
		{"127.0.0.1", "! no port"},
		{"127.0.0.1:", "! not a number from 1 to 65535"},
		{"127.0.0.1:0", "! not a number from 1 to 65535"},
		{"127.0.0.1:65536", "! not a number from 1 to 65535"},
		{"127.0.0.1:control", "! not a number from 1 to 65535"},
		{"0", "! not a number from 1 to 65535"},
		{":9051", "! its host is none"},
		{"::1:9051", "! no port"},
		{"[::1:2:x]:9051", "! its host is none"},
		{"a b:9051", "! its host is none"},
		{"http://127.0.0.1:9051", "! no port"},
		{"127.0.0.1:9051\r\nQUIT", "! control character"},
	} {
		a, err := ParseAddress(c.in)
		want, isErr := strings.CutPrefix(c.want, "! ")
		switch {
		case isErr && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "write 127.0.0.1:9051")):
			t.Errorf("%q: error %v, want …%s…", c.in, err, want)
		case !isErr && (err != nil || a.String() != want):
			t.Errorf("%q: %v %v, want %s", c.in, a, err, want)
		}
	}
	for _, a := range UsualPlaces() {
		if b, err := ParseAddress(a.String()); err != nil || a != b || !a.local() {
			t.Errorf("usual place %v: %v %v", a, b, err)
		}
	}
	for s, local := range map[string]bool{"localhost:1": true, "[::1]:1": true, "127.9.9.9:1": true, "10.0.0.1:1": false, "tor:1": false} {
		if a, err := ParseAddress(s); err != nil || a.local() != local {
			t.Errorf("%s: local %v, %v", s, a.local(), err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"9051", "127.0.0.1:9051", "unix:/run/tor/control", "[::1%lo]:9051", ":", "a:b:c", "unix:", "[]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if b, err := ParseAddress(a.String()); err != nil || a != b {
			t.Errorf("%q: %v, read again: %v %v", s, a, b, err)
		}
	})
}
