package event

// BuildTimeoutSet is a BUILDTIMEOUT_SET event: the time after which building
// a circuit is given up has changed (control-spec, section 4.1.16).
type BuildTimeoutSet struct {
	Kind           string  // COMPUTED, RESET, SUSPENDED, DISCARD or RESUME
	TotalTimes     uint64  // TOTAL_TIMES=, build times that Tor keeps
	TimeoutMS      uint64  // TIMEOUT_MS=, milliseconds
	Xm             uint64  // XM=, Pareto parameter, milliseconds
	Alpha          float64 // ALPHA=, Pareto parameter
	CutoffQuantile float64 // CUTOFF_QUANTILE=, 0 to 1
	TimeoutRate    float64 // TIMEOUT_RATE=, share of circuits that time out
	CloseMS        uint64  // CLOSE_MS=, how long circuits are kept to measure them, milliseconds
	CloseRate      float64 // CLOSE_RATE=, share of measured circuits that are closed

	Rest
}

// Type returns BUILDTIMEOUT_SET.
func (*BuildTimeoutSet) Type() Type { return BUILDTIMEOUT_SET }

// Format returns the wire form. The rates have six decimals, as tor's.
func (t *BuildTimeoutSet) Format() []byte {
	var scratch [256]byte
	b := t.open(scratch[:0], BUILDTIMEOUT_SET)
	b = appendWord(b, t.Kind)
	b = t.uint(b, 0, "TOTAL_TIMES", t.TotalTimes)
	b = t.uint(b, 1, "TIMEOUT_MS", t.TimeoutMS)
	b = t.uint(b, 2, "XM", t.Xm)
	b = t.float(b, 3, "ALPHA", t.Alpha)
	b = t.float(b, 4, "CUTOFF_QUANTILE", t.CutoffQuantile)
	b = t.float(b, 5, "TIMEOUT_RATE", t.TimeoutRate)
	b = t.uint(b, 6, "CLOSE_MS", t.CloseMS)
	b = t.float(b, 7, "CLOSE_RATE", t.CloseRate)
	return t.close(b)
}

func readBuildTimeoutSet(s *scanner) *BuildTimeoutSet {
	t := &BuildTimeoutSet{Kind: s.word()}
	for s.next() {
		switch s.key {
		case "TOTAL_TIMES":
			s.uint(0, &t.TotalTimes)
		case "TIMEOUT_MS":
			s.uint(1, &t.TimeoutMS)
		case "XM":
			s.uint(2, &t.Xm)
		case "ALPHA":
			s.float(3, &t.Alpha)
		case "CUTOFF_QUANTILE":
			s.float(4, &t.CutoffQuantile)
		case "TIMEOUT_RATE":
			s.float(5, &t.TimeoutRate)
		case "CLOSE_MS":
			s.uint(6, &t.CloseMS)
		case "CLOSE_RATE":
			s.float(7, &t.CloseRate)
		default:
			s.unknown()
		}
	}
	t.Rest = s.rest()
	return t
}
