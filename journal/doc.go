// Package journal is the ring journal: one bbolt file to which every event is
// committed before anybody sees it, and cursors that run from any record into
// the present.
//
//	Append ──▶ queue ──▶ writer ──▶ log or ──▶ publish ──▶ window ──▶ cursors
//	           8 MiB     one        commit:              8 MiB,      one for each
//	                     goroutine  bbolt, zstd          shared      subscriber
//	                                  ▲                                  │
//	                       sealer ────┘ blocks          file ◀───────────┘
//	                                                    when behind the window
//
// It promises:
//
//   - A record that anybody has received with its number is in the file, also
//     after the process or the machine has died right then (writer.go and wal.go
//     tell how).
//   - A disk that fails holds nobody up: events are then delivered without
//     numbers, and a JOURNAL JOURNALED record says how many are missing
//     (outage.go tells how).
//   - Records are numbered from 1 without a hole, and every cursor gets them in
//     that order, each once. What is missing for it is said: a Gap for what the
//     ring evicted, Lost for live-only events, a JOURNAL DROPPED record for what
//     an overload cost, a JOURNAL CLOCK record where the wall clock was set.
//   - The file never exceeds its MaxSize. The oldest records give way, and those
//     past MaxAge go.
//   - Memory is bounded whatever the subscribers do: a slow one reads the file.
//   - A damaged file gives an error that says where, never fewer records in
//     silence, and never a panic or a fault.
//
// It does not parse events, choose what is kept, or know the control port:
// tor/scrub and control do. Of what the ring gives away it keeps sums of the
// bandwidth only, by the minute and by the hour (rollups.go).
//
// With a Key every value in the file is encrypted and bound to its place
// (cryptogram.go), in every file that is made of it too. That hides what was
// recorded, of whom and when; it does not hide how much. It protects a file
// that is taken away: not the memory of the process, and not from who can put
// an older file in its place. Who reads through a Journal or a File gets it
// decrypted.
//
// A limit that is lowered makes the ring give away what is too much, but the
// file keeps its size, and the pages of what was evicted keep their bytes until
// they are used again. Vacuum, of a stopped journal or while it records, makes
// the file as small as its records allow and leaves nothing of others in it.
//
// The file itself is described in FORMAT.md. Journal is the writer's side, File
// reads a file that nobody has open, and both are a Reader.
package journal
