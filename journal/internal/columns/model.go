package columns

// What encoder and decoder learn in step while they go through a block. Both
// begin every block with nothing learned, so that a block needs no other.

// near is how many successors of a value are remembered: that many compares
// at most for a value that is coded.
const near = 8

// ranks codes numbers by how recently each came after the one before it. What
// usually follows costs a zero, which the entropy stage makes almost free.
type ranks struct {
	ctx []successors // by context
}

type successors struct {
	n  uint8
	id [near]uint32 // most recent first
}

// at makes room for the context.
func (r *ranks) at(ctx uint32) *successors {
	for int(ctx) >= len(r.ctx) {
		r.ctx = append(r.ctx, successors{})
	}
	return &r.ctx[ctx]
}

func (r *ranks) reset() { r.ctx = r.ctx[:0] }

// encode returns the code of id where ctx came before: its place among the
// successors, or near plus the number itself.
func (r *ranks) encode(ctx, id uint32) uint64 {
	s := r.at(ctx)
	for i := range int(s.n) {
		if s.id[i] == id {
			s.toFront(i, id)
			return uint64(i)
		}
	}
	s.insert(id)
	return near + uint64(id)
}

// decode is the inverse of encode; ok is false for a code that encode never
// gives.
func (r *ranks) decode(ctx uint32, code uint64) (id uint32, ok bool) {
	s := r.at(ctx)
	if code < uint64(s.n) {
		if id = s.id[code&(near-1)]; code > 0 {
			s.toFront(int(code), id)
		}
		return id, true
	}
	if code < near {
		return 0, false
	}
	code -= near
	if code > maxID {
		return 0, false
	}
	s.insert(uint32(code))
	return uint32(code), true
}

func (s *successors) toFront(i int, id uint32) {
	for ; i > 0; i-- {
		s.id[i] = s.id[i-1]
	}
	s.id[0] = id
}

func (s *successors) insert(id uint32) {
	if s.n < near {
		s.n++
	}
	s.toFront(int(s.n)-1, id)
}
