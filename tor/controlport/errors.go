package controlport

import (
	"errors"
	"strings"
)

// Sentinels that callers must tell apart. They come wrapped.
var (
	// ErrClosed: the connection has ended; Conn.Err has the reason.
	ErrClosed = errors.New("the control connection has ended")

	// ErrDetached: there is no tor just now. The source keeps looking.
	ErrDetached = errors.New("no tor is attached")

	// ErrCredentials: tor does not accept what we have to show, or we cannot
	// read it. Waiting alone will not mend it.
	ErrCredentials = errors.New("authentication failed")

	// ErrMalformed: what the peer sent is no control protocol.
	ErrMalformed = errors.New("not the Tor control protocol")
)

// Refusal is tor's answer to a command that it did not carry out.
type Refusal struct {
	Command string // its first word
	reply   Reply
}

// Error names the command and tor's own words.
func (r *Refusal) Error() string {
	return "tor refuses " + r.Command + ": " + strings.TrimRight(r.reply.String(), "\r\n")
}

// Reply returns tor's own reply, byte for byte. The caller must not change it.
func (r *Refusal) Reply() []byte { return r.reply.raw }

// Code returns the reply's status code, for example 552.
func (r *Refusal) Code() int { return r.reply.Code() }
