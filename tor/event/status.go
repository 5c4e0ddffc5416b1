package event

// Status is a STATUS_GENERAL, STATUS_CLIENT or STATUS_SERVER event: something
// about the state of the whole program (control-spec, section 4.1.10).
type Status struct {
	Class     Type     // STATUS_GENERAL, STATUS_CLIENT or STATUS_SERVER
	Severity  string   // NOTICE, WARN or ERR
	Action    string   // BOOTSTRAP, CIRCUIT_ESTABLISHED, DANGEROUS_SOCKS …
	Arguments Keywords // the action's: PROGRESS, TAG, SUMMARY … in any order

	form
}

// Type returns the class.
func (e *Status) Type() Type { return e.Class }

// Format returns the wire form.
func (e *Status) Format() []byte {
	var scratch [256]byte
	b := e.open(scratch[:0], e.Class)
	b = appendWord(b, e.Severity)
	b = appendWord(b, e.Action)
	if e.Arguments != "" {
		b = appendText(append(b, ' '), string(e.Arguments))
	}
	return e.finish(b)
}

func readStatus(f *frame, s *scanner) *Status {
	return &Status{
		Class: f.name, Severity: s.word(), Action: s.word(), Arguments: Keywords(s.text()), form: s.form,
	}
}
