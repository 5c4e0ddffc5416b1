package query

import (
	"iter"
	"time"
)

// roll says what the IDs of the present session stand for: lives, and those that
// were let go, for as long as records of them may still come.
type roll[L living] struct {
	entries map[string]*rollEntry[L]
	recent  [recentIDs]*rollEntry[L] // some of entries, each at the recentID of its ID
	leaving []leaving[L]             // in the order in which they were let go
}

// rollEntry is what one ID stands for.
type rollEntry[L living] struct {
	id   string
	life L // none: it was let go
}

// leaving is a life that was let go. Its ID may have begun again since: then it
// has another entry.
type leaving[L living] struct {
	entry *rollEntry[L]
	until time.Time // when no more records of it are expected
}

func newRoll[L living]() roll[L] { return roll[L]{entries: map[string]*rollEntry[L]{}} }

// recentIDs is how many entries are found without the map. Records come in turns of
// the lives that stand, which are fewer, and have numbers that follow each other.
const recentIDs = 256

// recentID is the number that an ID ends in, if it is one.
func recentID(id string) (n uint8) {
	for i := max(0, len(id)-3); i < len(id); i++ {
		n = n*10 + id[i]
	}
	return n
}

// entry returns that of an ID, nil if there is none.
func (r *roll[L]) entry(id string) *rollEntry[L] {
	recent := &r.recent[recentID(id)]
	if *recent == nil || (*recent).id != id {
		e := r.entries[id]
		if e == nil {
			return nil
		}
		*recent = e
	}
	return *recent
}

// find returns what an ID stands for: none is a life that was let go. known is
// false if it stands for nothing.
func (r *roll[L]) find(id string) (l L, known bool) {
	if e := r.entry(id); e != nil {
		return e.life, true
	}
	return l, false
}

// add lets an ID stand for a life. It keeps the ID.
func (r *roll[L]) add(id string, l L) {
	e := &rollEntry[L]{id, l}
	r.entries[id], r.recent[recentID(id)] = e, e
	l.of().listed = true
}

// remove lets the ID of a life that is listed, or of one that was let go, stand
// for nothing.
func (r *roll[L]) remove(id string) {
	var none L
	e := r.entry(id)
	if e == nil {
		return
	}
	if e.life != none {
		e.life.of().listed = false
	}
	delete(r.entries, e.id)
	r.recent[recentID(e.id)] = nil
}

// letGo lets the ID of a listed life stand for one that was let go, until a time
// that usually is not before those of earlier ones: they are forgotten in the order
// in which they were let go.
func (r *roll[L]) letGo(l L, until time.Time) {
	e := r.entry(l.of().id)
	var none L
	e.life = none
	l.of().listed = false
	r.leaving = append(r.leaving, leaving[L]{e, until})
}

// forget drops those that were let go and of which no more is expected at t.
func (r *roll[L]) forget(t time.Time) {
	for len(r.leaving) > 0 && t.After(r.leaving[0].until) {
		if e := r.leaving[0].entry; r.entry(e.id) == e {
			r.remove(e.id)
		}
		r.leaving = r.leaving[1:]
	}
}

// lives yields those that are listed.
func (r *roll[L]) lives() iter.Seq[L] {
	return func(yield func(L) bool) {
		var none L
		for _, e := range r.entries {
			if e.life != none && !yield(e.life) {
				return
			}
		}
	}
}

// clear takes all from the roll: another session begins.
func (r *roll[L]) clear() {
	for l := range r.lives() {
		l.of().listed = false
	}
	*r = newRoll[L]()
}
