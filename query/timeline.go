package query

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// around is how long before the first word of a circuit or stream, and after
// the last, log lines belong to its timeline.
const around = 5 * time.Second

// Step is one row of a timeline: one event that a circuit or a stream met
// with, or the bytes between two.
type Step struct {
	Time         Stamp   `json:"time"`                    // arrival
	Seq          uint64  `json:"seq"`                     // number of the record
	Session      uint64  `json:"session"`                 // number of the session
	Type         string  `json:"type"`                    // of the event: CIRC, STREAM, ORCONN, NOTICE, JOURNAL …
	What         string  `json:"what,omitempty"`          // status word; COMMAND or SNAPSHOT of a JOURNAL; bytes of a CIRC_BW or STREAM_BW
	AfterMS      *int64  `json:"after_ms,omitempty"`      // since the first event that names it, in whole ms
	Circuit      string  `json:"circuit,omitempty"`       // that the event names
	Stream       string  `json:"stream,omitempty"`        // likewise
	Relay        string  `json:"relay,omitempty"`         // the hop that was added, or the OR connection's other end
	Hop          int     `json:"hop,omitempty"`           // number of that hop, the first is 1
	HopMS        *int64  `json:"hop_ms,omitempty"`        // since the step before it: how long the extension took
	Purpose      string  `json:"purpose,omitempty"`       // where the event is the first to say it, or changes it
	HSState      string  `json:"hs_state,omitempty"`      // likewise
	Reason       string  `json:"reason,omitempty"`        // as tor wrote it
	RemoteReason string  `json:"remote_reason,omitempty"` // likewise
	Target       string  `json:"target,omitempty"`        // of a stream
	ReadBytes    *uint64 `json:"read_bytes,omitempty"`    // of bytes: since the last such row
	WrittenBytes *uint64 `json:"written_bytes,omitempty"` // likewise
	Text         string  `json:"text,omitempty"`          // of a log line its message; of a command its arguments; of its answer the code
	Verb         string  `json:"verb,omitempty"`          // of a command
}

// Place is Row's.
func (m *Step) Place() Place { return Place{At: int64(m.Seq)} }

// Timeline says what is to be known of a timeline beside its rows.
type Timeline struct {
	Gaps []journal.Gap
	Also []uint64 // other sessions of the range that have one of that ID
}

// timeline finds a circuit or a stream and tells what it met with. Its rows are
// in the order of the records.
type timeline struct {
	walker
	r      journal.Range
	part   Part
	emit   func(*Step) error
	id     string
	stream bool // else it is a circuit

	begin       uint64          // the first number that there is
	first, last mention         // of the life that is told
	over        bool            // its last word is its end
	guard       string          // fingerprint of a circuit's first hop
	circuits    map[string]bool // that the stream was on
	commands    map[[2]string]bool
	names       [][]byte // one of which stands in each line of a circuit or stream that it has to do with

	step          time.Time // of the last step of a circuit's building
	hops          int
	purpose, hs   string
	read, written uint64
	bytes         *Step // bytes that were not told yet
}

// CircuitTimeline calls emit for all that a circuit met with: its CIRC and
// CIRC_MINOR events with the time that each extension took, the OR connection
// to its first hop, its streams, its bytes, commands that name it, and NOTICE,
// WARN and ERR lines around it. It is the newest of that ID in r, of which it
// uses Since, Until, Session and To. An error of emit ends it and is returned
// as it is.
func CircuitTimeline(ctx context.Context, rd journal.Reader, r journal.Range, id string, part Part, emit func(*Step) error) (Timeline, error) {
	return (&timeline{walker: walker{src: stored{rd}}, r: r, id: id, part: part, emit: emit}).tell(ctx)
}

// StreamTimeline is CircuitTimeline of a stream: its STREAM events, its bytes,
// what became of the circuits that it was on, commands that name it, log lines.
func StreamTimeline(ctx context.Context, rd journal.Reader, r journal.Range, id string, part Part, emit func(*Step) error) (Timeline, error) {
	return (&timeline{walker: walker{src: stored{rd}}, r: r, id: id, stream: true, part: part, emit: emit}).tell(ctx)
}

