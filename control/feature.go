package control

import (
	"bytes"
	"errors"
	"strings"
)

// featureMeta is our own feature: each event is preceded by a line of its own
// with its number and time.
const featureMeta = "JOURNAL_META"

// useFeature switches our features on and passes the others to the source
// (control-spec, section 3.14). If it refuses one, none of ours is on.
func (c *conn) useFeature(cmd command) error {
	theirs, ours := []byte("USEFEATURE"), false
	none := len(theirs)
	for f := range fields(cmd.args) {
		if strings.EqualFold(f, featureMeta) {
			ours = true
		} else {
			theirs = append(append(theirs, ' '), f...)
		}
	}
	switch {
	case !ours:
		return c.forward(cmd)
	case len(theirs) == none:
		return c.answer([]byte("250 OK\r\n"), (*outlet).useMeta)
	}
	var answer bytes.Buffer
	err := c.pass(append(theirs, "\r\n"...), limited{&answer}, nil)
	if err != nil {
		return c.settleReply(&reply{conn: c}, err)
	}
	if !bytes.HasPrefix(answer.Bytes(), []byte("250")) {
		return c.answer(answer.Bytes(), nil)
	}
	return c.answer(answer.Bytes(), (*outlet).useMeta)
}

func (o *outlet) useMeta() {
	o.meta = true
	o.useOurs()
}

// limited is a buffer for replies that are a line or two.
type limited struct{ *bytes.Buffer }

var errLongReply = errors.New("control: the source's reply is longer than any should be")

func (l limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxReplyLine {
		return 0, errLongReply
	}
	return l.Buffer.Write(p)
}
