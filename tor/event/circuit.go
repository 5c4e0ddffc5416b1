package event

// Circuit is a CIRC event: a circuit's status changed (control-spec, section
// 4.1.1). IDs are unique within one life of the Tor process only.
type Circuit struct {
	ID     string // the circuit's
	Status string // LAUNCHED, BUILT, GUARD_WAIT, EXTENDED, FAILED or CLOSED
	Path   Path   // hops so far, "" before the first

	CircuitInfo

	Reason       string // REASON=, of FAILED and CLOSED: why it ended
	RemoteReason string // REMOTE_REASON=, what the relay said, if it was a relay

	Rest
}

// CircuitInfo is what CIRC and CIRC_MINOR alike say of a circuit.
type CircuitInfo struct {
	BuildFlags    string // BUILD_FLAGS=, separated by commas: IS_INTERNAL,NEED_CAPACITY …
	Purpose       string // PURPOSE=: GENERAL, HS_CLIENT_REND, CONFLUX_LINKED …
	HSState       string // HS_STATE=, of onion service circuits: HSCI_CONNECTING …
	RendQuery     string // REND_QUERY=, the onion service's address without ".onion"
	TimeCreated   string // TIME_CREATED=, UTC, microseconds; see ParseTime
	SocksUsername string // SOCKS_USERNAME=, unquoted
	SocksPassword string // SOCKS_PASSWORD=, unquoted
	HSPoW         string // HS_POW=, "v1," and the effort
	ConfluxID     string // CONFLUX_ID=, hexadecimal, shared by the legs of a set
	ConfluxRTT    uint64 // CONFLUX_RTT=, microseconds
}

// Keyword numbers of CircuitInfo; those of the event itself follow.
const infoKeywords = 10

// Type returns CIRC.
func (*Circuit) Type() Type { return CIRC }

// Format returns the wire form.
func (c *Circuit) Format() []byte {
	var scratch [512]byte
	b := c.open(scratch[:0], CIRC)
	b = appendWord(b, c.ID)
	b = appendWord(b, c.Status)
	b = appendOptional(b, string(c.Path))
	b = c.CircuitInfo.append(b, &c.form)
	b = c.plain(b, infoKeywords, "REASON", c.Reason)
	b = c.plain(b, infoKeywords+1, "REMOTE_REASON", c.RemoteReason)
	return c.close(b)
}

// The fields that are words of a line have numbers: ID, status or event and path,
// then CircuitInfo's, then those of the event itself.
const (
	pathField      = 2
	firstInfoField = 3
	infoFields     = 9
	lastInfoField  = firstInfoField + infoFields - 1

	circuitFields      = lastInfoField + 3
	circuitMinorFields = lastInfoField + 4
)

// field returns the field of that number.
func (c *Circuit) field(n int) *string {
	switch n {
	case 0:
		return &c.ID
	case 1:
		return &c.Status
	case pathField:
		return (*string)(&c.Path)
	case lastInfoField + 1:
		return &c.Reason
	case lastInfoField + 2:
		return &c.RemoteReason
	}
	return c.CircuitInfo.field(n - firstInfoField)
}

// field returns the field of that number, from 0.
func (c *CircuitInfo) field(n int) *string {
	switch n {
	case 0:
		return &c.BuildFlags
	case 1:
		return &c.Purpose
	case 2:
		return &c.HSState
	case 3:
		return &c.RendQuery
	case 4:
		return &c.TimeCreated
	case 5:
		return &c.SocksUsername
	case 6:
		return &c.SocksPassword
	case 7:
		return &c.HSPoW
	}
	return &c.ConfluxID
}

func readCircuit(c *Circuit, s *scanner) *Circuit {
	c.ID, c.Status, c.Path = s.word(), s.word(), Path(s.optional())
	c.CircuitInfo.begin(s)
	s.follows(infoKeywords, " REASON=", &c.Reason)
	s.follows(infoKeywords+1, " REMOTE_REASON=", &c.RemoteReason)
	for s.next() {
		switch s.key {
		case "REASON":
			s.plain(infoKeywords, &c.Reason)
		case "REMOTE_REASON":
			s.plain(infoKeywords+1, &c.RemoteReason)
		default:
			c.CircuitInfo.read(s)
		}
	}
	c.Rest = s.rest()
	return c
}

func (c *CircuitInfo) append(b []byte, f *form) []byte {
	b = f.plain(b, 0, "BUILD_FLAGS", c.BuildFlags)
	b = f.plain(b, 1, "PURPOSE", c.Purpose)
	b = f.plain(b, 2, "HS_STATE", c.HSState)
	b = f.plain(b, 3, "REND_QUERY", c.RendQuery)
	b = f.plain(b, 4, "TIME_CREATED", c.TimeCreated)
	b = f.quoted(b, 5, "SOCKS_USERNAME", c.SocksUsername)
	b = f.quoted(b, 6, "SOCKS_PASSWORD", c.SocksPassword)
	b = f.plain(b, 7, "HS_POW", c.HSPoW)
	b = f.plain(b, 8, "CONFLUX_ID", c.ConfluxID)
	return f.optUint(b, 9, "CONFLUX_RTT", c.ConfluxRTT)
}