func (t *timeline) tell(ctx context.Context) (out Timeline, err error) {
	t.circuits, t.commands = map[string]bool{}, map[[2]string]bool{}
	begin, to, ok, err := t.bounds(ctx, t.r.To)
	if !ok || err != nil {
		return out, err
	}
	t.begin, t.r.To = begin, to
	if out.Also, err = t.find(ctx); err == nil && t.first.seq != 0 {
		err = t.walk(ctx)
	}
	out.Gaps = t.gaps
	return out, err
}

// walk goes through the records of its life, those before that may have to do
// with it, and those of a minute after.
func (t *timeline) walk(ctx context.Context) error {
	if err := t.orConnection(ctx); err != nil {
		return err
	}
	logs := event.NewSet(event.NOTICE, event.WARN, event.ERR)
	types := logs.Union(event.NewSet(event.CIRC, event.CIRC_MINOR, event.CIRC_BW, event.ORCONN, event.STREAM, event.STREAM_BW, event.JOURNAL))
	last := t.last.seq
	if !t.over {
		last = t.r.To
	}
	session := t.first.session
	t.names = [][]byte{[]byte(t.id)}
	for circuit := range t.circuits {
		t.names = append(t.names, []byte(circuit))
	}
	for _, r := range []journal.Range{
		{To: t.first.seq - 1, Since: t.first.time.Add(-around), Session: session, Types: logs},
		{From: t.first.seq, To: last, Session: session, Types: types},
		{From: last + 1, To: t.r.To, Until: t.last.time.Add(lateBytes), Session: session, Types: types},
	} {
		if r.To < max(r.From, 1) {
			continue
		}
		for rec, err := range t.records(ctx, r) {
			if err != nil {
				return err
			}
			if err := t.take(&rec); err != nil {
				return err
			}
		}
	}
	return t.flush()
}

// backFirst is how many records before a circuit are looked at first for the OR
// connection that it went over; four times as many then, and so on: most such
// connections begin shortly before.
const backFirst = 1 << 14

// orConnection tells of the OR connection to the first hop, if it was there
// before the circuit. What was said of it last says so: it goes back to that.
func (t *timeline) orConnection(ctx context.Context) error {
	if t.guard == "" {
		return nil
	}
	sessions, err := t.sessions(ctx)
	if err != nil {
		return err
	}
	begin := t.begin
	for _, s := range sessions {
		if s.ID == t.first.session {
			begin = max(begin, s.First)
		}
	}
	r := journal.Range{From: begin, To: t.first.seq - 1, Session: t.first.session, Types: event.NewSet(event.ORCONN)}
	for part := range windows(r, backFirst) {
		found, err := t.lastORConn(ctx, part)
		switch {
		case err != nil:
			return err
		case found == nil:
		case found.What == "CONNECTED":
			return t.put(found)
		default:
			return nil // it had ended
		}
	}
	return nil
}

// lastORConn returns what was said last, in r, of an OR connection to the first hop
// that then stood, or had ended.
func (t *timeline) lastORConn(ctx context.Context, r journal.Range) (found *Step, err error) {
	back := walker{src: t.src} // what is missing before it began is no gap in what is told
	for rec, err := range back.records(ctx, r) {
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(rec.Wire, []byte(t.guard)) {
			continue
		}
		switch m := t.orConn(&rec); {
		case m == nil:
		case m.What == "CONNECTED", m.What == statusClosed, m.What == statusFailed:
			found = m
		}
	}
	return found, nil
}

// moment is a row for rec.
func (t *timeline) moment(rec *journal.Record, what string) *Step {
	return &Step{
		Time: Stamp{rec.Time}, Seq: rec.Seq, Session: rec.Session, Type: string(rec.Type), What: strings.Clone(what),
		AfterMS: milliseconds(t.first.time, rec.Time),
	}
}

