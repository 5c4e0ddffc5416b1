package control

import (
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"torjournal/tor/event"
)

// The audit: what controllers did to tor. A command that changes something is
// a COMMAND event when it is forwarded, PHASE=SENT, so that the last one before
// a crash is there, and again with its answer's code when that has passed,
// PHASE=DONE. All others are counted: one PHASE=COUNT event of a connection in
// a minute in which it sent any.
//
//	650 JOURNAL COMMAND PHASE=SENT CONN=12 N=3 PEER=unix UID=1000 PID=4242 VERB=SIGNAL ARGS=NEWNYM
//	650 JOURNAL COMMAND PHASE=DONE CONN=12 N=3 VERB=SIGNAL CODE=250 MS=0.412
//	650 JOURNAL COMMAND PHASE=COUNT CONN=12 PEER=127.0.0.1:40312 COUNT=61 VERBS=GETCONF:3,GETINFO:58
//	650 JOURNAL COMMAND PHASE=LEFT_OUT COUNT=7312 VERBS=SIGNAL:7312 CONNS=1 CONN=12 PEER=unix UID=1000 PID=4242
//
// A circuit that EXTENDCIRCUIT 0 made has its number only from the answer; then
// DONE has it: VERB=EXTENDCIRCUIT CODE=250 MS=0.412 CIRCUIT=7.
//
// N numbers the commands of a connection. A command that never was answered,
// because tor, the controller or torjournal ended, has no DONE. What is in ARGS
// redact.go says. Nobody waits for these events.
//
// Each command waits for tor's answer to the one before it, which bounds a
// connection to some ten thousand a second. In a loop they would push out of the
// ring what else happened, so there is an allowance, see deedRate. Commands for
// which there is none are counted, by verb, and one LEFT_OUT event a minute
// tells of those of all connections: of how many, and which was the first.

// Recorder writes events of ours into the journal.
type Recorder interface {
	// Offer hands an event over and never waits. What there is no room for
	// is dropped, and the recorder sees to it that this is known.
	Offer(ev event.Event)

	// Record hands an event over and returns when it is on disk. The error
	// says why it is not; its text is what the controller is told.
	Record(ctx context.Context, ev event.Event) error
}

// tallyTime is how long commands that change nothing are counted before their
// number is recorded: nyx asks some thousand times an hour, and a commit for
// each would be 20 MB written.
const tallyTime = time.Minute

// Allowances of COMMAND events, in bytes as they are before they are packed. A
// command takes 170 to 310, answer included, and 4 to 25 in a sealed block.
const (
	// deedBurst is what the commands of one connection may take at once, some
	// 3,500 to 6,000, and deedRate what they may take each second for good, 13
	// to 24 commands: more than people and most tools ever send. A controller in
	// a loop takes 9 to 28 MiB of the file a day by that, a fortieth of the
	// default ring, and half of 330 MiB if his arguments are noise.
	deedBurst = 1 << 20
	deedRate  = 4 << 10

	// allDeedsBurst and allDeedsRate are the same for all connections
	// together, some of which may come again and again to get the burst anew.
	// One that keeps to its own allowance leaves the others theirs.
	allDeedsBurst = 8 << 20
	allDeedsRate  = 16 << 10

	// doneCost is what the event with the answer takes, countCost that which
	// counts other commands.
	doneCost  = 128
	countCost = 256
)

// deedTime is the time that brings n bytes back at a rate.
func deedTime(n, rate int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(rate)
}

// audit is what one connection has done.
type audit struct {
	conn *conn

	left uint64 // guarded by leftOut.mu: the minute of which it was counted last

	// Owned by serve.
	allowed allowance
	peer    []string // PEER=, UID= and PID= as keys and values; nil: not looked up yet
	n       uint64   // commands that change something, so far

	mu     sync.Mutex
	counts map[string]int // guarded by mu: other commands since the last COUNT, by verb; nil: none
	timer  *time.Timer    // guarded by mu: ends the minute; nil unless there are counts
	over   bool           // guarded by mu: the connection has ended
}

func (a *audit) offer(kv ...string) { a.conn.srv.offerDeed(kv...) }

func (s *Server) offerDeed(kv ...string) { s.writes.Offer(event.NewJournal(event.WhatCommand, kv...)) }

// allows reports whether there is an allowance for n bytes of events about the
// connection's commands.
func (a *audit) allows(n int) bool {
	return a.allowed.take(deedTime(n, deedRate)) == 0 && a.conn.srv.allowsDeeds(n)
}

func (s *Server) allowsDeeds(n int) bool { return s.deeds.take(deedTime(n, allDeedsRate)) == 0 }

// who says who is at the other end, as keys and values.
func (a *audit) who() []string {
	if a.peer == nil {
		a.peer = []string{"PEER", peerName(a.conn.sock)}
		if uid, pid, ok := peerProcess(a.conn.sock); ok {
			a.peer = append(a.peer, "UID", strconv.FormatUint(uint64(uid), 10), "PID", strconv.FormatInt(int64(pid), 10))
		}
	}
	return a.peer
}

