package control

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// Access says who may use a listener, and how far. The zero value lets nobody
// in and is refused.
type Access struct {
	// OwnCookie is where torjournal's own cookie is written (0600) when the
	// listener starts. It counts only if nothing of the next three is set.
	OwnCookie string

	// CookieFile is an existing cookie, tor's for instance. It is read again
	// at each authentication.
	CookieFile string

	// HashedPasswords are passwords of torjournal's own, each as "tor
	// --hash-password" prints it. CookieFile may stand beside them.
	HashedPasswords []string

	// NoAuth lets everybody in who can connect. It stands alone, and only on
	// a Unix socket, a loopback address, or where TLS asks for a certificate.
	NoAuth bool

	// TLS, if it names files, encrypts what goes over the listener.
	TLS TLSFiles

	// History gives the history privilege also to who comes with the cookie
	// of CookieFile or with none: REPLAY, SETEVENTS JOURNAL and GETINFO
	// journal/…. Whoever shows torjournal's own cookie or password has it.
	History bool
}

// access is a checked Access.
type access struct {
	cookieFile string // absolute path of the cookie, "" if none is accepted
	cookie     []byte // what is in it if it is our own; nil: read the file
	passwords  []hashedPassword
	noAuth     bool
	history    bool
	tls        *tls.Config // nil: what goes over it is not encrypted
}

// Check reports what is wrong with the address, as Listen takes it, or with a
// for a listener there. Listen and Serve refuse the same.
func (a Access) Check(address string) error {
	local, err := LocalAddress(address)
	if err == nil {
		_, err = a.check(address, local)
	}
	return err
}

// LocalAddress reports whether only this machine could reach a listener at
// address, as Listen takes it. A name other than localhost may be anything.
func LocalAddress(address string) (bool, error) {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		if path == "" {
			return false, errNoPath
		}
		return true, nil
	}
	full, err := tcpAddress(address)
	if err != nil {
		return false, err
	}
	host, _, _ := net.SplitHostPort(full)
	return host == "localhost" || net.ParseIP(host).IsLoopback(), nil
}

// check applies the rules of combination and reads what can be read now. An
// own cookie is not written yet.
func (a Access) check(ln string, local bool) (access, error) {
	out := access{noAuth: a.NoAuth, history: a.History}
	switch {
	case a.NoAuth && (a.CookieFile != "" || len(a.HashedPasswords) > 0):
		return out, errors.New("control: no-auth stands alone: leave out the cookie file and the password, or no-auth")
	case a.NoAuth && !local && a.TLS.ClientCA == "":
		return out, fmt.Errorf("control: %s can be reached from other machines and would let everybody in: use a password there, or certificates (tls-cert, tls-key and tls-client-ca), or listen on 127.0.0.1 or a Unix socket", ln)
	case !a.NoAuth && a.OwnCookie == "" && a.CookieFile == "" && len(a.HashedPasswords) == 0:
		return out, fmt.Errorf("control: %s has no way to authenticate: name a cookie file or a hashed password", ln)
	}
	var err error
	if out.tls, err = a.TLS.config(); err != nil {
		return out, err
	}
	for _, h := range a.HashedPasswords {
		p, err := parseHashedPassword(h)
		if err != nil {
			return out, err
		}
		out.passwords = append(out.passwords, p)
	}
	path := a.CookieFile
	if path == "" && !a.NoAuth && len(a.HashedPasswords) == 0 {
		path = a.OwnCookie
	}
	if path == "" {
		return out, nil
	}
	if out.cookieFile, err = filepath.Abs(path); err != nil {
		return out, fmt.Errorf("control: cookie file %s: %w", path, err)
	}
	return out, nil
}

// ownsCookie reports whether the cookie is one that the server has to write.
func (a Access) ownsCookie() bool {
	return a.CookieFile == "" && len(a.HashedPasswords) == 0 && !a.NoAuth
}

// local reports whether only this machine can reach addr.
func local(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}

// methods is the list of PROTOCOLINFO (control-spec, section 3.21).
func (a *access) methods() string {
	var m []string
	if a.noAuth {
		m = append(m, "NULL")
	}
	if a.cookieFile != "" {
		m = append(m, "COOKIE", "SAFECOOKIE")
	}
	if len(a.passwords) > 0 {
		m = append(m, "HASHEDPASSWORD")
	}
	return strings.Join(m, ",")
}

// currentCookie returns the cookie that is valid now.
func (a *access) currentCookie() ([]byte, error) {
	if a.cookie != nil {
		return a.cookie, nil
	}
	return readCookie(a.cookieFile)
}

// grant is what a successful authentication gives.
type grant struct{ history bool }

// denied is a failed authentication: the text after "515 ".
type denied string

func (d denied) Error() string { return "control: " + string(d) }

// Texts of tor 0.4.9 for failed authentications.
const (
	deniedSafeLength  = denied("Authentication failed: Wrong length for safe cookie response.")
	deniedSafe        = denied("Authentication failed: Safe cookie response did not match expected value.")
	deniedCookieSize  = denied("Authentication failed: Wrong length on authentication cookie.")
	deniedCookie      = denied("Authentication failed: Authentication cookie did not match expected value.")
	deniedPassword    = denied("Authentication failed: Password did not match HashedControlPassword value from configuration")
	deniedUnquoted    = denied("Authentication failed: Password did not match HashedControlPassword value from configuration. Maybe you tried a plain text password? If so, the standard requires that you put it in double quotes.")
	deniedBoth        = denied("Authentication failed: Password did not match HashedControlPassword *or* authentication cookie.")
	deniedNoCookie    = denied("Cookie authentication is disabled")
	deniedCookieFault = denied("Authentication failed: the cookie file cannot be read; the log of torjournal says why.")
)

// admit judges the secret of an AUTHENTICATE without a challenge before it.
func (a *access) admit(secret []byte, quoted bool) (grant, error) {
	if a.noAuth {
		return grant{history: a.history}, nil
	}
	for _, p := range a.passwords {
		if p.matches(secret) {
			return grant{history: true}, nil
		}
	}
	if a.cookieFile == "" {
		if quoted {
			return grant{}, deniedPassword
		}
		return grant{}, deniedUnquoted
	}
	cookie, err := a.currentCookie()
	switch {
	case err == nil && subtle.ConstantTimeCompare(cookie, secret) == 1:
		return a.cookieGrant(), nil
	case err != nil:
		return grant{}, errors.Join(err, deniedCookieFault)
	case len(a.passwords) > 0:
		return grant{}, deniedBoth
	case len(secret) != cookieLen:
		return grant{}, deniedCookieSize
	}
	return grant{}, deniedCookie
}

// cookieGrant is what the cookie gives: our own one is asked for nothing more.
func (a *access) cookieGrant() grant {
	return grant{history: a.history || a.cookie != nil}
}
