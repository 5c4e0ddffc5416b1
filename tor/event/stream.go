package event

// Stream is a STREAM event: a stream's status changed (control-spec, section
// 4.1.2). IDs are unique within one life of the Tor process only.
type Stream struct {
	ID     string // the stream's
	Status string // NEW, NEWRESOLVE, REMAP, SENTCONNECT, SUCCEEDED, FAILED, CLOSED, DETACHED …
	CircID string // the circuit it is attached to, "0" if none
	Target string // address:port as the client asked for it

	Reason         string // REASON=, of FAILED, CLOSED and DETACHED
	RemoteReason   string // REMOTE_REASON=, what the other end said if REASON is END
	Source         string // SOURCE=, of REMAP: CACHE or EXIT
	SourceAddr     string // SOURCE_ADDR=, address:port of the client program
	Purpose        string // PURPOSE=, of NEW and NEWRESOLVE: USER, DIR_FETCH, DNS_REQUEST …
	SocksUsername  string // SOCKS_USERNAME=, unquoted
	SocksPassword  string // SOCKS_PASSWORD=, unquoted
	ClientProtocol string // CLIENT_PROTOCOL=: SOCKS5, DNS, HTTPCONNECT …
	NymEpoch       uint64 // NYM_EPOCH=, counts the NEWNYM signals
	SessionGroup   int64  // SESSION_GROUP=, of the listener
	IsoFields      string // ISO_FIELDS=, separated by commas

	Rest
}

// Type returns STREAM.
func (*Stream) Type() Type { return STREAM }

// Format returns the wire form.
func (s *Stream) Format() []byte {
	var scratch [512]byte
	b := s.open(scratch[:0], STREAM)
	b = appendWord(b, s.ID)
	b = appendWord(b, s.Status)
	b = appendWord(b, s.CircID)
	b = appendWord(b, s.Target)
	b = s.plain(b, 0, "REASON", s.Reason)
	b = s.plain(b, 1, "REMOTE_REASON", s.RemoteReason)
	b = s.plain(b, 2, "SOURCE", s.Source)
	b = s.plain(b, 3, "SOURCE_ADDR", s.SourceAddr)
	b = s.plain(b, 4, "PURPOSE", s.Purpose)
	b = s.quoted(b, 5, "SOCKS_USERNAME", s.SocksUsername)
	b = s.quoted(b, 6, "SOCKS_PASSWORD", s.SocksPassword)
	b = s.plain(b, 7, "CLIENT_PROTOCOL", s.ClientProtocol)
	b = s.optUint(b, 8, "NYM_EPOCH", s.NymEpoch)
	b = s.optInt(b, 9, "SESSION_GROUP", s.SessionGroup)
	b = s.plain(b, 10, "ISO_FIELDS", s.IsoFields)
	return s.close(b)
}

func readStream(e *Stream, s *scanner) *Stream {
	e.ID, e.Status, e.CircID, e.Target = s.word(), s.word(), s.word(), s.word()
	for s.next() {
		switch s.key {
		case "REASON":
			s.plain(0, &e.Reason)
		case "REMOTE_REASON":
			s.plain(1, &e.RemoteReason)
		case "SOURCE":
			s.plain(2, &e.Source)
		case "SOURCE_ADDR":
			s.plain(3, &e.SourceAddr)
		case "PURPOSE":
			s.plain(4, &e.Purpose)
		case "SOCKS_USERNAME":
			s.quoted(5, &e.SocksUsername)
		case "SOCKS_PASSWORD":
			s.quoted(6, &e.SocksPassword)
		case "CLIENT_PROTOCOL":
			s.plain(7, &e.ClientProtocol)
		case "NYM_EPOCH":
			s.uint(8, &e.NymEpoch)
		case "SESSION_GROUP":
			s.int(9, &e.SessionGroup)
		case "ISO_FIELDS":
			s.plain(10, &e.IsoFields)
		default:
			s.unknown()
		}
	}
	e.Rest = s.rest()
	return e
}
