package controlport

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Credentials are what a user gives to be let in. The zero value suffices
// where tor wants a cookie that we may read, or nothing.
type Credentials struct {
	Password    string
	HasPassword bool   // a password may be empty
	CookieFile  string // instead of the one that tor names
}

// Keys of the two hashes of SAFECOOKIE ([control-spec] 3.24).
const (
	serverKey = "Tor safe cookie authentication server-to-controller hash"
	clientKey = "Tor safe cookie authentication controller-to-server hash"
)

// Authenticate shows tor what it wants to see ([control-spec] 3.5): the
// password if the user gave one and tor takes one, else the cookie, by
// SAFECOOKIE wherever tor knows it, else nothing if that is enough. Where it
// fails because of what we have to show, the error wraps ErrCredentials and
// says what to do. Tor closes a connection that failed.
func (c *Conn) Authenticate(ctx context.Context, cred Credentials) error {
	p, err := c.ProtocolInfo(ctx)
	if err != nil {
		return err
	}
	byCookie := p.offers("SAFECOOKIE") || p.offers("COOKIE")
	switch {
	case cred.HasPassword && p.offers("HASHEDPASSWORD"):
		return c.authenticate(ctx, " "+passwordArgument(cred.Password), "the password is wrong")
	case byCookie:
		err := c.showCookie(ctx, p, cred)
		if err == nil || !errors.Is(err, ErrCredentials) {
			return err
		}
		if p.offers("HASHEDPASSWORD") {
			return fmt.Errorf("%w, or give tor's password", err)
		}
		return err
	case p.offers("NULL"):
		return c.authenticate(ctx, "", "tor said that nothing is needed")
	case p.offers("HASHEDPASSWORD"):
		return fmt.Errorf("controlport: %w: tor wants a password and none was given", ErrCredentials)
	}
	return fmt.Errorf("controlport: %w: tor offers only methods we do not know: %s", ErrCredentials, strings.Join(p.Methods, ", "))
}

// showCookie authenticates by the cookie. The plain form hands the cookie to
// whoever listens, so it is for peers that know no better.
func (c *Conn) showCookie(ctx context.Context, p ProtocolInfo, cred Credentials) error {
	path := p.CookieFile
	if cred.CookieFile != "" {
		path = cred.CookieFile
	}
	if path == "" {
		return fmt.Errorf("controlport: %w: tor wants a cookie and does not say where it is: name its file", ErrCredentials)
	}
	cookie, err := readCookie(path)
	if err != nil {
		return err
	}
	if !p.offers("SAFECOOKIE") {
		return c.authenticate(ctx, " "+hex.EncodeToString(cookie), "the cookie in "+path+" is not this tor's")
	}
	return c.safeCookie(ctx, path, cookie)
}

// safeCookie proves that we know the cookie, after tor has proved that it
// does.
func (c *Conn) safeCookie(ctx context.Context, path string, cookie []byte) error {
	nonce := make([]byte, 32)
	rand.Read(nonce) // never fails
	rep, err := c.must(ctx, "AUTHCHALLENGE SAFECOOKIE "+hex.EncodeToString(nonce))
	if err != nil {
		return fmt.Errorf("controlport: ask for tor's proof: %w", err)
	}
	kv := keywords(strings.TrimRight(rep.String(), "\r\n"))
	serverHash, err1 := hex.DecodeString(kv["SERVERHASH"])
	serverNonce, err2 := hex.DecodeString(kv["SERVERNONCE"])
	if err1 != nil || err2 != nil || len(serverHash) != sha256.Size || len(serverNonce) != 32 {
		return fmt.Errorf("controlport: %w: answer to AUTHCHALLENGE: %.200q", ErrMalformed, rep.raw)
	}
	said := slices.Concat(cookie, nonce, serverNonce)
	if !hmac.Equal(serverHash, proof(serverKey, said)) {
		return fmt.Errorf("controlport: %w: who listens there does not know the cookie in %s: it is another tor's, or from before tor's restart",
			ErrCredentials, path)
	}
	return c.authenticate(ctx, " "+hex.EncodeToString(proof(clientKey, said)), "tor does not take the proof by the cookie in "+path)
}

func proof(key string, said []byte) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(said)
	return h.Sum(nil)
}

// passwordArgument writes a password as AUTHENTICATE takes it. In a quoted
// string tor knows no escapes here but a backslash before a character that
// stands for itself, so what cannot stand in a line is written in hex.
func passwordArgument(password string) string {
	if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return hex.EncodeToString([]byte(password))
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(password) + `"`
}

// authenticate sends AUTHENTICATE; argument begins with a blank or is empty.
// It never puts the argument into an error.
func (c *Conn) authenticate(ctx context.Context, argument, why string) error {
	_, err := c.must(ctx, "AUTHENTICATE"+argument)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return fmt.Errorf("controlport: %w: %s (tor says: %s)", ErrCredentials, why, strings.TrimSpace(refusal.reply.String()))
	}
	return err
}