// begin reads the keywords that most circuits have, and read what is left of them.
func (c *CircuitInfo) begin(s *scanner) {
	s.follows(0, " BUILD_FLAGS=", &c.BuildFlags)
	s.follows(1, " PURPOSE=", &c.Purpose)
	s.follows(2, " HS_STATE=", &c.HSState)
	s.follows(3, " REND_QUERY=", &c.RendQuery)
	s.follows(4, " TIME_CREATED=", &c.TimeCreated)
}

func (c *CircuitInfo) read(s *scanner) {
	switch s.key {
	case "BUILD_FLAGS":
		s.plain(0, &c.BuildFlags)
	case "PURPOSE":
		s.plain(1, &c.Purpose)
	case "HS_STATE":
		s.plain(2, &c.HSState)
	case "REND_QUERY":
		s.plain(3, &c.RendQuery)
	case "TIME_CREATED":
		s.plain(4, &c.TimeCreated)
	case "SOCKS_USERNAME":
		s.quoted(5, &c.SocksUsername)
	case "SOCKS_PASSWORD":
		s.quoted(6, &c.SocksPassword)
	case "HS_POW":
		s.plain(7, &c.HSPoW)
	case "CONFLUX_ID":
		s.plain(8, &c.ConfluxID)
	case "CONFLUX_RTT":
		s.uint(9, &c.ConfluxRTT)
	default:
		s.unknown()
	}
}

// CircuitMinor is a CIRC_MINOR event: something smaller about a circuit
// changed (control-spec, section 4.1.19).
type CircuitMinor struct {
	ID    string // the circuit's
	Event string // PURPOSE_CHANGED or CANNIBALIZED
	Path  Path   // hops so far, "" before the first

	CircuitInfo

	OldPurpose     string // OLD_PURPOSE=, the purpose before
	OldHSState     string // OLD_HS_STATE=, the onion service state before
	OldTimeCreated string // OLD_TIME_CREATED=, of CANNIBALIZED; UTC, microseconds

	Rest
}

// Type returns CIRC_MINOR.
func (*CircuitMinor) Type() Type { return CIRC_MINOR }

// Format returns the wire form.
func (c *CircuitMinor) Format() []byte {
	var scratch [512]byte
	b := c.open(scratch[:0], CIRC_MINOR)
	b = appendWord(b, c.ID)
	b = appendWord(b, c.Event)
	b = appendOptional(b, string(c.Path))
	b = c.CircuitInfo.append(b, &c.form)
	b = c.plain(b, infoKeywords, "OLD_PURPOSE", c.OldPurpose)
	b = c.plain(b, infoKeywords+1, "OLD_HS_STATE", c.OldHSState)
	b = c.plain(b, infoKeywords+2, "OLD_TIME_CREATED", c.OldTimeCreated)
	return c.close(b)
}

// field returns the field of that number, as Circuit's.
func (c *CircuitMinor) field(n int) *string {
	switch n {
	case 0:
		return &c.ID
	case 1:
		return &c.Event
	case pathField:
		return (*string)(&c.Path)
	case lastInfoField + 1:
		return &c.OldPurpose
	case lastInfoField + 2:
		return &c.OldHSState
	case lastInfoField + 3:
		return &c.OldTimeCreated
	}
	return c.CircuitInfo.field(n - firstInfoField)
}

func readCircuitMinor(c *CircuitMinor, s *scanner) *CircuitMinor {
	c.ID, c.Event, c.Path = s.word(), s.word(), Path(s.optional())
	c.CircuitInfo.begin(s)
	s.follows(infoKeywords, " OLD_PURPOSE=", &c.OldPurpose)
	s.follows(infoKeywords+1, " OLD_HS_STATE=", &c.OldHSState)
	s.follows(infoKeywords+2, " OLD_TIME_CREATED=", &c.OldTimeCreated)
	for s.next() {
		switch s.key {
		case "OLD_PURPOSE":
			s.plain(infoKeywords, &c.OldPurpose)
		case "OLD_HS_STATE":
			s.plain(infoKeywords+1, &c.OldHSState)
		case "OLD_TIME_CREATED":
			s.plain(infoKeywords+2, &c.OldTimeCreated)
		default:
			c.CircuitInfo.read(s)
		}
	}
	c.Rest = s.rest()
	return c
}
