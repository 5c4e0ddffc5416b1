package query

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A roll says what a map does of all that was put on it, however many fall
// together where entries are found first.
func TestRoll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 11))
	r, want := newRoll[*life](), map[string]*life{}
	var gone []string // in the order in which they were let go
	now := time.Unix(0, 0)
	id := func() string {
		switch rnd.IntN(9) {
		case 0:
			return []string{"", "x", "a12", "\xff\xff\xff"}[rnd.IntN(4)]
		case 1:
			return fmt.Sprint(256 * rnd.IntN(9))
		}
		return fmt.Sprint(rnd.IntN(700))
	}
	for range 100_000 {
		now = now.Add(time.Second)
		id := id()
		l, known := want[id]
		if got, ok := r.find(id); ok != known || got != l {
			t.Fatalf("%q is %p, %v, want %p, %v", id, got, ok, l, known)
		}
		switch rnd.IntN(4) {
		case 0:
			if !known {
				l = &life{being: being{id: id}}
				r.add(id, l)
				want[id] = l
			}
		case 1:
			r.remove(id)
			delete(want, id)
		case 2:
			if l != nil {
				r.letGo(l, now)
				want[id] = nil
				gone = append(gone, id)
			}
		case 3:
			if rnd.IntN(20) > 0 {
				continue
			}
			for _, id := range gone {
				if l, known := want[id]; known && l == nil {
					delete(want, id)
				}
			}
			gone = gone[:0]
			r.forget(now.Add(time.Second))
		}
		if l != nil && l.listed != (want[id] == l) {
			t.Fatalf("%q is listed: %v", id, l.listed)
		}
	}
	n := 0
	for l := range r.lives() {
		if n++; want[l.id] != l {
			t.Errorf("%q is on the roll", l.id)
		}
	}
	for _, l := range want {
		if l != nil {
			n--
		}
	}
	if n != 0 {
		t.Errorf("%d lives too many", n)
	}
}
