package query

import (
	"slices"
	"strings"

	"torjournal/tor/event"
)

// Outcomes of a stream beside Open, Failed, Closed and Lost, which mean what
// they mean of a circuit.
const (
	Opening   = "opening"   // not connected yet, at the end of the record
	Succeeded = "succeeded" // connected, later closed: it served and ended
)

// Stream is one row: the whole life of one stream, over all the circuits that
// it was on.
type Stream struct {
	Session      uint64   `json:"session"`                 // number of its session
	ID           string   `json:"id"`                      // tor's, unique within the session
	Circuits     []string `json:"circuits,omitempty"`      // that it was attached to, in order; one to which it came back stands twice
	Target       string   `json:"target,omitempty"`        // address:port, as the client asked for it
	Source       string   `json:"source,omitempty"`        // address:port of the client program
	Purpose      string   `json:"purpose,omitempty"`       // USER, DIR_FETCH, DNS_REQUEST …
	Opened       Stamp    `json:"opened,omitzero"`         // arrival of NEW or NEWRESOLVE
	Succeeded    Stamp    `json:"succeeded,omitzero"`      // arrival of the first SUCCEEDED
	Closed       Stamp    `json:"closed,omitzero"`         // arrival of its end, FAILED or CLOSED
	Status       string   `json:"status,omitempty"`        // last status word of its STREAM events, as tor wrote it
	Outcome      string   `json:"outcome"`                 // ours: see Opening; open, failed, closed and lost as of a circuit
	ConnectMS    *int64   `json:"connect_ms,omitempty"`    // succeeded minus opened, in whole ms
	Reason       string   `json:"reason,omitempty"`        // of FAILED; of CLOSED if it did not fail
	RemoteReason string   `json:"remote_reason,omitempty"` // that came with Reason
	ReadBytes    *uint64  `json:"read_bytes,omitempty"`    // that the application read: sum of its STREAM_BW; absent if the session records none
	WrittenBytes *uint64  `json:"written_bytes,omitempty"` // likewise

	place Place
}

// Place is Row's.
func (s *Stream) Place() Place { return s.place }

// Is reports whether word is the row's status or its outcome, in upper or
// lower case.
func (s *Stream) Is(word string) bool {
	return strings.EqualFold(word, s.Status) || strings.EqualFold(word, s.Outcome)
}

// StreamWords lists what Is knows: tor's status words, then our outcomes.
func StreamWords() []string {
	return []string{
		"NEW", "NEWRESOLVE", "REMAP", "SENTCONNECT", "SENTRESOLVE", "SUCCEEDED", "FAILED", "CLOSED", "DETACHED", "CONTROLLER_WAIT",
		Opening, Open, Succeeded, Failed, Closed, Lost,
	}
}

// StreamPick says which streams are wanted; its zero value: all.
type StreamPick struct {
	Status  string // that is their status or their outcome, see Is
	Purpose string // that is their purpose
	Reason  string // that is their reason or their remote reason
	Target  string // that their target contains
	Circuit string // a circuit that they were on
}

// Match reports whether s is wanted. Words may be in upper or lower case.
func (k *StreamPick) Match(s *Stream) bool {
	switch {
	case k.Status != "" && !s.Is(k.Status),
		k.Purpose != "" && !strings.EqualFold(k.Purpose, s.Purpose),
		k.Reason != "" && !strings.EqualFold(k.Reason, s.Reason) && !strings.EqualFold(k.Reason, s.RemoteReason),
		k.Target != "" && !strings.Contains(strings.ToLower(s.Target), strings.ToLower(k.Target)),
		k.Circuit != "" && !slices.Contains(s.Circuits, k.Circuit):
		return false
	}
	return true
}

// streamLife is the state machine of one stream. As with circuits what comes is
// believed: events may be missing anywhere.
//
//	NEW ─▶ SENTCONNECT ─▶ REMAP ─▶ SUCCEEDED ─▶ CLOSED   the usual life
//	       SENTCONNECT ─▶ DETACHED ─▶ SENTCONNECT …      tried again on another circuit
//	       … ─▶ FAILED ─▶ CLOSED
type streamLife struct {
	being
	known      Stream // what is known so far
	everOpened bool   // by SUCCEEDED or by a snapshot
	failed     bool   // FAILED came, whatever followed
	read       uint64
	written    uint64
}

// over: nothing follows an end but a CLOSED behind a FAILED, which says the
// same again.
func (l *streamLife) over() bool { return l.ended() && l.known.Status == statusClosed }

// stream takes a STREAM event that arrived with rec.
func (l *streamLife) stream(ev *event.Stream, at Stamp, words *intern) {
	r := &l.known
	l.named = true
	l.lostBy = Stamp{}.Time
	l.attached(ev.CircID, words)
	if r.Target == "" {
		r.Target = strings.Clone(ev.Target) // later ones are what it was resolved to
	}
	if ev.SourceAddr != "" && r.Source == "" {
		r.Source = strings.Clone(ev.SourceAddr)
	}
	if ev.Purpose != "" {
		r.Purpose = words.word(ev.Purpose)
	}
	switch ev.Status {
	case "NEW", "NEWRESOLVE":
		if r.Opened.IsZero() {
			r.Opened = at
		}
	case "SUCCEEDED":
		if l.everOpened = true; r.Succeeded.IsZero() {
			r.Succeeded = at
		}
	case statusFailed, statusClosed:
		if l.closed.IsZero() {
			l.closed = at.Time
		}
		if !l.failed {
			r.Reason, r.RemoteReason = words.word(ev.Reason), words.word(ev.RemoteReason)
		}
		l.failed = l.failed || ev.Status == statusFailed
	}
	r.Status = words.word(ev.Status)
}

// standing takes an entry of a snapshot's stream-status.
func (l *streamLife) standing(ev *event.Stream, words *intern) {
	l.named = true
	if l.ended() {
		return
	}
	l.lostBy = Stamp{}.Time
	l.attached(ev.CircID, words)
	if l.known.Target == "" {
		l.known.Target = strings.Clone(ev.Target)
	}
	l.everOpened = l.everOpened || ev.Status == "SUCCEEDED"
	l.known.Status = words.word(ev.Status)
}

// attached notes the circuit that an event names.
func (l *streamLife) attached(circuit string, words *intern) {
	on := l.known.Circuits
	if circuit == "" || circuit == "0" || len(on) > 0 && on[len(on)-1] == circuit {
		return
	}
	l.known.Circuits = append(on, words.word(circuit))
}

func (l *streamLife) outcome() string {
	switch {
	case l.failed:
		return Failed
	case l.ended() && l.everOpened:
		return Succeeded
	case l.ended():
		return Closed
	case l.lost():
		return Lost
	case l.everOpened:
		return Open
	}
	return Opening
}

// row is what l looks like in an answer. bytes tells whether its session
// recorded any.
func (l *streamLife) row(bytes bool) *Stream {
	s := l.known
	s.Session, s.ID, s.place = l.session, l.id, l.place
	s.Closed, s.Outcome = Stamp{l.closed}, l.outcome()
	s.ConnectMS = milliseconds(s.Opened.Time, s.Succeeded.Time)
	if bytes {
		s.ReadBytes, s.WrittenBytes = &l.read, &l.written
	}
	return &s
}
