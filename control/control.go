// Package control is the control-port server: what a controller of tor sees
// of torjournal. It speaks the control protocol as tor does (control-spec,
// sections 2 and 3): grammar, authentication, the texts of its refusals.
//
// It promises that events reach a connection from the journal's cursor alone,
// in journal order, once each; that a reply is never split by an event and
// keeps the order to them that tor has (turn.go); that a slow connection
// costs nobody but itself; and that a command which is not torjournal's own
// goes to the backend unchanged and its reply comes back unchanged.
//
// It does not know which source runs: Backend answers tor's commands, Demand
// hears which events somebody wants, Recorder writes down what controllers do.
// What it is asked about the past the package query computes.
package control

import (
	"context"
	"io"
	"time"

	"torjournal/tor/event"
)

// Backend answers the commands that are not torjournal's own.
type Backend interface {
	// Open returns a new connection to the present source, for one
	// controller alone. The error says why there is none just now; it
	// becomes the text of a 551 reply.
	Open(ctx context.Context) (Upstream, error)

	// Lost returns a channel that is closed when the present life of the
	// source ends; it is closed already while there is no source. The loss
	// must have been handed to the journal before, so that who subscribed
	// to JOURNAL still reads of it.
	Lost() <-chan struct{}

	// Version is the source's version as PROTOCOLINFO says it ("0.4.9.11"),
	// "" if no source has been seen yet.
	Version() string
}

// Upstream is one connection to the source.
type Upstream interface {
	// Forward sends the command's exact bytes and writes the reply's exact
	// bytes to w, up to and including its final line. One command at a time.
	// The command belongs to the caller again when Forward returns.
	Forward(ctx context.Context, command []byte, w io.Writer) error

	// Done returns a channel that is closed when the connection has ended.
	Done() <-chan struct{}

	Close() error
}

// Asker has the source answer in order with the events.
type Asker interface {
	// Ask returns the source's exact reply to a command of one line, given
	// without its end. begin, if not nil, is called by Ask itself when the
	// command goes; if it was not the command was not sent. arrived is called
	// when the reply has come: every event that the source sent before it had
	// arrived at the journal by the given time, and every one that it sent
	// after it arrives a microsecond later at the earliest. Neither waits. After an
	// error, or the end of ctx, arrived is not called any more. The reply
	// belongs to the caller.
	Ask(ctx context.Context, command string, begin func(), arrived func(by time.Time)) (reply []byte, err error)
}

// Demand hears which events the connections want.
type Demand interface {
	// Want replaces what the connection of that number wants. It returns
	// when the source delivers all of it. If the source refuses, the error
	// has a method Reply() []byte with the source's own reply, and the
	// demand is what it was before. JOURNAL and AUTHDIR_NEWDESCS are never
	// asked for.
	Want(ctx context.Context, conn uint64, types event.Set) error

	// EventNames is the source's own list (GETINFO events/names), empty
	// while it is unknown.
	EventNames() event.Set
}
