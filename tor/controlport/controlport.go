// Package controlport is the client side of Tor's control protocol, and the
// attached source: a running tor whose events are recorded.
//
// Conn is one control connection. It promises that asynchronous replies reach
// its event function whole, in order and byte for byte as tor sent them, and
// that each command gets exactly its own reply, however many are under way.
// What is no control protocol ends the connection; it is never guessed at.
//
// Source keeps one such connection to a tor for ever: it authenticates,
// learns whose life it records, subscribes to what the policy and the
// controllers want, and hands every event to a Sink. It says what it missed:
// the loss of tor, its return, and the state it then found are events too.
//
// The package does not decide what is kept (a Policy does), does not store
// events (a Sink does) and does not parse them beyond their names.
//
// References: [control-spec] is Tor's control protocol specification,
// https://spec.torproject.org/control-spec.
package controlport
