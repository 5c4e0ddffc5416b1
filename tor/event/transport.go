package event

// TransportLaunched is a TRANSPORT_LAUNCHED event: a pluggable transport
// listens for connections (control-spec, section 4.1.20).
type TransportLaunched struct {
	Kind    string // "client" or "server"
	Name    string // the transport's
	Address string // IPv4 or IPv6 address it listens on
	Port    uint64 // TCP port it listens on

	Rest
}

// Type returns TRANSPORT_LAUNCHED.
func (*TransportLaunched) Type() Type { return TRANSPORT_LAUNCHED }

// Format returns the wire form.
func (t *TransportLaunched) Format() []byte {
	var scratch [128]byte
	b := t.open(scratch[:0], TRANSPORT_LAUNCHED)
	b = appendWord(b, t.Kind)
	b = appendWord(b, t.Name)
	b = appendWord(b, t.Address)
	b = appendNumber(b, t.Port)
	return t.close(b)
}

func readTransportLaunched(s *scanner) *TransportLaunched {
	return &TransportLaunched{
		Kind: s.word(), Name: s.word(), Address: s.word(), Port: s.number(), Rest: s.words(),
	}
}

// PTLog is a PT_LOG event: a pluggable transport logged a message
// (control-spec, section 4.1.28).
type PTLog struct {
	Program  string // PT=, path of the transport's program
	Severity string // SEVERITY=: debug, info, notice, warning or error
	Message  string // MESSAGE=, unquoted

	Rest
}

// Type returns PT_LOG.
func (*PTLog) Type() Type { return PT_LOG }

// Format returns the wire form.
func (p *PTLog) Format() []byte {
	var scratch [256]byte
	b := p.open(scratch[:0], PT_LOG)
	b = p.plain(b, 0, "PT", p.Program)
	b = p.plain(b, 1, "SEVERITY", p.Severity)
	b = p.plain(b, 2, "MESSAGE", p.Message)
	return p.close(b)
}

func readPTLog(s *scanner) *PTLog {
	p := &PTLog{}
	for s.next() {
		switch s.key {
		case "PT":
			s.plain(0, &p.Program)
		case "SEVERITY":
			s.plain(1, &p.Severity)
		case "MESSAGE":
			s.plain(2, &p.Message)
		default:
			s.unknown()
		}
	}
	p.Rest = s.rest()
	return p
}

// PTStatus is a PT_STATUS event: a pluggable transport reported its status
// (control-spec, section 4.1.29).
type PTStatus struct {
	Program   string // PT=, path of the transport's program
	Transport string // TRANSPORT=, the transport's name

	Rest // Extra has the transport's own keywords: CONNECT=Success …
}

// Type returns PT_STATUS.
func (*PTStatus) Type() Type { return PT_STATUS }

// Format returns the wire form.
func (p *PTStatus) Format() []byte {
	var scratch [256]byte
	b := p.open(scratch[:0], PT_STATUS)
	b = p.plain(b, 0, "PT", p.Program)
	b = p.plain(b, 1, "TRANSPORT", p.Transport)
	return p.close(b)
}

func readPTStatus(s *scanner) *PTStatus {
	p := &PTStatus{}
	for s.next() {
		switch s.key {
		case "PT":
			s.plain(0, &p.Program)
		case "TRANSPORT":
			s.plain(1, &p.Transport)
		default:
			s.unknown()
		}
	}
	p.Rest = s.rest()
	return p
}
