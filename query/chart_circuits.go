package query

import (
	"math"

	"torjournal/journal"
	"torjournal/tor/event"
)

// building is how circuits came along, in the order of the record.
type building struct {
	run  sighting // those that failed since one was built last
	good moment   // when one over several relays was built last

	minute       int64 // since 1970
	rends, most  int   // circuits to rendezvous points that a service began in that minute, and in the fullest one
	from, mostAt moment
}

func (b *building) hear(rec *journal.Record, e *event.Circuit, inside bool) {
	switch {
	case e.Status == statusBuilt:
		b.run = sighting{}
		if e.Path.Len() > 1 { // tor asks its directories over one
			b.good = momentOf(rec)
		}
	case e.Status == statusFailed:
		b.run.see(rec, inside)
	case inside && e.Status == statusLaunched && e.Purpose == "HS_SERVICE_REND":
		if m := rec.Time.Unix() / 60; m != b.minute {
			b.minute, b.rends, b.from = m, 0, momentOf(rec)
		}
		if b.rends++; b.rends > b.most {
			b.most, b.mostAt = b.rends, b.from
		}
	}
}

// timeoutChart counts the timeouts that tor computed by their size: four parts
// to a doubling.
type timeoutChart struct {
	total int
	parts [timeoutParts]int
}

const timeoutParts = 96 // up to 2^24 ms, which is hours

func (t *timeoutChart) hear(e *event.BuildTimeoutSet, inside bool) {
	if !inside || e.Kind != "COMPUTED" || e.TimeoutMS == 0 {
		return
	}
	t.total++
	t.parts[min(int(4*math.Log2(float64(e.TimeoutMS))), timeoutParts-1)]++
}

// rank returns a timeout, in ms, that a share p of them does not exceed.
func (t *timeoutChart) rank(p float64) float64 {
	n := 0
	for i, k := range t.parts {
		if n += k; k > 0 && float64(n) >= p*float64(t.total) {
			return math.Exp2(float64(i) / 4)
		}
	}
	return 0
}

// silence is the time at the end of the record in which tor read no byte.
type silence struct {
	sighting
	sending int // seconds of it in which it wrote some
	opened  int // streams that it sent to an exit meanwhile
}

func (s *silence) hear(rec *journal.Record, e *event.Bandwidth) {
	if e.Read > 0 {
		*s = silence{}
		return
	}
	s.see(rec, true)
	if e.Written > 0 {
		s.sending++
	}
}

func (s *silence) stream(e *event.Stream) {
	if s.count > 0 && e.Status == "SENTCONNECT" {
		s.opened++
	}
}
