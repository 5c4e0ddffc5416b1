package filter

import (
	"fmt"
	"strconv"
	"strings"

	"torjournal/journal"
)

// Session returns the number of the session that s names among sessions,
// which are those that a journal holds, in order: "0", "-0" and "" are the
// newest, "-1" is the one before it, and so on; a number from 1 up is that
// session. It never returns 0 without an error: in a journal.Range that would
// mean any session.
func Session(s string, sessions []journal.Session) (uint64, error) {
	if len(sessions) == 0 {
		return 0, fmt.Errorf("session %q: the journal holds no session yet; start `torjournal run`", s)
	}
	s = strings.TrimSpace(s)
	number, back := strings.CutPrefix(s, "-")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil && s != "" {
		return 0, fmt.Errorf("%q is no session; write its number, 0 for the newest or -1 for the one before, for example -1", s)
	}
	if !back && n > 0 {
		return numbered(n, sessions)
	}
	if n >= uint64(len(sessions)) {
		oldest := len(sessions) - 1
		if oldest == 0 {
			return 0, fmt.Errorf("session -%d: %s, which is 0", n, held(sessions))
		}
		return 0, fmt.Errorf("session -%d: %s; the oldest is -%d", n, held(sessions), oldest)
	}
	return sessions[len(sessions)-1-int(n)].ID, nil
}

func numbered(n uint64, sessions []journal.Session) (uint64, error) {
	for _, s := range sessions {
		if s.ID == n {
			return n, nil
		}
	}
	return 0, fmt.Errorf("session %d: %s", n, held(sessions))
}

// held says which sessions there are.
func held(sessions []journal.Session) string {
	first, last := sessions[0].ID, sessions[len(sessions)-1].ID
	if first == last {
		return fmt.Sprintf("the journal holds session %d only", first)
	}
	return fmt.Sprintf("the journal holds sessions %d to %d", first, last)
}
