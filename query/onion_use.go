package query

import (
	"strings"
	"time"

	"torjournal/tor/event"
)

// Purposes of circuits that meet somebody of an onion service (control-spec
// 4.1.1); those to a directory of its descriptors do not say whose. The words
// behind them are the state in which they have come there.
const (
	serviceIntro = "HS_SERVICE_INTRO" // HSSI_ESTABLISHED: the introduction point takes calls
	serviceRend  = "HS_SERVICE_REND"  // HSSR_JOINED: joined with the client's circuit
	clientIntro  = "HS_CLIENT_INTRO"  // HSCI_DONE: the introduction point has passed the call on
	clientRend   = "HS_CLIENT_REND"   // HSCR_JOINED: joined with the service's circuit
)

// onionPurposes is what they all begin with.
const onionPurposes = "HS_"

var metStates = map[string]string{
	serviceIntro: "HSSI_ESTABLISHED", serviceRend: "HSSR_JOINED", clientIntro: "HSCI_DONE", clientRend: "HSCR_JOINED",
}

// measureTimeout is the purpose of what tor has given up and goes on building.
const measureTimeout = "MEASURE_TIMEOUT"

// onionUse is what a circuit does for an onion service, or a client of one. A
// circuit may do more than one such thing, one after the other: tor extends the
// spare circuits of one for another.
type onionUse struct {
	before  *onionUse // what it did before; nil: nothing
	purpose string    // one of the constants
	since   time.Time // when it is first seen to do it
	told    bool      // whose it is
	address string    // of the service; "" where it is hidden
	state   string    // last HS_STATE
	met     time.Time // when it came to where it should, see the constants
	already bool      // it had when it was seen at met: the change was not recorded
	relay   string    // its last hop then
	left    time.Time // when it went on to something else
}

// serve takes what an event, that the life has taken before, says of its use.
// change says that it tells of a change of purpose or state.
func (l *life) serve(info *event.CircuitInfo, change bool, at time.Time, words *intern) {
	u := l.onion
	if u == nil && !strings.HasPrefix(info.Purpose, onionPurposes) {
		return // as most circuits
	}
	met, ours := metStates[info.Purpose]
	switch {
	case info.Purpose == "":
		return
	case u != nil && u.left.IsZero() && u.purpose == info.Purpose:
	case ours:
		if u != nil && u.left.IsZero() {
			u.left = at
		}
		u = &onionUse{before: u, purpose: words.word(info.Purpose), since: at}
		l.onion = u
	default:
		if u != nil && u.left.IsZero() && !l.failed && info.Purpose != measureTimeout {
			u.left = at
		}
		return
	}
	if info.RendQuery != "" {
		u.told, u.address = true, onionAddress(words.word(info.RendQuery))
	}
	if info.HSState != "" {
		u.state = words.word(info.HSState)
	}
	if u.met.IsZero() && info.HSState == met {
		if u.met, u.already = at, !change; len(l.path) > 0 {
			u.relay = l.path[len(l.path)-1]
		}
	}
}

// end returns when the circuit ended to do it, zero if that is not known.
func (u *onionUse) end(l *life) time.Time {
	switch {
	case !u.left.IsZero():
		return u.left
	case l.failed:
		return l.failedAt // tor may go on building it
	}
	return l.closed
}

// onionAddress returns the address that an event names, "" if it says that it
// does not know it or it is hidden.
func onionAddress(word string) string {
	if word == "UNKNOWN" || word == "[scrubbed]" {
		return ""
	}
	return word
}
