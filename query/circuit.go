package query

import (
	"slices"
	"strings"
	"time"
)

// Outcomes of a circuit: what became of it, as far as the record shows.
const (
	Building = "building" // launched and not built yet, at the end of the record
	Open     = "open"     // built and not ended, at the end of the record
	Built    = "built"    // built, later closed: it served and ended
	Failed   = "failed"   // tor said FAILED, whatever came after it
	Closed   = "closed"   // closed, and nothing says that it was ever built
	Lost     = "lost"     // its end was not seen: its session is over, or a later snapshot does not have it
)

// Circuit is one row: the whole life of one circuit.
type Circuit struct {
	Session      uint64   `json:"session"`                 // number of its session
	ID           string   `json:"id"`                      // tor's, unique within the session
	Launched     Stamp    `json:"launched,omitzero"`       // arrival of LAUNCHED; if that was not recorded, tor's TIME_CREATED
	Built        Stamp    `json:"built,omitzero"`          // arrival of the first BUILT
	Closed       Stamp    `json:"closed,omitzero"`         // arrival of its end, FAILED or CLOSED
	Status       string   `json:"status,omitempty"`        // last status word of its CIRC events, as tor wrote it
	Outcome      string   `json:"outcome"`                 // ours: see Building
	Purpose      string   `json:"purpose,omitempty"`       // last one
	HSState      string   `json:"hs_state,omitempty"`      // last one
	BuildFlags   string   `json:"build_flags,omitempty"`   // last ones, comma-separated as tor wrote them
	Path         []string `json:"path,omitempty"`          // last one, hop by hop as tor wrote it: $fingerprint~nickname
	BuildMS      *int64   `json:"build_ms,omitempty"`      // arrival of the first BUILT minus that of LAUNCHED, in whole ms
	LifeMS       *int64   `json:"life_ms,omitempty"`       // closed minus launched, in whole ms
	Reason       string   `json:"reason,omitempty"`        // of FAILED; of CLOSED if it did not fail
	RemoteReason string   `json:"remote_reason,omitempty"` // that came with Reason
	Streams      *uint64  `json:"streams,omitempty"`       // streams that were attached to it; absent if the session records none
	ReadBytes    *uint64  `json:"read_bytes,omitempty"`    // sum of its CIRC_BW; absent if the session records none
	WrittenBytes *uint64  `json:"written_bytes,omitempty"` // likewise

	place Place
}

// Place is Row's.
func (c *Circuit) Place() Place { return c.place }

// CircuitPick says which circuits are wanted; its zero value: all.
type CircuitPick struct {
	Status  string        // that is their status or their outcome, see Is
	Purpose string        // that is their last purpose
	Reason  string        // that is their reason or their remote reason
	Relay   string        // nickname, or fingerprint or its beginning with "$", of a hop; see askedRelay
	Slower  time.Duration // whose build took longer
}

// match reports whether c is wanted; through tells whether a hop is Relay. Words
// may be in upper or lower case.
func (k *CircuitPick) match(c *Circuit, through func(hop string) bool) bool {
	switch {
	case k.Status != "" && !c.Is(k.Status),
		k.Purpose != "" && !strings.EqualFold(k.Purpose, c.Purpose),
		k.Reason != "" && !strings.EqualFold(k.Reason, c.Reason) && !strings.EqualFold(k.Reason, c.RemoteReason),
		k.Slower != 0 && (c.BuildMS == nil || time.Duration(*c.BuildMS)*time.Millisecond <= k.Slower),
		k.Relay != "" && !slices.ContainsFunc(c.Path, through): // the last one: it may have to be looked for
		return false
	}
	return true
}

// Is reports whether word is the row's status or its outcome, in upper or
// lower case.
func (c *Circuit) Is(word string) bool {
	return strings.EqualFold(word, c.Status) || strings.EqualFold(word, c.Outcome)
}

// CircuitWords lists what Is knows: tor's status words, then our outcomes.
func CircuitWords() []string {
	return []string{
		"LAUNCHED", "BUILT", "GUARD_WAIT", "EXTENDED", "FAILED", "CLOSED",
		Building, Open, Built, Failed, Closed, Lost,
	}
}

// row is what l looks like in an answer. streams and bytes tell whether its
// session recorded any, so that a zero is known to be one.
func (l *life) row(streams, bytes bool) *Circuit {
	c := &Circuit{
		Session: l.session, ID: l.id,
		Launched: Stamp{l.launched}, Built: Stamp{l.built}, Closed: Stamp{l.closed},
		Status: l.status, Outcome: l.outcome(), Purpose: l.purpose, HSState: l.hsState,
		BuildFlags: l.buildFlags, Path: l.path, Reason: l.reason, RemoteReason: l.remoteReason, place: l.place,
	}
	if l.launched.IsZero() {
		c.Launched = Stamp{l.created}
	} else {
		c.BuildMS = milliseconds(l.launched, l.built)
	}
	c.LifeMS = milliseconds(c.Launched.Time, l.closed)
	if streams {
		c.Streams = &l.streams
	}
	if bytes {
		c.ReadBytes, c.WrittenBytes = &l.read, &l.written
	}
	return c
}

// bothReasons is a reason with the remote one, if there is one, behind a slash.
func bothReasons(reason, remote string) string {
	if remote != "" {
		return reason + "/" + remote
	}
	return reason
}

// milliseconds returns how long it was from one time to another, nil if that
// is unknown or the clock was put back in between.
func milliseconds(from, to time.Time) *int64 {
	if from.IsZero() || to.Before(from) {
		return nil
	}
	ms := to.Sub(from).Milliseconds()
	return &ms
}
