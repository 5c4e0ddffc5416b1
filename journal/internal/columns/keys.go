package columns

import (
	"math/bits"
	"math/rand/v2"
)

// keyTable finds the entity that has a key: a hash table for numbers alone,
// which is cleared for the next block. What is hashed comes from outside, so
// that nobody may know which keys collide.
type keyTable struct {
	slots []keySlot // a power of two of them, at most half of them used
	used  int
	shift int    // leaves the bits of the hash that number a slot
	odd   uint64 // random
}

type keySlot struct {
	key int64
	ent uint32 // 0: the slot is free
}

// fewSlots is how many slots a table begins with.
const fewSlots = 64

func (t *keyTable) reset() {
	if len(t.slots) > fewSlots && len(t.slots) > 16*t.used {
		t.slots = nil // the next block has as few keys as this one
	}
	clear(t.slots)
	t.used = 0
}

// entity returns the entity of a key, or makes next it.
func (t *keyTable) entity(key int64, next uint32) uint32 {
	if 2*t.used >= len(t.slots) {
		t.grow()
	}
	s := t.slot(key)
	if s.ent == 0 {
		*s = keySlot{key, next}
		t.used++
	}
	return s.ent
}

// slot returns the slot of a key, or the one where it would be.
func (t *keyTable) slot(key int64) *keySlot {
	for i := uint64(key) * t.odd >> t.shift; ; i++ {
		s := &t.slots[i&uint64(len(t.slots)-1)]
		if s.ent == 0 || s.key == key {
			return s
		}
	}
}

func (t *keyTable) grow() {
	old := t.slots
	t.slots = make([]keySlot, max(fewSlots, 2*len(old)))
	t.shift = 65 - bits.Len(uint(len(t.slots)))
	if t.odd == 0 {
		t.odd = rand.Uint64() | 1
	}
	for _, s := range old {
		if s.ent != 0 {
			*t.slot(s.key) = s
		}
	}
}
