package event

// Bandwidth is a BW event: what Tor read and wrote in the last second
// (control-spec, section 4.1.4).
type Bandwidth struct {
	Read    uint64 // bytes
	Written uint64 // bytes

	Rest
}

// Type returns BW.
func (*Bandwidth) Type() Type { return BW }

// Format returns the wire form.
func (e *Bandwidth) Format() []byte {
	var scratch [64]byte
	b := e.open(scratch[:0], BW)
	b = appendNumber(b, e.Read)
	b = appendNumber(b, e.Written)
	return e.close(b)
}

func readBandwidth(s *scanner) *Bandwidth {
	return &Bandwidth{Read: s.number(), Written: s.number(), Rest: s.words()}
}

// StreamBandwidth is a STREAM_BW event: what an application stream moved
// since its last such event, about a second ago (control-spec, section
// 4.1.13).
type StreamBandwidth struct {
	ID      string // the stream's
	Written uint64 // bytes the application wrote, the first number on the wire
	Read    uint64 // bytes the application read
	Time    string // when Tor made the event, UTC, microseconds; see ParseTime

	Rest
}

// Type returns STREAM_BW.
func (*StreamBandwidth) Type() Type { return STREAM_BW }

// Format returns the wire form.
func (e *StreamBandwidth) Format() []byte {
	var scratch [128]byte
	b := e.open(scratch[:0], STREAM_BW)
	b = appendWord(b, e.ID)
	b = appendNumber(b, e.Written)
	b = appendNumber(b, e.Read)
	b = appendOptional(b, e.Time)
	return e.close(b)
}

func readStreamBandwidth(e *StreamBandwidth, s *scanner) *StreamBandwidth {
	e.ID, e.Written, e.Read, e.Time = s.word(), s.number(), s.number(), s.optional()
	e.Rest = s.words()
	return e
}

// CircuitBandwidth is a CIRC_BW event: what a circuit moved since its last
// such event, about a second ago (control-spec, section 4.1.22). The sum of
// delivered and overhead bytes is what Tor accepted, relay headers left out.
type CircuitBandwidth struct {
	ID               string // ID=, the circuit's
	Read             uint64 // READ=, bytes
	Written          uint64 // WRITTEN=, bytes
	Time             string // TIME=, when Tor made the event, UTC, microseconds; see ParseTime
	DeliveredRead    uint64 // DELIVERED_READ=, bytes
	OverheadRead     uint64 // OVERHEAD_READ=, bytes
	DeliveredWritten uint64 // DELIVERED_WRITTEN=, bytes
	OverheadWritten  uint64 // OVERHEAD_WRITTEN=, bytes

	// Congestion control, of circuits that use it; CongestionWindow is 0 if
	// this one does not.
	SlowStart        uint64 // SS=, 1 in slow start, else 0
	CongestionWindow uint64 // CWND=, cells
	RTT              uint64 // RTT=, smoothed, milliseconds
	MinRTT           uint64 // MIN_RTT=, milliseconds

	Rest
}

// Type returns CIRC_BW.
func (*CircuitBandwidth) Type() Type { return CIRC_BW }

// Format returns the wire form.
func (e *CircuitBandwidth) Format() []byte {
	var scratch [256]byte
	b := e.open(scratch[:0], CIRC_BW)
	b = e.plain(b, 0, "ID", e.ID)
	b = e.uint(b, 1, "READ", e.Read)
	b = e.uint(b, 2, "WRITTEN", e.Written)
	b = e.plain(b, 3, "TIME", e.Time)
	b = e.uint(b, 4, "DELIVERED_READ", e.DeliveredRead)
	b = e.uint(b, 5, "OVERHEAD_READ", e.OverheadRead)
	b = e.uint(b, 6, "DELIVERED_WRITTEN", e.DeliveredWritten)
	b = e.uint(b, 7, "OVERHEAD_WRITTEN", e.OverheadWritten)
	if e.present != 0 || e.CongestionWindow != 0 {
		b = e.uint(b, 8, "SS", e.SlowStart)
		b = e.uint(b, 9, "CWND", e.CongestionWindow)
		b = e.uint(b, 10, "RTT", e.RTT)
		b = e.uint(b, 11, "MIN_RTT", e.MinRTT)
	}
	return e.close(b)
}

func readCircuitBandwidth(e *CircuitBandwidth, s *scanner) *CircuitBandwidth {
	for s.next() {
		switch s.key {
		case "ID":
			s.plain(0, &e.ID)
		case "READ":
			s.uint(1, &e.Read)
		case "WRITTEN":
			s.uint(2, &e.Written)
		case "TIME":
			s.plain(3, &e.Time)
		case "DELIVERED_READ":
			s.uint(4, &e.DeliveredRead)
		case "OVERHEAD_READ":
			s.uint(5, &e.OverheadRead)
		case "DELIVERED_WRITTEN":
			s.uint(6, &e.DeliveredWritten)
		case "OVERHEAD_WRITTEN":
			s.uint(7, &e.OverheadWritten)
		case "SS":
			s.uint(8, &e.SlowStart)
		case "CWND":
			s.uint(9, &e.CongestionWindow)
		case "RTT":
			s.uint(10, &e.RTT)
		case "MIN_RTT":
			s.uint(11, &e.MinRTT)
		default:
			s.unknown()
		}
	}
	e.Rest = s.rest()
	return e
}

// ConnBandwidth is a CONN_BW event: what a connection moved since its last
// such event, about a second ago (control-spec, section 4.1.21). Tor sends it
// only with TestingTorNetwork.
type ConnBandwidth struct {
	ID      string // ID=, the connection's
	Kind    string // TYPE=: OR, DIR or EXIT
	Read    uint64 // READ=, bytes
	Written uint64 // WRITTEN=, bytes

	Rest
}

// Type returns CONN_BW.
func (*ConnBandwidth) Type() Type { return CONN_BW }

// Format returns the wire form.
func (e *ConnBandwidth) Format() []byte {
	var scratch [128]byte
	b := e.open(scratch[:0], CONN_BW)
	b = e.plain(b, 0, "ID", e.ID)
	b = e.plain(b, 1, "TYPE", e.Kind)
	b = e.uint(b, 2, "READ", e.Read)
	b = e.uint(b, 3, "WRITTEN", e.Written)
	return e.close(b)
}

func readConnBandwidth(s *scanner) *ConnBandwidth {
	e := &ConnBandwidth{}
	for s.next() {
		switch s.key {
		case "ID":
			s.plain(0, &e.ID)
		case "TYPE":
			s.plain(1, &e.Kind)
		case "READ":
			s.uint(2, &e.Read)
		case "WRITTEN":
			s.uint(3, &e.Written)
		default:
			s.unknown()
		}
	}
	e.Rest = s.rest()
	return e
}
