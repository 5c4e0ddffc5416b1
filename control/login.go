package control

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// login is how far a connection has come with its authentication.
type login struct {
	open     bool   // AUTHENTICATE succeeded
	info     bool   // PROTOCOLINFO was answered before that
	expected []byte // hash that the challenge's answer must be; nil: none is pending
	cookie   grant  // what that answer gives
}

// allows reports whether verb may come before authentication: one
// PROTOCOLINFO and one AUTHCHALLENGE, in this order, then AUTHENTICATE.
func (l *login) allows(verb string) bool {
	switch verb {
	case "PROTOCOLINFO":
		return !l.info && l.expected == nil
	case "AUTHCHALLENGE":
		return l.expected == nil
	case "AUTHENTICATE":
		return true
	}
	return false
}

// protocolInfo tells of our own methods (control-spec, section 3.21).
func (c *conn) protocolInfo(cmd command) error {
	args, err := words(cmd.args)
	if err != nil {
		return c.say("512 Bad arguments to PROTOCOLINFO: Cannot parse keyword argument(s)")
	}
	for _, a := range args {
		if strings.Trim(a.text, "0123456789") != "" {
			refusal := strings.TrimSuffix(oneLine(`513 No such version "`+a.text+`"`), "\r\n")
			if c.login.open { // tor throws out only who has not authenticated
				return c.say("%s", refusal)
			}
			return c.bye(refusal)
		}
	}
	c.login.info = true
	var b strings.Builder
	b.WriteString("250-PROTOCOLINFO 1\r\n250-AUTH METHODS=" + c.access.methods())
	if c.access.cookieFile != "" {
		b.WriteString(" COOKIEFILE=" + quote(c.access.cookieFile))
	}
	if v := c.srv.backend.Version(); v != "" {
		b.WriteString("\r\n250-VERSION Tor=" + quote(v))
	}
	b.WriteString("\r\n250 OK\r\n")
	return c.answer([]byte(b.String()), nil)
}

// authChallenge begins SAFECOOKIE (control-spec, section 3.24).
func (c *conn) authChallenge(cmd command) error {
	args, err := words(cmd.args)
	switch {
	case err != nil:
		return c.say("512 Bad arguments to AUTHCHALLENGE: Cannot parse keyword argument(s)")
	case len(args) == 0:
		return c.say("512 Bad arguments to AUTHCHALLENGE: Need at least 1 argument(s)")
	case !strings.EqualFold(args[0].text, "SAFECOOKIE"):
		return c.bye("513 AUTHCHALLENGE only supports SAFECOOKIE authentication")
	case len(args) != 2:
		return c.bye("512 Wrong number of arguments for AUTHCHALLENGE")
	case c.access.cookieFile == "":
		return c.bye("515 " + string(deniedNoCookie))
	}
	clientNonce, err := secret(args[1])
	if err != nil {
		return c.bye("513 Invalid base16 client nonce")
	}
	cookie, err := c.access.currentCookie()
	if err != nil {
		return c.deny(errors.Join(err, deniedCookieFault))
	}
	serverNonce := make([]byte, cookieLen)
	rand.Read(serverNonce)
	c.login.expected = safeHash(safeClientKey, cookie, clientNonce, serverNonce)
	c.login.cookie = c.access.cookieGrant()
	return c.say("250 AUTHCHALLENGE SERVERHASH=%X SERVERNONCE=%X",
		safeHash(safeServerKey, cookie, clientNonce, serverNonce), serverNonce)
}

// authenticate judges what the controller shows (control-spec, section 3.5).
func (c *conn) authenticate(cmd command) error {
	args, err := words(cmd.args)
	switch {
	case err != nil:
		return c.say("512 Bad arguments to AUTHENTICATE: Cannot parse keyword argument(s)")
	case len(args) > 1:
		return c.bye("512 Too many arguments to AUTHENTICATE.")
	case len(args) == 1 && !args[0].quoted && strings.Contains(args[0].text, "="):
		return c.bye("512 AUTHENTICATE does not accept keyword arguments.")
	}
	shown := word{}
	if len(args) == 1 {
		shown = args[0]
	}
	password, err := secret(shown)
	if err != nil {
		return c.bye("551 Invalid hexadecimal encoding.  Maybe you tried a plain text password?  If so, the standard requires that you put it in double quotes.")
	}
	g, err := c.judgeInTurn(password, shown.quoted)
	if errors.Is(err, errNoTurn) {
		return c.bye("514 Authentication required.")
	}
	if err != nil {
		return c.deny(err)
	}
	c.login = login{open: true}
	c.history.Store(g.history)
	c.out.authenticated.Store(true)
	_ = c.sock.SetDeadline(time.Time{})
	return c.say("250 OK")
}

// judgeInTurn is judge for a peer that may be guessing.
func (c *conn) judgeInTurn(shown []byte, quoted bool) (grant, error) {
	peer := peerKey(c.sock.RemoteAddr(), c.door.ln.Addr())
	ctx, cancel := c.patience()
	defer cancel()
	attempt, ok := c.srv.guesses.attempt(ctx, peer)
	if !ok {
		return grant{}, errNoTurn
	}
	defer c.srv.guesses.done(peer, attempt)
	g, err := c.judge(shown, quoted)
	if err != nil && !errors.Is(err, deniedCookieFault) {
		c.srv.guesses.refuse(ctx, attempt, func() {
			c.srv.log.Warn("a peer fails to authenticate again and again: its attempts are slowed down; see which of your programs it is, or who",
				"peer", peer, "listener", c.door.ln.Addr().String())
		})
	}
	return g, err
}

// errNoTurn means that too many attempts of the same peer are under way.
var errNoTurn = errors.New("control: the attempt could not be judged")

// patience ends with the connection, when its listener closes, and after the
// time that authentication may take.
func (c *conn) patience() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(c.ctx, c.srv.authTime)
	closing := make(chan struct{})
	go func() {
		defer close(closing)
		select {
		case <-c.door.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-closing }
}

// judge compares what was shown with what is expected.
func (c *conn) judge(shown []byte, quoted bool) (grant, error) {
	if want := c.login.expected; want != nil {
		switch {
		case len(shown) != len(want):
			return grant{}, deniedSafeLength
		case !hmac.Equal(shown, want):
			return grant{}, deniedSafe
		}
		return c.login.cookie, nil
	}
	return c.access.admit(shown, quoted)
}

// deny ends the connection after a failed authentication.
func (c *conn) deny(err error) error {
	text := deniedCookieFault
	errors.As(err, &text)
	if text == deniedCookieFault {
		c.srv.log.Warn("nobody can authenticate on this listener until its cookie file can be read",
			"listener", c.door.ln.Addr().String(), "err", err)
	} else {
		c.srv.log.Info("a controller failed to authenticate", "conn", c.id, "peer", peerName(c.sock), "reason", string(text))
	}
	return c.bye("515 " + string(text))
}

// secret returns the bytes of an argument that is a quoted string or hex.
func secret(w word) ([]byte, error) {
	if w.quoted {
		return []byte(w.text), nil
	}
	return hex.DecodeString(w.text)
}
