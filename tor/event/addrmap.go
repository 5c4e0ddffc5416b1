package event

// AddrMap is an ADDRMAP event: a new address mapping, or the answer to a
// RESOLVE command (control-spec, section 4.1.7).
type AddrMap struct {
	Address    string // what was asked for
	NewAddress string // what it maps to, or "<error>"
	Expiry     string // local time, or NEVER; better use Expires

	Error    string // error=, "yes" or "internal" of a failed lookup
	Expires  string // EXPIRES=, UTC, seconds; "" if never; see ParseTime
	Cached   string // CACHED=, YES or NO
	StreamID string // STREAMID=, the stream or circuit the answer came over

	Rest
}

// Type returns ADDRMAP.
func (*AddrMap) Type() Type { return ADDRMAP }

// Format returns the wire form.
func (a *AddrMap) Format() []byte {
	var scratch [256]byte
	b := a.open(scratch[:0], ADDRMAP)
	b = appendWord(b, a.Address)
	b = appendWord(b, a.NewAddress)
	b = appendWord(b, a.Expiry)
	b = a.plain(b, 0, "error", a.Error)
	b = a.quoted(b, 1, "EXPIRES", a.Expires)
	b = a.quoted(b, 2, "CACHED", a.Cached)
	b = a.plain(b, 3, "STREAMID", a.StreamID)
	return a.close(b)
}

func readAddrMap(s *scanner) *AddrMap {
	a := &AddrMap{Address: s.word(), NewAddress: s.word(), Expiry: s.word()}
	for s.next() {
		switch s.key {
		case "error":
			s.plain(0, &a.Error)
		case "EXPIRES":
			s.quoted(1, &a.Expires)
		case "CACHED":
			s.quoted(2, &a.Cached)
		case "STREAMID":
			s.plain(3, &a.StreamID)
		default:
			s.unknown()
		}
	}
	a.Rest = s.rest()
	return a
}
