package event

import (
	"iter"
	"strings"
)

// NewDesc is a NEWDESC event: router descriptors have arrived (control-spec,
// section 4.1.6).
type NewDesc struct {
	Names string // the relays' LongNames, separated by blanks

	form
}

// Type returns NEWDESC.
func (*NewDesc) Type() Type { return NEWDESC }

// Routers yields the relays without allocating.
func (n *NewDesc) Routers() iter.Seq[Router] { return routers(n.Names, " ") }

// Format returns the wire form.
func (n *NewDesc) Format() []byte {
	var scratch [256]byte
	b := n.open(scratch[:0], NEWDESC)
	return n.finish(appendText(append(b, ' '), n.Names))
}

func readNewDesc(s *scanner) *NewDesc {
	s.bad = s.bad || s.s == ""
	return &NewDesc{Names: s.text(), form: s.form}
}

// DescChanged is a DESCCHANGED event: our own descriptor changed
// (control-spec, section 4.1.9).
type DescChanged struct{ Rest }

// Type returns DESCCHANGED.
func (*DescChanged) Type() Type { return DESCCHANGED }

// Format returns the wire form.
func (d *DescChanged) Format() []byte {
	var scratch [64]byte
	return d.close(d.open(scratch[:0], DESCCHANGED))
}

func readDescChanged(s *scanner) *DescChanged { return &DescChanged{s.words()} }

// AuthDirNewDescs is an AUTHDIR_NEWDESCS event: somebody uploaded a
// descriptor to us, a directory authority (control-spec, section 4.1.8). Tor
// has not sent it since 0.3.2.
type AuthDirNewDescs struct {
	Action     string // ACCEPTED, DROPPED or REJECTED
	Message    string // why, one line
	Descriptor Data   // the descriptor
}

// Type returns AUTHDIR_NEWDESCS.
func (*AuthDirNewDescs) Type() Type { return AUTHDIR_NEWDESCS }

// Format returns the wire form.
func (a *AuthDirNewDescs) Format() []byte {
	b := []byte("650+AUTHDIR_NEWDESCS\r\n")
	b = append(b, NewData(oneLine(a.Action)+"\n"+oneLine(a.Message)+"\n")...)
	return appendBlock(b, a.Descriptor)
}

func readAuthDirNewDescs(f *frame, s *scanner) *AuthDirNewDescs {
	data, ok := f.block()
	action, rest, ok1 := strings.Cut(string(data), "\r\n")
	message, descriptor, ok2 := strings.Cut(rest, "\r\n")
	a := &AuthDirNewDescs{
		Action:     strings.TrimPrefix(action, "."),
		Message:    strings.TrimPrefix(message, "."),
		Descriptor: Data(descriptor),
	}
	head := Data(action + "\r\n" + message + "\r\n")
	s.bad = !ok || !ok1 || !ok2 || f.words != "" || head != NewData(oneLine(a.Action)+"\n"+oneLine(a.Message)+"\n")
	return a
}