func (a *audit) id() string { return strconv.FormatUint(a.conn.id, 10) }

// count notes a command that changes nothing.
func (a *audit) count(verb string) {
	who := a.who()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts = make(map[string]int)
		a.timer = time.AfterFunc(a.conn.srv.tallyTime, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.tellCountsLocked(who)
		})
	}
	a.counts[verb]++
}

// tellCountsLocked records the counts, and ends the minute.
func (a *audit) tellCountsLocked(who []string) {
	if a.over || a.counts == nil {
		return
	}
	counts := a.counts
	a.timer.Stop()
	a.counts, a.timer = nil, nil
	if !a.conn.srv.allowsDeeds(countCost) { // it comes again and again, for one minute takes little
		a.conn.srv.leftOut.add(a, who, counts)
		return
	}
	a.offer(slices.Concat([]string{"PHASE", "COUNT", "CONN", a.id()}, who, tallied(counts))...)
}

// tallied says how many of each verb there were, as keys and values.
func tallied(counts map[string]int) []string {
	all := 0
	var verbs []string
	for _, verb := range slices.Sorted(maps.Keys(counts)) {
		all += counts[verb]
		verbs = append(verbs, verb+":"+strconv.Itoa(counts[verb]))
	}
	return []string{"COUNT", strconv.Itoa(all), "VERBS", strings.Join(verbs, ",")}
}

// end records what has been counted. Nothing is recorded after it.
func (a *audit) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tellCountsLocked(a.peer)
	a.over = true
}

// deed is one command that changes something. Its zero value is one that does
// not, of which nothing is recorded.
type deed struct {
	audit *audit // nil: none
	cmd   command
	n     string        // "": it was not forwarded, or only counted
	sent  time.Time     // zero: it was not forwarded
	took  time.Duration // until the answer was whole
	head  []byte        // the first bytes of the reply, at most headBytes
}

// deed returns what a command that is forwarded is.
func (a *audit) deed(cmd command) deed {
	if changes(cmd.verb) {
		return deed{audit: a, cmd: cmd}
	}
	return deed{}
}

// begin records that the command is forwarded now.
func (d *deed) begin() {
	if d.audit == nil {
		return
	}
	a := d.audit
	a.n++
	d.sent = time.Now()
	n, verb := strconv.FormatUint(a.n, 10), shownVerb(d.cmd.verb)
	kv := append(append([]string{"PHASE", "SENT", "CONN", a.id(), "N", n}, a.who()...), "VERB", verb)
	if args := redact(d.cmd); args != "" {
		kv = append(kv, "ARGS", args)
	}
	ev := event.NewJournal(event.WhatCommand, kv...)
	if !a.allows(len(ev.Format()) + doneCost) {
		a.conn.srv.leftOut.add(a, a.who(), map[string]int{verb: 1})
		return
	}
	d.n = n
	a.conn.srv.writes.Offer(ev)
}

// of returns a writer that passes the reply on to w and notes its code.
func (d *deed) of(w io.Writer) io.Writer {
	if d.audit == nil {
		return w
	}
	return &codeReader{deed: d, to: w}
}

// answered notes that the source has answered, unless err says that it has not.
func (d *deed) answered(err error) {
	if err != nil {
		d.head = nil
	} else if d.audit != nil {
		d.took = time.Since(d.sent)
	}
}

// end records the answer, if there was one. The reply has gone before.
func (d *deed) end() {
	if d.n == "" || len(d.head) < 3 {
		return
	}
	code := string(d.head[:3])
	if !isNumber(code) {
		return
	}
	ms := strconv.FormatFloat(float64(d.took.Microseconds())/1000, 'f', 3, 64)
	kv := []string{"PHASE", "DONE", "CONN", d.audit.id(), "N", d.n, "VERB", shownVerb(d.cmd.verb), "CODE", code, "MS", ms}
	if circuit := d.made(); circuit != "" {
		kv = append(kv, "CIRCUIT", circuit)
	}
	d.audit.offer(kv...)
}

// made returns the number of the circuit that tor made for the command, "" if it
// made none.
func (d *deed) made() string {
	if d.cmd.verb != "EXTENDCIRCUIT" {
		return ""
	}
	if f := strings.Fields(d.cmd.args); len(f) == 0 || f[0] != "0" {
		return ""
	}
	line, whole := strings.CutSuffix(string(d.head), "\r\n")
	circuit, extended := strings.CutPrefix(line, "250 EXTENDED ")
	if !whole || !extended || !isNumber(circuit) {
		return ""
	}
	return circuit
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// headBytes are enough for "250 EXTENDED " and the longest number of a circuit.
const headBytes = 32

// codeReader looks at the first bytes of a reply.
type codeReader struct {
	deed *deed
	to   io.Writer
}

func (r *codeReader) Write(p []byte) (int, error) {
	if missing := headBytes - len(r.deed.head); missing > 0 {
		r.deed.head = append(r.deed.head, p[:min(missing, len(p))]...)
	}
	return r.to.Write(p)
}
