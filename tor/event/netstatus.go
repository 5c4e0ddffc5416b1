package event

// NetworkStatus is an NS event, the local view of some relays changed
// (control-spec, section 4.1.12), or a NEWCONSENSUS event, which lists every
// usable relay (section 4.1.15). On the public network the latter has some
// 2 MB.
type NetworkStatus struct {
	Name    Type // NS or NEWCONSENSUS
	Entries Data // the relays' entries, as in a consensus: lines r, s, w, p …
}

// Type returns NS or NEWCONSENSUS.
func (n *NetworkStatus) Type() Type { return n.Name }

// Format returns the wire form.
func (n *NetworkStatus) Format() []byte {
	b := make([]byte, 0, len("650+NEWCONSENSUS\r\n")+len(n.Entries)+len(blockEnd))
	b = appendName(append(b, "650+"...), n.Name)
	b = append(b, '\r', '\n')
	return appendBlock(b, n.Entries)
}

func readNetworkStatus(f *frame, s *scanner) *NetworkStatus {
	entries, ok := f.block()
	s.bad = !ok || f.words != ""
	return &NetworkStatus{Name: f.name, Entries: entries}
}
