package event

// ORConn is an ORCONN event: the status of a connection to another relay
// changed (control-spec, section 4.1.3).
type ORConn struct {
	Target string // a LongName, or address:port if it is not known who it is; see ParseRouter
	Status string // NEW (incoming), LAUNCHED, CONNECTED, FAILED or CLOSED

	Reason   string // REASON=, of FAILED and CLOSED
	Circuits uint64 // NCIRCS=, circuits on it when it ended
	ID       string // ID=, the connection's

	Rest
}

// Type returns ORCONN.
func (*ORConn) Type() Type { return ORCONN }

// Format returns the wire form.
func (c *ORConn) Format() []byte {
	var scratch [256]byte
	b := c.open(scratch[:0], ORCONN)
	b = appendWord(b, c.Target)
	b = appendWord(b, c.Status)
	b = c.plain(b, 0, "REASON", c.Reason)
	b = c.optUint(b, 1, "NCIRCS", c.Circuits)
	b = c.plain(b, 2, "ID", c.ID)
	return c.close(b)
}

func readORConn(s *scanner) *ORConn {
	c := &ORConn{Target: s.word(), Status: s.word()}
	for s.next() {
		switch s.key {
		case "REASON":
			s.plain(0, &c.Reason)
		case "NCIRCS":
			s.uint(1, &c.Circuits)
		case "ID":
			s.plain(2, &c.ID)
		default:
			s.unknown()
		}
	}
	c.Rest = s.rest()
	return c
}
