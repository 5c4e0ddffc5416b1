package control

import (
	"cmp"
	"time"
)

// Limits of what one peer, and all of them together, may cost.
const (
	// maxCommand bounds one command with its data block, in bytes. It is
	// tor's own limit (MAX_COMMAND_LINE_LENGTH).
	maxCommand = 1 << 20

	// maxEarlyCommand bounds a command before authentication, in bytes. The
	// longest one that is of use, AUTHENTICATE with a password of 1,000
	// characters in hex, has a fourth of it. maxConnections × 8 KiB = 16 MiB
	// is what strangers can make the server hold.
	maxEarlyCommand = 8 << 10

	// maxIncoming bounds all commands of all connections together that have
	// not been answered, in bytes, beyond smallCommand each; the buffer that
	// one grows in has a quarter more. Without it maxConnections × maxCommand
	// = 2 GiB could be held. While tor is asked nothing else is held of one.
	maxIncoming = 8 << 20

	// smallCommand is how much of a command costs no part of maxIncoming.
	// Nearly every command of nyx, stem and txtorcon is shorter. Worst case
	// maxConnections × 1 KiB = 2 MiB.
	smallCommand = 1 << 10

	// maxConnections bounds the connections of all listeners together. One
	// that waits holds 2 KiB and a stack as large (8 MiB in all), and two
	// descriptors, its own and its upstream's.
	maxConnections = 2048

	// readBuffer is the read buffer in bytes of a connection that has sent
	// something: 2048 × 512 B = 1 MiB if all have begun a command. Longer
	// ones grow a buffer of their own for their time.
	readBuffer = 512

	// writeBuffer is how many bytes of small events or of a reply go out in
	// one system call. Buffers are pooled: only a connection that is being
	// written to holds one. Who stalls holds none, see room; where sockets
	// have less room than a chunk it is 2048 × 16 KiB = 32 MiB at most.
	writeBuffer = 16 << 10

	// stepBytes is about how many bytes of events go out before a reply that
	// waits gets its turn. A chunk from the file may have megabytes.
	stepBytes = 256 << 10

	// maxReplyLine bounds one line of a reply that must be looked into (a
	// GETINFO that mixes our keys with tor's), in bytes. Tor's longest
	// single-line answers (config-text is multi-line) stay under 64 KiB.
	maxReplyLine = 1 << 20

	// maxAnswers bounds the replies that are held whole for all connections
	// together, in bytes: those that must keep their place between events, and
	// whose controllers do not read. Tor's words about 100 circuits have 20 KiB.
	maxAnswers = 4 << 20

	// maxFilters bounds what the filters of all connections hold together, in
	// bytes. One of a line has 3 to 10 KiB; one that is as long as may be can
	// have 500 KiB, and 2048 of those would be 1 GiB.
	maxFilters = 16 << 20

	// siftRecords is how many records that pass a filtered connection takes
	// in one turn: 64 × 80 bytes = 5 KiB a connection.
	siftRecords = 64

	// siftCheck is after how many bytes of records it looks whether its turn
	// is over.
	siftCheck = 4 << 10

	// historyRows and historyBytes bound one answer to HISTORY, the latter in
	// bytes but for a single row that is longer; who wants more asks for the
	// next part. historyMemory bounds what is held to compute it, roughly,
	// beside a block that is read. One is computed at a time.
	historyRows   = 1000
	historyBytes  = 1 << 20
	historyMemory = 8 << 20

	// historyHeap is what one that is computed has on the heap altogether,
	// beside the blocks that are read for it: historyMemory, what that takes more
	// than it is reckoned with, and the reply. Measured (TestHistoryMemory).
	historyHeap = 16 << 20

	// maxNotes bounds the gaps that are told one by one behind the rows. They
	// come of the ring, that runs ahead of a question, and of salvaged damage.
	maxNotes = 100

	// maxCompressed bounds the connections that USEFEATURE ZSTD compresses
	// for, of all listeners together: each has an encoder for its lifetime.
	// 16 × packCost = 11 MiB.
	maxCompressed = 16

	// packWindow is how far back their encoders look, in bytes: some hundred
	// events, in which nearly all of what repeats does. It is also the
	// largest piece that is packed at once.
	packWindow = 64 << 10

	// packCost is what such an encoder takes, in bytes, its tables, window
	// and buffers together.
	packCost = 700 << 10

	// maxKeys bounds the keys of a GETINFO that has one of ours. Each of
	// ours may cost a look into the file.
	maxKeys = 256
)

// Times after which the server goes on without waiting.
const (
	// authTime is how long a connection may take to authenticate, and to read
	// what it is told meanwhile. Who only listens afterwards is never timed out.
	authTime = 30 * time.Second

	// replySlack is how much earlier than a reply an event must have arrived
	// to go before it. Command and events travel on two connections to the
	// source: what arrives within this time has no known order, and then the
	// reply goes first, as with tor.
	replySlack = time.Millisecond

	// causeSlack is the same for events that the command may have caused: on
	// a busy machine the connection that brings events may be read that much
	// earlier than the one that brings the reply. Events that arrived before
	// the command was sent do not wait for its reply. It is a guess, for
	// commands like SIGNAL and SETCONF whose replies name nothing that events
	// tell of; those that do need none (ask.go).
	causeSlack = 100 * time.Millisecond

	// replyPatience is how long a reply waits for the commits of the events
	// that arrived before it. A disk that is slower than this must not take
	// tor's control away: the reply goes, the events follow.
	replyPatience = 5 * time.Second

	// siftTime is how long a filtered connection may keep a matcher from
	// others before what is left of a chunk goes back: some ten thousand
	// records for an ordinary filter. One record takes at most 50 ms more.
	siftTime = 10 * time.Millisecond

	// historyPatience is how long a HISTORY may wait for those before it, and
	// historyTime how long its own answer may take: a month of a busy client,
	// some ten million records, takes a few seconds on an idle machine.
	historyPatience = time.Minute
	historyTime     = time.Minute

	// farewell is how long a closing connection waits for the command that
	// is being answered, and for its peer to read the last reply.
	farewell = time.Second

	// lossGrace is how long a connection whose upstream ended waits to hear
	// whether the source is lost as well: its last events come on another
	// connection and may be on their way.
	lossGrace = 250 * time.Millisecond

	// lastCall is how long connections may take to read what had arrived for
	// them when the context of Serve ends.
	lastCall = 2 * time.Second

	// drainTime is how long one write may take on a connection that is about
	// to be closed because the source is lost, or nobody has authenticated.
	drainTime = 10 * time.Second

	// releaseTime bounds how long a closed connection waits for the source
	// to hear that its events are no longer wanted.
	releaseTime = 5 * time.Second
)

// waits are those of the times above that tests change: they make short what
// is to pass, and long what must not just because the machine stood still.
type waits struct {
	reply    time.Duration // replyPatience, of the commits before a reply
	farewell time.Duration
	loss     time.Duration // lossGrace
	lastCall time.Duration
	drain    time.Duration // drainTime
}

// orUsual fills in what is zero.
func (w waits) orUsual() waits {
	return waits{
		reply:    cmp.Or(w.reply, replyPatience),
		farewell: cmp.Or(w.farewell, farewell),
		loss:     cmp.Or(w.loss, lossGrace),
		lastCall: cmp.Or(w.lastCall, lastCall),
		drain:    cmp.Or(w.drain, drainTime),
	}
}
