package query

import (
	"context"

	"torjournal/journal"
)

// Session is one row: one life of a source, as far as the journal holds it.
type Session struct {
	Session     uint64 `json:"session"`               // its number
	Name        string `json:"name"`                  // of the source
	Version     string `json:"version,omitempty"`     // tor's
	Role        string `json:"role,omitempty"`        // as which it is recorded: client, onion, relay, testnet …
	Fingerprint string `json:"fingerprint,omitempty"` // if it is a relay
	PID         int    `json:"pid,omitempty"`         // of its process, if that is known
	Started     Stamp  `json:"started,omitzero"`      // when the process did
	Begun       Stamp  `json:"begun"`                 // when the journal first saw it
	Ended       Stamp  `json:"ended,omitzero"`        // arrival of its last record; absent of the newest session
	First       uint64 `json:"first"`                 // number of its first record that the journal holds
	Last        uint64 `json:"last"`                  // of its last one
	Records     uint64 `json:"records"`               // how many that are

	place Place
}

// Place is Row's.
func (s *Session) Place() Place { return s.place }

// Sessions calls emit for every session of which a record lies in r, in order.
// An error of emit ends it and is returned as it is.
func Sessions(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Session) error) ([]journal.Gap, error) {
	return sessions(ctx, stored{rd}, r, part, emit)
}

func sessions(ctx context.Context, src source, r journal.Range, part Part, emit func(*Session) error) ([]journal.Gap, error) {
	w := walker{src: src}
	from, to, ok, err := w.bounds(ctx, r.To)
	if !ok || err != nil {
		return nil, err
	}
	all, err := w.sessions(ctx)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		row := &Session{
			Session: s.ID, Name: s.Source.Name, Version: s.Source.Version, Role: s.Source.Role, Fingerprint: s.Source.Fingerprint,
			PID: s.Source.PID, Started: Stamp{s.Source.Started}, Begun: Stamp{s.Begun}, First: max(s.First, from), Last: to, place: Place{At: int64(s.ID)},
		}
		newest := i == len(all)-1
		if !newest {
			row.Last = min(all[i+1].First-1, to)
		}
		if r.Session != 0 && s.ID != r.Session || row.Last < row.First || !part.begun(row.place) {
			continue
		}
		row.Records = row.Last - row.First + 1
		if _, ok, err := w.firstOf(ctx, journal.Range{From: row.First, To: row.Last, Since: r.Since, Until: r.Until}); err != nil || !ok {
			if err != nil {
				return w.gaps, err
			}
			continue
		}
		if !newest {
			last, ok, err := w.firstOf(ctx, journal.Range{From: row.Last, To: row.Last})
			if err != nil {
				return w.gaps, err
			}
			if ok {
				row.Ended = Stamp{last.Time}
			}
		}
		if err := emit(row); err != nil {
			return w.gaps, err
		}
	}
	return w.gaps, nil
}
