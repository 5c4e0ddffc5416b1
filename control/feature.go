package control

import (
	"bytes"
	"errors"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Our own features.
const (
	// featureMeta has each event preceded by a line of its own with its
	// number and time.
	featureMeta = "JOURNAL_META"

	// featureZstd compresses what the server sends; see compress.go.
	featureZstd = "ZSTD"
)

// useFeature switches our features on and passes the others to the source
// (control-spec, section 3.14). If one is refused, none of ours is on.
func (c *conn) useFeature(cmd command) error {
	theirs, meta, packs := []byte("USEFEATURE"), false, false
	none := len(theirs)
	for f := range fields(cmd.args) {
		switch {
		case strings.EqualFold(f, featureMeta):
			meta = true
		case strings.EqualFold(f, featureZstd):
			packs = true
		default:
			theirs = append(append(theirs, ' '), f...)
		}
	}
	if !meta && !packs {
		return c.forward(cmd)
	}
	var packer *zstd.Encoder
	undo := func() {}
	if packs {
		var err error
		if packer, undo, err = c.useZstd(); err != nil {
			return c.say("551 %v", err)
		}
	}
	text := []byte("250 OK\r\n")
	if len(theirs) > none {
		var answer bytes.Buffer
		if err := c.pass(append(theirs, "\r\n"...), limited{&answer}, nil); err != nil {
			undo()
			return c.settleReply(&reply{conn: c}, err)
		}
		if text = answer.Bytes(); !bytes.HasPrefix(text, []byte("250")) {
			undo()
			return c.answer(text, nil)
		}
	}
	return c.switchOn(text, meta, packer)
}

// switchOn answers, and changes what comes after the answer.
func (c *conn) switchOn(text []byte, meta bool, packer *zstd.Encoder) error {
	r, o := reply{conn: c}, c.out
	if err := r.begin(c.srv.now()); err != nil {
		return err
	}
	o.meta = o.meta || meta
	o.useOurs()
	_, err := r.Write(text)
	if packer != nil && o.w.flush() == nil {
		o.w.packer = packer
	}
	return errors.Join(err, r.end())
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
