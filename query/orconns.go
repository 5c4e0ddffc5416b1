package query

import (
	"cmp"
	"context"
	"strings"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Outcomes of an OR connection beside Open, Failed, Closed and Lost.
const Connecting = "connecting" // not connected yet, at the end of the record

// ORConn is one row: the life of one connection to, or from, another relay.
type ORConn struct {
	Session   uint64 `json:"session"`              // number of its session
	ID        string `json:"id,omitempty"`         // tor's, unique within the session
	Relay     string `json:"relay"`                // as tor wrote it last: $fingerprint~nickname, or address:port
	Incoming  bool   `json:"incoming,omitempty"`   // somebody else opened it
	Launched  Stamp  `json:"launched,omitzero"`    // arrival of LAUNCHED, or of NEW if it is incoming
	Connected Stamp  `json:"connected,omitzero"`   // arrival of CONNECTED
	Closed    Stamp  `json:"closed,omitzero"`      // arrival of its end, FAILED or CLOSED
	Status    string `json:"status,omitempty"`     // last status word, as tor wrote it
	Outcome   string `json:"outcome"`              // connecting, open, closed, failed, lost
	ConnectMS *int64 `json:"connect_ms,omitempty"` // connected minus launched, in whole ms
	LifeMS    *int64 `json:"life_ms,omitempty"`    // closed minus launched, in whole ms
	Reason    string `json:"reason,omitempty"`     // of its end
	Circuits  uint64 `json:"circuits,omitempty"`   // circuits on it when it ended

	place Place
}

// Place is Row's.
func (o *ORConn) Place() Place { return o.place }

// Is reports whether word is the row's status or its outcome, in upper or
// lower case.
func (o *ORConn) Is(word string) bool {
	return strings.EqualFold(word, o.Status) || strings.EqualFold(word, o.Outcome)
}

// ORConnWords lists what Is knows: tor's status words, then our outcomes.
func ORConnWords() []string {
	return []string{"NEW", "LAUNCHED", "CONNECTED", "FAILED", "CLOSED", Connecting, Open, Closed, Failed, Lost}
}

// ORConnPick says which connections are wanted; its zero value: all.
type ORConnPick struct {
	Status string // that is their status or their outcome, see Is
	Reason string // that is their reason
	Relay  string // nickname, or fingerprint or its beginning with "$", of the other end, see askedRelay; or its address:port
}

// match reports whether o is wanted; to tells whether an end is Relay. Words may be
// in upper or lower case.
func (k *ORConnPick) match(o *ORConn, to func(relay string) bool) bool {
	return (k.Status == "" || o.Is(k.Status)) && (k.Reason == "" || strings.EqualFold(k.Reason, o.Reason)) &&
		(k.Relay == "" || to(o.Relay))
}

// ORConns calls emit for every OR connection that pick chooses and any of whose
// life lies in r, in the order in which ORCONN events first name them. It is to
// connections what Circuits is to circuits; but a snapshot does not tell the
// numbers of those that stood, so a connection is known from its first event on.
func ORConns(ctx context.Context, rd journal.Reader, r journal.Range, pick ORConnPick, part Part, emit func(*ORConn) error) ([]journal.Gap, error) {
	return orConns(ctx, stored{rd}, r, pick, part, emit)
}

func orConns(ctx context.Context, src source, r journal.Range, pick ORConnPick, part Part, emit func(*ORConn) error) ([]journal.Gap, error) {
	asked := askedRelay{word: pick.Relay, src: src, r: r, part: part}
	to := func(end string) bool { return asked.is(ctx, end) }
	gaps, err := eachLife(ctx, part, func(part Part) (*census[*orConnLife], func(*orConnLife) error) {
		w := newCensus[*orConnLife](src, r, part)
		w.types = event.NewSet(event.ORCONN)
		w.born = func(b being) *orConnLife { return &orConnLife{being: b} }
		w.wanted = func(l *orConnLife) bool { return pick == ORConnPick{} || pick.match(l.row(), to) }
		w.turn, w.beside = func() {}, asked.size
		w.hear = func(rec *journal.Record, e event.Event) {
			ev, ok := e.(*event.ORConn)
			if !ok {
				return
			}
			id := ev.ID
			if id == "" {
				id = ev.Target // of a tor that does not number them
			}
			if ev.Status == orconnNew || ev.Status == statusLaunched {
				w.again(id)
			}
			l := w.life(id, rec)
			l.event(ev, Stamp{rec.Time})
			w.review(l)
		}
		return w, func(l *orConnLife) error { return emit(l.row()) }
	})
	return gaps, cmp.Or(err, asked.err)
}

// orConnLife is the state machine of one connection.
//
//	LAUNCHED | NEW ─▶ CONNECTED ─▶ CLOSED
//	LAUNCHED ─▶ FAILED
type orConnLife struct {
	being
	so ORConn // what is known so far
}

func (l *orConnLife) over() bool { return l.ended() }

func (l *orConnLife) event(ev *event.ORConn, at Stamp) {
	o := &l.so
	l.named = true
	if l.ended() {
		return // FAILED, and then CLOSED: the first one says why
	}
	if o.Relay == "" || strings.HasPrefix(ev.Target, "$") {
		o.Relay = strings.Clone(ev.Target)
	}
	o.ID, o.Status = strings.Clone(ev.ID), strings.Clone(ev.Status)
	switch ev.Status {
	case orconnNew, statusLaunched:
		o.Launched, o.Incoming = at, ev.Status == orconnNew
	case orconnConnected:
		if o.Connected.IsZero() {
			o.Connected = at
		}
	case statusFailed, statusClosed:
		l.closed = at.Time
		o.Reason, o.Circuits = strings.Clone(ev.Reason), ev.Circuits
	}
}

func (l *orConnLife) row() *ORConn {
	o := l.so
	o.Session, o.place, o.Closed = l.session, l.place, Stamp{l.closed}
	o.ConnectMS, o.LifeMS = milliseconds(o.Launched.Time, o.Connected.Time), milliseconds(o.Launched.Time, l.closed)
	switch {
	case o.Status == statusFailed:
		o.Outcome = Failed
	case l.ended():
		o.Outcome = Closed
	case l.lost():
		o.Outcome = Lost
	case o.Status == orconnConnected:
		o.Outcome = Open
	default:
		o.Outcome = Connecting
	}
	return &o
}
