package logfile

import (
	"bytes"
	"strconv"
	"time"
)

// restartGap is how long no circuit was launched when a smaller number than
// the last is a new tor, and not a log out of order.
const restartGap = time.Hour

// Sessions tells the lives of a tor in one log apart. The zero value is ready.
type Sessions struct {
	begun   bool
	session uint64    // as the log numbers it
	last    uint64    // ID of the circuit that was launched last
	at      time.Time // when
}

// Begins reports whether a new life begins with e: with the first event; where
// the log numbers sessions, with a new number; where it does not, with a CIRC
// LAUNCHED whose ID is lower than that of the one before, more than an hour
// later: tor counts circuits up as long as it lives.
func (s *Sessions) Begins(e *Entry) bool {
	begins := !s.begun || e.Session != s.session
	id, launched := launchedID(e.Wire)
	if launched && e.Session == 0 && id < s.last && e.Time.Sub(s.at) > restartGap {
		begins = true
	}
	if begins {
		*s = Sessions{begun: true, session: e.Session}
	}
	if launched {
		s.last, s.at = id, e.Time
	}
	return begins
}

// launchedID returns the ID of the circuit that an event says is launched.
func launchedID(wire []byte) (id uint64, ok bool) {
	rest, ok := bytes.CutPrefix(wire, []byte("650 CIRC "))
	if !ok {
		return 0, false
	}
	word, rest, _ := bytes.Cut(rest, []byte(" "))
	if !bytes.HasPrefix(rest, []byte("LAUNCHED")) {
		return 0, false
	}
	id, err := strconv.ParseUint(string(word), 10, 64)
	return id, err == nil
}
