// Package tor holds no code: it is the map of the folders below it, from the
// wire inwards.
//
//	event        the vocabulary: events typed, parsed, formatted; no I/O
//	scrub        what is kept of them: roles, stripping; before anything is written
//	controlport  the client side of a control port, and the source that is
//	             attached to a running tor and attaches again for ever
//	logfile      text logs of other tools into events with their times, and back
//	testnet      private Tor networks of real processes, for tests and the demo
//
// event knows none of the others; scrub, logfile and controlport know event
// and not each other: cmd/torjournal shows the source its policy. Nothing here
// knows the journal: a source hands its events to a Sink.
package tor