func (t *timeline) orConn(rec *journal.Record) *Step {
	parsed, _ := event.Parse(rec.Wire)
	ev, ok := parsed.(*event.ORConn)
	if !ok || event.ParseRouter(ev.Target).Fingerprint != t.guard || t.guard == "" {
		return nil
	}
	m := t.moment(rec, ev.Status)
	m.Relay, m.Reason = ev.Target, ev.Reason
	return m
}

// take tells of rec what there is to tell.
func (t *timeline) take(rec *journal.Record) error {
	if !t.mayTell(rec) {
		return nil
	}
	parsed, err := event.Parse(rec.Wire)
	if err != nil {
		return nil // a line that cannot be read says nothing
	}
	var m *Step
	switch ev := parsed.(type) {
	case *event.Circuit:
		m = t.circuit(rec, ev)
	case *event.CircuitMinor:
		if !t.stream && ev.ID == t.id {
			m = t.moment(rec, ev.Event)
			m.Circuit, m.Purpose, m.HSState = ev.ID, ev.Purpose, ev.HSState
			t.purpose, t.hs = strings.Clone(ev.Purpose), strings.Clone(ev.HSState)
			if ev.Event == "CANNIBALIZED" {
				t.step = rec.Time
			}
		}
	case *event.ORConn:
		if !t.stream {
			m = t.orConn(rec)
		}
	case *event.Stream:
		if t.stream && ev.ID == t.id || !t.stream && ev.CircID == t.id {
			m = t.moment(rec, ev.Status)
			m.Stream, m.Target, m.Reason, m.RemoteReason = ev.ID, ev.Target, ev.Reason, ev.RemoteReason
			if ev.CircID != "0" {
				m.Circuit = ev.CircID
			}
			m.Purpose = ev.Purpose
		}
	case *event.CircuitBandwidth:
		if !t.stream && ev.ID == t.id {
			t.count(rec, ev.Read, ev.Written)
		}
	case *event.StreamBandwidth:
		if t.stream && ev.ID == t.id {
			t.count(rec, ev.Read, ev.Written)
		}
	case *event.Log:
		if t.near(rec) {
			m = t.moment(rec, "")
			m.Text = ev.Message
		}
	case *event.Journal:
		m = t.journal(rec, ev)
	}
	if m == nil {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	return t.put(m)
}

// mayTell reports whether rec may have to do with it: most lines are of others, and
// need not be read for that.
func (t *timeline) mayTell(rec *journal.Record) bool {
	switch rec.Type {
	case event.CIRC, event.CIRC_MINOR, event.CIRC_BW, event.STREAM, event.STREAM_BW:
		return slices.ContainsFunc(t.names, func(name []byte) bool { return bytes.Contains(rec.Wire, name) })
	case event.ORCONN:
		return bytes.Contains(rec.Wire, []byte(t.guard))
	}
	return true
}

// near reports whether a log line may have to do with it.
func (t *timeline) near(rec *journal.Record) bool {
	return !t.over || rec.Seq <= t.last.seq || !rec.Time.After(t.last.time.Add(around))
}

// circuit tells of a CIRC event: of the circuit itself, or of one that the
// stream was on when it ended or was built.
func (t *timeline) circuit(rec *journal.Record, ev *event.Circuit) *Step {
	if t.stream {
		if !t.circuits[ev.ID] || ev.Status == statusExtended {
			return nil
		}
		m := t.moment(rec, ev.Status)
		m.Circuit, m.Reason, m.RemoteReason = ev.ID, ev.Reason, ev.RemoteReason
		return m
	}
	if ev.ID != t.id {
		return nil
	}
	m := t.moment(rec, ev.Status)
	m.Circuit, m.Reason, m.RemoteReason = ev.ID, ev.Reason, ev.RemoteReason
	if ev.Purpose != t.purpose {
		t.purpose = strings.Clone(ev.Purpose)
		m.Purpose = t.purpose
	}
	if ev.HSState != t.hs {
		t.hs = strings.Clone(ev.HSState)
		m.HSState = t.hs
	}
	n := ev.Path.Len()
	switch {
	case ev.Status == statusExtended && n > 0:
		hops := ev.Path.Hops()
		m.Hop, m.Relay = n, hops[n-1].String()
		m.HopMS = milliseconds(t.step, rec.Time)
		t.step = rec.Time
	case ev.Status == statusLaunched:
		t.step = rec.Time
	case ev.Status == statusBuilt && n > t.hops:
		// The last hop's own EXTENDED came just before, or is not in the record.
		m.Hop = n
	}
	t.hops = max(t.hops, n)
	return m
}

// count adds bytes to those that are told with the next row.
func (t *timeline) count(rec *journal.Record, read, written uint64) {
	if t.bytes == nil {
		t.bytes = new(Step)
	}
	*t.bytes = *t.moment(rec, "bytes")
	t.bytes.Circuit, t.bytes.Stream = t.id, ""
	if t.stream {
		t.bytes.Circuit, t.bytes.Stream = "", t.id
	}
	t.read += read
	t.written += written
}

// flush tells of bytes that were counted.
func (t *timeline) flush() error {
	m := t.bytes
	if m == nil {
		return nil
	}
	read, written := t.read, t.written
	m.ReadBytes, m.WrittenBytes = &read, &written
	t.bytes, t.read, t.written = nil, 0, 0
	return t.put(m)
}

func (t *timeline) put(m *Step) error {
	if !t.part.begun(m.Place()) {
		return nil
	}
	return t.emit(m)
}

// journal tells of a command that names it, of its answer, and of a snapshot
// in which it stands.
func (t *timeline) journal(rec *journal.Record, ev *event.Journal) *Step {
	get := func(key string) string { v, _ := ev.Keywords.Get(key); return v }
	switch ev.What {
	case event.WhatSnapshot:
		return t.snapshot(rec, ev)
	case event.WhatCommand:
	default:
		return nil
	}
	key := [2]string{get("CONN"), get("N")}
	switch get("PHASE") {
	case "SENT":
		if !t.addressed(get("VERB"), strings.Fields(get("ARGS"))) {
			return nil
		}
		t.commands[key] = true
		m := t.moment(rec, ev.What)
		m.Verb, m.Text = get("VERB"), get("ARGS")
		return m
	case "DONE":
		if !t.commands[key] && (t.stream || get("CIRCUIT") != t.id) { // nor is it what made it
			return nil
		}
		delete(t.commands, key)
		m := t.moment(rec, "ANSWER")
		m.Verb, m.Text = get("VERB"), get("CODE")
		return m
	}
	return nil
}

// addressed reports whether a command is about it (control-spec, section 3).
func (t *timeline) addressed(verb string, args []string) bool {
	place := 0
	switch verb {
	case "EXTENDCIRCUIT", "SETCIRCUITPURPOSE", "CLOSECIRCUIT":
		if t.stream {
			return false
		}
	case "ATTACHSTREAM":
		if !t.stream {
			place = 1
		}
	case "REDIRECTSTREAM", "CLOSESTREAM":
		if !t.stream {
			return false
		}
	default:
		return false
	}
	return place < len(args) && args[place] == t.id
}

// snapshot tells that it stood when the source was attached. That it still
// stood whenever the state was recorded again says nothing new.
func (t *timeline) snapshot(rec *journal.Record, ev *event.Journal) *Step {
	if _, again := ev.Keywords.Get("AGAIN"); again {
		return nil
	}
	key := "circuit-status"
	if t.stream {
		key = "stream-status"
	}
	lines, _ := snapshotLines(ev.Snapshot(), key)
	for line := range lines {
		if rest, ok := strings.CutPrefix(line, t.id+" "); ok {
			m := t.moment(rec, ev.What)
			m.Text = rest
			return m
		}
	}
	return nil
}
