package event

// Guard is a GUARD event: the set of guard nodes changed (control-spec,
// section 4.1.11).
type Guard struct {
	Kind   string // ENTRY
	Name   string // the relay's LongName; see ParseRouter
	Status string // NEW, UP, DOWN, BAD, BAD_L2, GOOD, GOOD_L2 or DROPPED

	Rest
}

// Type returns GUARD.
func (*Guard) Type() Type { return GUARD }

// Format returns the wire form.
func (g *Guard) Format() []byte {
	var scratch [128]byte
	b := g.open(scratch[:0], GUARD)
	b = appendWord(b, g.Kind)
	b = appendWord(b, g.Name)
	b = appendWord(b, g.Status)
	return g.close(b)
}

func readGuard(s *scanner) *Guard {
	return &Guard{Kind: s.word(), Name: s.word(), Status: s.word(), Rest: s.words()}
}
