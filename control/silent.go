package control

import (
	"bytes"
	"strings"
)

// Tor 0.4.9 says nothing at all to +HSPOST without HSADDRESS, if nothing else
// is wrong with it: it was for onion services of version 2, which are gone. It
// goes on with the connection's next command. So must we, and who waits for a
// reply would wait for ever.

// mayBeSilent reports whether tor may leave a command without a reply.
func mayBeSilent(cmd command) bool {
	if cmd.verb != "+HSPOST" {
		return false
	}
	for w := range argWords(cmd.args) {
		if key, _, _ := strings.Cut(w, "="); strings.EqualFold(key, "HSADDRESS") {
			return false
		}
	}
	return true
}

// goodbye is tor's reply to QUIT.
var goodbye = []byte("250 closing connection")

// postSilently forwards such a command on an upstream connection of its own,
// with a QUIT behind it: what tor says first is the reply, or it is that of
// QUIT and there is none.
func (c *conn) postSilently(cmd command) error {
	r, d := reply{conn: c}, c.audit.deed(cmd)
	up, err := c.srv.backend.Open(c.ctx)
	if err != nil {
		return c.unanswered(&errNoSource{err})
	}
	defer up.Close()
	var answer bytes.Buffer
	d.begin()
	err = up.Forward(c.ctx, append(bytes.Clone(cmd.raw), "QUIT\r\n"...), limited{&answer})
	if err == nil && bytes.HasPrefix(answer.Bytes(), goodbye) {
		return nil
	}
	if err == nil {
		_, err = d.of(&r).Write(answer.Bytes())
	}
	d.answered(err)
	err = c.settleReply(&r, err)
	d.end()
	return err
}
