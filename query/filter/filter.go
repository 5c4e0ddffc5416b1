// Package filter turns the words of a question into bounds of records: times
// ("2h30m", "yesterday", "2026-11-23 08:15"), durations, event types and
// sessions, each in the forms that every command, flag and control-port
// keyword of torjournal takes. And it turns an expression over the fields of
// events (`Type == "CIRC" && Reason == "TIMEOUT"`) into such bounds and a
// predicate: see Where.
//
// A word that it does not understand is an error that names the word, says
// what is near it and which forms there are; of an expression it says where.
// An expression may come from somebody who wants to do harm: what it costs to
// compile, to keep and to evaluate is bounded (limits.go), and it can neither
// end a stream of records nor change one.
//
// The package reads no journal and keeps no clock: who asks says what time it
// is and where.
package filter
