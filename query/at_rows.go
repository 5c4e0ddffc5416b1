package query

import (
	"iter"
	"strings"
	"time"

	"torjournal/tor/event"
)

// Lines yields what stood of a kind that was asked for, each as tor's GETINFO
// has it (control-spec 3.9), without line ends, in the order in which the
// records first tell of them.
func (m *Moment) Lines(k Kind) iter.Seq[string] {
	return func(yield func(string) bool) {
		l, ok := m.lineups[k]
		if !ok {
			return
		}
		for key, e := range l.inOrder() {
			if !yield(l.line(key, e)) {
				return
			}
		}
	}
}

// Answer returns tor's answer to the GETINFO of one kind, under the given key:
// one line, or a data block where tor makes one. Line ends are CRLF; the final
// "250 OK" is not in it.
func (m *Moment) Answer(k Kind, key string) []byte {
	var lines []string
	for line := range m.Lines(k) {
		lines = append(lines, line)
	}
	switch {
	case len(lines) == 0:
		return []byte("250-" + key + "=\r\n")
	case len(lines) == 1 && k != EntryGuards: // whose lines end like lines, the last one too
		return []byte("250-" + key + "=" + lines[0] + "\r\n")
	}
	return []byte("250+" + key + "=\r\n" + string(event.NewData(strings.Join(lines, "\r\n"))) + ".\r\n")
}

// Standing is one row: a circuit, a stream, a connection or a guard that stood.
// What an event tells of none of them is absent.
type Standing struct {
	Kind    string `json:"kind"`              // circuit, stream, orconn or guard
	Session uint64 `json:"session"`           // number of its session
	ID      string `json:"id,omitempty"`      // of a circuit or a stream: tor's number, of this session only
	Status  string `json:"status"`            // as tor writes it
	Circuit string `json:"circuit,omitempty"` // of a stream: the one it is on
	Target  string `json:"target,omitempty"`  // of a stream where it goes, of the others the relay

	Path          []string `json:"path,omitempty"`           // of a circuit, hop by hop as tor wrote it
	Purpose       string   `json:"purpose,omitempty"`        // of a circuit, as tor writes it
	HSState       string   `json:"hs_state,omitempty"`       // of a circuit for an onion service: how far it is, as tor writes it
	BuildFlags    string   `json:"build_flags,omitempty"`    // of a circuit, comma-separated as tor wrote them
	Created       Stamp    `json:"created,omitzero"`         // of a circuit: TIME_CREATED, when tor made it
	RendQuery     string   `json:"rend_query,omitempty"`     // of a circuit: onion service that it is for
	SocksUsername string   `json:"socks_username,omitempty"` // of a circuit: that of the stream that it was built for, or that was attached first
	SocksPassword string   `json:"socks_password,omitempty"` // likewise
	ConfluxID     string   `json:"conflux_id,omitempty"`     // of a circuit: that of the linked set it belongs to

	Since Stamp `json:"since,omitzero"` // of a guard that is down or unusable: since when
}

// Rows yields what stood of a kind.
func (m *Moment) Rows(k Kind) iter.Seq[*Standing] {
	return func(yield func(*Standing) bool) {
		for line := range m.Lines(k) {
			s := &Standing{Session: m.Session}
			s.read(k, line)
			if !yield(s) {
				return
			}
		}
	}
}

// read takes one line apart.
func (s *Standing) read(k Kind, line string) {
	switch k {
	case CircuitStatus:
		w, _, _ := words(line, 2)
		s.Kind, s.ID, s.Status = "circuit", w[0], w[1]
		if c, ok := snapshotEntry[*event.Circuit](event.CIRC, line); ok {
			s.circuit(c)
		}
	case StreamStatus:
		w, _, _ := words(line, 4)
		s.Kind, s.ID, s.Status, s.Circuit, s.Target = "stream", w[0], w[1], w[2], w[3]
		if s.Circuit == "0" {
			s.Circuit = ""
		}
	case ORConnStatus:
		w, _, _ := words(line, 2)
		s.Kind, s.Target, s.Status = "orconn", w[0], w[1]
	case EntryGuards:
		w, since, _ := words(line, 2)
		s.Kind, s.Target, s.Status = "guard", w[0], w[1]
		if t, err := time.Parse(time.DateTime, since); err == nil {
			s.Since = Stamp{t}
		}
	}
}

func (s *Standing) circuit(c *event.Circuit) {
	if c.Path != "" {
		s.Path = strings.Split(string(c.Path), ",")
	}
	s.Purpose, s.HSState, s.BuildFlags, s.RendQuery = c.Purpose, c.HSState, c.BuildFlags, c.RendQuery
	s.SocksUsername, s.SocksPassword, s.ConfluxID = c.SocksUsername, c.SocksPassword, c.ConfluxID
	if t, err := event.ParseTime(c.TimeCreated); err == nil {
		s.Created = Stamp{t}
	}
}
