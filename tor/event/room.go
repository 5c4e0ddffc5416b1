package event

// Room is where events lie that are parsed one after the other and soon done
// with: of those that come often nothing is allocated, once there is room for as
// many as lie there at a time. Its zero value is ready. It is for one goroutine at
// a time.
type Room struct {
	circuits         slab[Circuit]
	circuitsMinor    slab[CircuitMinor]
	streams          slab[Stream]
	circuitBandwidth slab[CircuitBandwidth]
	streamBandwidth  slab[StreamBandwidth]
}

// ParseInPlace is the function of that name, but the event is there until Reset.
func (r *Room) ParseInPlace(wire []byte) (Event, error) { return parseInPlace(wire, r) }

// read reads an event into r if there is room for its type, else it returns nil.
func (r *Room) read(f *frame, s *scanner) Event {
	switch f.name {
	case CIRC:
		return readCircuit(r.circuits.next(), s)
	case CIRC_MINOR:
		return readCircuitMinor(r.circuitsMinor.next(), s)
	case STREAM:
		return readStream(r.streams.next(), s)
	case CIRC_BW:
		return readCircuitBandwidth(r.circuitBandwidth.next(), s)
	case STREAM_BW:
		return readStreamBandwidth(r.streamBandwidth.next(), s)
	}
	return nil
}

// Reset gives up the events that lie in r.
func (r *Room) Reset() {
	r.circuits.reset()
	r.circuitsMinor.reset()
	r.streams.reset()
	r.circuitBandwidth.reset()
	r.streamBandwidth.reset()
}

// slab is room for events of one type.
type slab[E any] struct {
	all  []E
	used int // of all; the others are zero
}

// fewEvents is how many a slab begins with.
const fewEvents = 8

// next returns a zero event.
func (s *slab[E]) next() *E {
	if s.used == len(s.all) {
		s.all, s.used = make([]E, max(fewEvents, 2*s.used)), 0 // who has the old ones keeps them
	}
	s.used++
	return &s.all[s.used-1]
}

func (s *slab[E]) reset() {
	clear(s.all[:s.used]) // what they stood in is not kept
	s.used = 0
}
