package journal

import (
	"encoding/json"
	"time"

	"torjournal/tor/event"
)

// A session is stored as JSON: there are few of them, they are read by
// people, and event.Source may grow.
type storedSession struct {
	Source event.Source
	First  uint64
	Begun  time.Time
}

// maxSession bounds what is read as a session where nothing else can be
// trusted: its longest parts are a name and an address.
const maxSession = 64 << 10

func putSession(tx *txn, s *Session) error {
	b, err := appendOnly(tx, bucketSessions)
	if err != nil {
		return err
	}
	v, err := json.Marshal(storedSession{s.Source, s.First, s.Begun})
	if err != nil {
		return err
	}
	return b.put(key(s.ID), v)
}

func parseSession(k, v []byte) (Session, error) {
	id, err := number("sessions", k)
	if err != nil {
		return Session{}, err
	}
	var st storedSession
	if err := json.Unmarshal(v, &st); err != nil {
		return Session{}, damaged("sessions", 0, "session %d: %w", id, err)
	}
	return Session{ID: id, Source: st.Source, First: st.First, Begun: st.Begun.UTC()}, nil
}

// sessions returns every session of the file, in order.
func sessions(tx *txn) (out []Session, err error) {
	b, err := appendOnly(tx, bucketSessions)
	if err != nil {
		return nil, err
	}
	err = b.each(func(k []byte, v held) error {
		data, err := v.plain()
		if err != nil {
			return err
		}
		s, err := parseSession(k, data)
		out = append(out, s)
		return err
	})
	return out, err
}

// pruneSessions forgets the sessions that ended at or before the record
// evicted last. The newest one stays.
func pruneSessions(tx *txn, last uint64) error {
	all, err := sessions(tx)
	if err != nil {
		return err
	}
	b, err := appendOnly(tx, bucketSessions)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(all) && all[i+1].First <= last+1; i++ {
		if err := b.delete(key(all[i].ID)); err != nil {
			return err
		}
	}
	return nil
}

// sameProcess reports whether b is the process that a was: what names and
// numbers it is equal, and it began at the same time, as far as a start that
// is computed from an uptime in seconds can tell. Under another key its
// addresses and names are other ones: then it is another session.
func sameProcess(a, b event.Source) bool {
	const slack = 2 * time.Second
	return a.Name == b.Name && a.Scrub == b.Scrub && a.PID != 0 && a.PID == b.PID && a.Started.Sub(b.Started).Abs() <= slack
}

func (s *store) sessions() (out []Session, err error) {
	err = s.view(func(tx *txn) error {
		out, err = sessions(tx)
		return err
	})
	return out, err
}
