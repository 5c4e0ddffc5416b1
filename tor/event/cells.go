package event

// CellStats is a CELL_STATS event: the cells of one circuit since its last
// such event, about a second ago (control-spec, section 4.1.23). Inbound is
// towards the circuit's origin. The lists are read with Counts. Tor sends it
// only with TestingTorNetwork, sometimes without a single field.
type CellStats struct {
	ID string // ID=, the circuit's, if it begins here

	InboundQueue   string // InboundQueue=, queue ID, unique per connection
	InboundConn    string // InboundConn=, connection ID
	InboundAdded   string // InboundAdded=, cells by type
	InboundRemoved string // InboundRemoved=, cells by type
	InboundTime    string // InboundTime=, total wait by type, milliseconds

	OutboundQueue   string // OutboundQueue=
	OutboundConn    string // OutboundConn=
	OutboundAdded   string // OutboundAdded=
	OutboundRemoved string // OutboundRemoved=
	OutboundTime    string // OutboundTime=

	Rest
}

// Type returns CELL_STATS.
func (*CellStats) Type() Type { return CELL_STATS }

// Format returns the wire form.
func (c *CellStats) Format() []byte {
	var scratch [512]byte
	b := c.open(scratch[:0], CELL_STATS)
	bare := len(b)
	b = c.plain(b, 0, "ID", c.ID)
	b = c.plain(b, 1, "InboundQueue", c.InboundQueue)
	b = c.plain(b, 2, "InboundConn", c.InboundConn)
	b = c.plain(b, 3, "InboundAdded", c.InboundAdded)
	b = c.plain(b, 4, "InboundRemoved", c.InboundRemoved)
	b = c.plain(b, 5, "InboundTime", c.InboundTime)
	b = c.plain(b, 6, "OutboundQueue", c.OutboundQueue)
	b = c.plain(b, 7, "OutboundConn", c.OutboundConn)
	b = c.plain(b, 8, "OutboundAdded", c.OutboundAdded)
	b = c.plain(b, 9, "OutboundRemoved", c.OutboundRemoved)
	b = c.plain(b, 10, "OutboundTime", c.OutboundTime)
	if len(b) == bare && c.Extra == "" {
		b = append(b, ' ') // as tor does
	}
	return c.close(b)
}

func readCellStats(s *scanner) *CellStats {
	c := &CellStats{}
	if s.s == " " {
		s.pos = len(s.s)
		c.Rest = s.rest()
		return c
	}
	s.bad = s.bad || s.s == ""
	for s.next() {
		switch s.key {
		case "ID":
			s.plain(0, &c.ID)
		case "InboundQueue":
			s.plain(1, &c.InboundQueue)
		case "InboundConn":
			s.plain(2, &c.InboundConn)
		case "InboundAdded":
			s.plain(3, &c.InboundAdded)
		case "InboundRemoved":
			s.plain(4, &c.InboundRemoved)
		case "InboundTime":
			s.plain(5, &c.InboundTime)
		case "OutboundQueue":
			s.plain(6, &c.OutboundQueue)
		case "OutboundConn":
			s.plain(7, &c.OutboundConn)
		case "OutboundAdded":
			s.plain(8, &c.OutboundAdded)
		case "OutboundRemoved":
			s.plain(9, &c.OutboundRemoved)
		case "OutboundTime":
			s.plain(10, &c.OutboundTime)
		default:
			s.unknown()
		}
	}
	c.Rest = s.rest()
	return c
}
