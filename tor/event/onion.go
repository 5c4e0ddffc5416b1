package event

// HSDesc is an HS_DESC event: an onion service's descriptor was made,
// fetched or uploaded, or not (control-spec, section 4.1.25).
type HSDesc struct {
	Action       string // REQUESTED, UPLOAD, RECEIVED, UPLOADED, IGNORE, FAILED or CREATED
	Address      string // the onion address without ".onion", or UNKNOWN
	AuthType     string // NO_AUTH or UNKNOWN
	HSDir        string // the directory's LongName or fingerprint, or UNKNOWN; see ParseRouter
	DescriptorID string // the descriptor's blinded key, Base64; "" if not given

	Reason     string // REASON=, of FAILED: NOT_FOUND, BAD_DESC, QUERY_NO_HSDIR …
	Replica    string // REPLICA=, of CREATED, version 2 only
	HSDirIndex string // HSDIR_INDEX=, the directory's place in the hash ring, 64 hex digits

	Rest
}

// Type returns HS_DESC.
func (*HSDesc) Type() Type { return HS_DESC }

// Format returns the wire form.
func (d *HSDesc) Format() []byte {
	var scratch [512]byte
	b := d.open(scratch[:0], HS_DESC)
	b = appendWord(b, d.Action)
	b = appendWord(b, d.Address)
	b = appendWord(b, d.AuthType)
	b = appendWord(b, d.HSDir)
	b = appendOptional(b, d.DescriptorID)
	b = d.plain(b, 0, "REASON", d.Reason)
	b = d.plain(b, 1, "REPLICA", d.Replica)
	b = d.plain(b, 2, "HSDIR_INDEX", d.HSDirIndex)
	return d.close(b)
}

func readHSDesc(s *scanner) *HSDesc {
	d := &HSDesc{
		Action: s.word(), Address: s.word(), AuthType: s.word(), HSDir: s.word(), DescriptorID: s.optional(),
	}
	for s.next() {
		switch s.key {
		case "REASON":
			s.plain(0, &d.Reason)
		case "REPLICA":
			s.plain(1, &d.Replica)
		case "HSDIR_INDEX":
			s.plain(2, &d.HSDirIndex)
		default:
			s.unknown()
		}
	}
	d.Rest = s.rest()
	return d
}

// HSDescContent is an HS_DESC_CONTENT event: the text of an onion service's
// descriptor that was fetched (control-spec, section 4.1.26).
type HSDescContent struct {
	Address      string // the onion address without ".onion", or UNKNOWN
	DescriptorID string // the descriptor's blinded key, Base64
	HSDir        string // the directory's LongName, or UNKNOWN; see ParseRouter
	Descriptor   Data   // the descriptor; one empty line if the fetch failed
}

// Type returns HS_DESC_CONTENT.
func (*HSDescContent) Type() Type { return HS_DESC_CONTENT }

// Format returns the wire form.
func (d *HSDescContent) Format() []byte {
	size := len(d.Address) + len(d.DescriptorID) + len(d.HSDir) + len(d.Descriptor)
	b := make([]byte, 0, len("650+HS_DESC_CONTENT   \r\n")+size+len(blockEnd))
	b = append(b, "650+HS_DESC_CONTENT"...)
	b = appendWord(b, d.Address)
	b = appendWord(b, d.DescriptorID)
	b = appendWord(b, d.HSDir)
	b = append(b, '\r', '\n')
	return appendBlock(b, d.Descriptor)
}

func readHSDescContent(f *frame, s *scanner) *HSDescContent {
	d := &HSDescContent{Address: s.word(), DescriptorID: s.word(), HSDir: s.word()}
	var ok bool
	d.Descriptor, ok = f.block()
	s.bad = s.bad || !ok || s.pos != len(s.s)
	return d
}
