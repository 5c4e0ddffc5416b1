package query

import (
	"context"
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Roles that a tor has towards an onion service. One that visits its own has both.
const (
	OnionService = "service" // it runs it
	OnionClient  = "client"  // it visits it
)

// Onion is one row: one onion service in one role, over all sessions.
//
// What is counted lies in the range: events by their time, circuits as with
// Circuits. Availability is, of a service, the share of the known time in which
// at least one introduction circuit was established and a descriptor had been
// uploaded at most three hours before, which is as long as directories keep it
// (rend-spec-v3 2.2.1). Known is the time from the first sign of the service in a
// session until the session's end, or until tor itself closed its last
// introduction circuit and nothing followed: then it was taken down. Not known is
// the time in which nothing was recorded, tor was down or events were lost; and,
// while introduction circuits stood, whether a descriptor was there if the
// session does not tell: three hours at most of a service that was found
// running. Of a client it is the share of the connections to the service that
// succeeded, of those that were decided.
type Onion struct {
	Role          string          `json:"role"`                    // see OnionService
	Address       string          `json:"address,omitempty"`       // without ".onion"; absent: of all whose address is not known, or hidden by the role
	First         Stamp           `json:"first,omitzero"`          // of what the range tells of it, the first thing; absent: it stood all the time
	Last          Stamp           `json:"last,omitzero"`           // the last one
	Uploads       *OnionTransfers `json:"uploads,omitempty"`       // of descriptors, of a service; absent if HS_DESC tells none
	Fetches       *OnionTransfers `json:"fetches,omitempty"`       // likewise of a client
	HSDirs        []*OnionHSDir   `json:"hsdirs,omitempty"`        // the directories of those, the one asked first first
	Introductions *OnionCircuits  `json:"introductions,omitempty"` // circuits to introduction points: established, or of a client: that passed its call on
	IntroPoints   []OnionIntro    `json:"intro_points,omitempty"`  // those that were established, by a service; the newest ones, see MaxIntroPoints
	Rendezvous    *OnionCircuits  `json:"rendezvous,omitempty"`    // circuits to rendezvous points: joined
	Connections   *OnionStreams   `json:"connections,omitempty"`   // streams to the service, of a client; absent if STREAM tells none
	KnownMS       *int64          `json:"known_ms,omitempty"`      // of a service: how much of the time is known, in whole ms; absent: none
	UpMS          *int64          `json:"up_ms,omitempty"`         // of that, when it was available
	Availability  *float64        `json:"availability,omitempty"`  // percent, two decimals, rounded down; absent if nothing is known

	place Place
}

// Place is Row's.
func (o *Onion) Place() Place { return o.place }

func (o *Onion) stand(at Place) { o.place = at }

// OnionTransfers counts uploads or fetches of descriptors.
type OnionTransfers struct {
	Asked      int            `json:"asked"`             // that were begun: UPLOAD or REQUESTED
	OK         int            `json:"ok"`                // UPLOADED, or RECEIVED
	Failed     int            `json:"failed"`            // FAILED; for want of a directory to ask it is none that was begun
	Unanswered int            `json:"unanswered"`        // begun, and nothing more was told: tor says nothing if the circuit breaks
	Reasons    map[string]int `json:"reasons,omitempty"` // of those that failed, as tor wrote it
}

// OnionHSDir is what a directory did for the descriptors of a service.
type OnionHSDir struct {
	Relay      string `json:"relay"`                 // as tor wrote it: $fingerprint~nickname
	Asked      int    `json:"asked"`                 // see OnionTransfers
	OK         int    `json:"ok"`                    // likewise
	Failed     int    `json:"failed"`                // likewise
	Unanswered int    `json:"unanswered"`            // likewise
	LastReason string `json:"last_reason,omitempty"` // of the last one that failed
	Last       Stamp  `json:"last"`                  // arrival of the last event that names it

	before int // begun before the range and not answered yet
}

// OnionCircuits counts circuits to introduction or rendezvous points.
type OnionCircuits struct {
	Attempted int            `json:"attempted"`           // all of them
	OK        int            `json:"ok"`                  // that came to where they should
	Failed    int            `json:"failed"`              // that ended before that
	Unused    int            `json:"unused"`              // that tor had to spare, and used for something else
	Open      int            `json:"open"`                // that stand, or whose end was not seen, without that
	FailedBy  []OnionFailure `json:"failed_by,omitempty"` // most first
}

// OnionFailure is how circuits failed that have it in common.
type OnionFailure struct {
	State        string `json:"state,omitempty"`         // last HS_STATE: how far it came
	Reason       string `json:"reason,omitempty"`        // as tor wrote it
	RemoteReason string `json:"remote_reason,omitempty"` // that came with it
	Count        int    `json:"count"`                   // of circuits
}

// OnionIntro is an introduction point's life.
type OnionIntro struct {
	Relay        string `json:"relay,omitempty"`         // as tor wrote it: $fingerprint~nickname
	Session      uint64 `json:"session"`                 // of the circuit to it
	Circuit      string `json:"circuit"`                 // its ID
	Established  Stamp  `json:"established,omitzero"`    // absent: it stood before the record, or that is missing in it
	Ended        Stamp  `json:"ended,omitzero"`          // arrival of the circuit's end
	LifeMS       *int64 `json:"life_ms,omitempty"`       // ended minus established, in whole ms
	Outcome      string `json:"outcome"`                 // Open, Closed or Lost
	Reason       string `json:"reason,omitempty"`        // why the circuit ended
	RemoteReason string `json:"remote_reason,omitempty"` // that came with it

	place Place
}

// OnionStreams counts streams to a service.
type OnionStreams struct {
	Asked   int            `json:"asked"`             // that a program asked for
	OK      int            `json:"ok"`                // SUCCEEDED
	Failed  int            `json:"failed"`            // FAILED
	GivenUp int            `json:"given_up"`          // closed before either
	Open    int            `json:"open"`              // not decided, at the end of the record or of the session
	Reasons map[string]int `json:"reasons,omitempty"` // of those that failed, with the remote reason behind a slash
}

// MaxIntroPoints is how many introduction points a row tells of. All are
// counted.
const MaxIntroPoints = 200

// OnionPick says which onion services are wanted; its zero value: all.
type OnionPick struct {
	Role    string // in which role
	Address string // that their address begins with, with or without ".onion"
}

// Match reports whether o is wanted. Words may be in upper or lower case.
func (k *OnionPick) Match(o *Onion) bool {
	address := strings.TrimSuffix(strings.ToLower(k.Address), ".onion")
	return (k.Role == "" || strings.EqualFold(k.Role, o.Role)) && strings.HasPrefix(o.Address, address)
}

// OnionRoles lists the roles.
func OnionRoles() []string { return []string{OnionService, OnionClient} }

// Onions calls emit for every onion service that pick chooses and of which HS_DESC
// events, circuits or streams of r tell, services first, each in the order in
// which they are first named. Circuits to directories do not say for whom they
// are, nor do others before their first hop: those are not counted. An error of emit ends it and is returned as it is.
//
// It keeps in memory the directories of each service, two times for each
// introduction circuit, and the circuits that stand.
func Onions(ctx context.Context, rd journal.Reader, r journal.Range, pick OnionPick, part Part, emit func(*Onion) error) ([]journal.Gap, error) {
	return onions(ctx, stored{rd}, r, pick, part, emit)
}

// onionTypes are those that tell of onion services, beside endTypes.
var onionTypes = []event.Type{event.HS_DESC, event.STREAM}

func onions(ctx context.Context, src source, r journal.Range, pick OnionPick, part Part, emit func(*Onion) error) ([]journal.Gap, error) {
	b := newOnionBook(r)
	w := newCircuitCount(src, r, part, b.circuit, onionTypes...)
	w.uses = true
	walk, turn := w.hear, w.turn
	w.hear = func(rec *journal.Record, e event.Event) {
		if _, ok := e.(*event.Stream); !ok { // circuits would count them, and nobody asks for that
			walk(rec, e)
		}
	}
	w.overhear(func(rec *journal.Record, e event.Event) {
		if w.before(rec.Time) {
			b.record(rec, e)
			w.fault = part.allow(b.bytes)
		}
	})
	w.turn = func() {
		turn()
		b.turn()
	}
	w.beside = func() int { return b.bytes }
	if err := w.count(ctx); err != nil {
		return w.gaps, err
	}
	known, err := b.known.times(ctx, src, w.r)
	if err != nil {
		return w.gaps, err
	}
	var rows []*Onion
	for _, row := range b.rows(known) {
		if pick.Match(row) {
			rows = append(rows, row)
		}
	}
	return w.gaps, inOrder(rows, part, emit)
}
