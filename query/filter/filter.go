// Package filter turns the words of a question into bounds of records: times
// ("2h30m", "yesterday", "2026-11-23 08:15"), durations, event types and
// sessions, each in the forms that every command, flag and control-port
// keyword of torjournal takes.
//
// A word that it does not understand is an error that names the word, says
// what is near it and which forms there are. It reads no records and keeps no
// clock: who asks says what time it is and where.
package filter
