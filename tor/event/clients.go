package event

// ClientsSeen is a CLIENTS_SEEN event: from where a bridge has seen clients
// (control-spec, section 4.1.14). The lists are read with Counts; their
// numbers are rounded up.
type ClientsSeen struct {
	TimeStarted    string // TimeStarted=, since when, UTC; see ParseTime
	CountrySummary string // CountrySummary=, clients by country code
	IPVersions     string // IPVersions=, clients by v4 and v6

	Rest
}

// Type returns CLIENTS_SEEN.
func (*ClientsSeen) Type() Type { return CLIENTS_SEEN }

// Format returns the wire form.
func (c *ClientsSeen) Format() []byte {
	var scratch [256]byte
	b := c.open(scratch[:0], CLIENTS_SEEN)
	b = c.quoted(b, 0, "TimeStarted", c.TimeStarted)
	b = c.plain(b, 1, "CountrySummary", c.CountrySummary)
	b = c.plain(b, 2, "IPVersions", c.IPVersions)
	return c.close(b)
}

func readClientsSeen(s *scanner) *ClientsSeen {
	c := &ClientsSeen{}
	for s.next() {
		switch s.key {
		case "TimeStarted":
			s.quoted(0, &c.TimeStarted)
		case "CountrySummary":
			s.plain(1, &c.CountrySummary)
		case "IPVersions":
			s.plain(2, &c.IPVersions)
		default:
			s.unknown()
		}
	}
	c.Rest = s.rest()
	return c
}
