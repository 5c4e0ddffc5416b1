package event

// Signal is a SIGNAL event: Tor has received a signal and acted on it
// (control-spec, section 4.1.17).
type Signal struct {
	Signal string // RELOAD, DUMP, DEBUG, NEWNYM, CLEARDNSCACHE, HEARTBEAT …

	Rest
}

// Type returns SIGNAL.
func (*Signal) Type() Type { return SIGNAL }

// Format returns the wire form.
func (e *Signal) Format() []byte {
	var scratch [64]byte
	return e.close(appendWord(e.open(scratch[:0], SIGNAL), e.Signal))
}

func readSignal(s *scanner) *Signal { return &Signal{Signal: s.word(), Rest: s.words()} }

// NetworkLiveness is a NETWORK_LIVENESS event: the network seems to be
// reachable, or no longer (control-spec, section 4.1.27).
type NetworkLiveness struct {
	Status string // UP or DOWN

	Rest
}

// Type returns NETWORK_LIVENESS.
func (*NetworkLiveness) Type() Type { return NETWORK_LIVENESS }

// Format returns the wire form.
func (e *NetworkLiveness) Format() []byte {
	var scratch [64]byte
	return e.close(appendWord(e.open(scratch[:0], NETWORK_LIVENESS), e.Status))
}

func readNetworkLiveness(s *scanner) *NetworkLiveness {
	return &NetworkLiveness{Status: s.word(), Rest: s.words()}
}
