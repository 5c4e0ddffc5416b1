package columns

import (
	"math/bits"
	"math/rand/v2"
)

// keyTable numbers keys from 1 and finds the number of one: a hash table for
// numbers alone, which is cleared for the next block. What is hashed comes from
// outside, so that nobody may know which keys collide.
type keyTable struct {
	keys  []int64  // by number; 0 is none, whose key counts as 0
	slots []uint32 // numbers, 0: free; a power of two, at most half of them used
	shift int      // leaves the bits of the hash that say which slot
	odd   uint64   // random
}

// fewSlots is how many slots a table begins with.
const fewSlots = 64

func (t *keyTable) reset() {
	if len(t.slots) > fewSlots && len(t.slots) > 16*len(t.keys) {
		t.slots = nil // the next block has as few keys as this one
	}
	clear(t.slots)
	t.keys = append(t.keys[:0], 0)
}

// number returns the number of a key, which may be a new one.
func (t *keyTable) number(key int64) uint32 {
	if 2*len(t.keys) >= len(t.slots) {
		t.grow()
	}
	s := t.slot(key)
	if *s == 0 {
		*s = uint32(len(t.keys))
		t.keys = append(t.keys, key)
	}
	return *s
}

// slot returns the slot of a key, or the one where it would be.
func (t *keyTable) slot(key int64) *uint32 {
	for i := uint64(key) * t.odd >> t.shift; ; i++ {
		s := &t.slots[i&uint64(len(t.slots)-1)]
		if *s == 0 || t.keys[*s] == key {
			return s
		}
	}
}

func (t *keyTable) grow() {
	t.slots = make([]uint32, max(fewSlots, 4*len(t.slots)))
	t.shift = 65 - bits.Len(uint(len(t.slots)))
	if t.odd == 0 {
		t.odd = rand.Uint64() | 1
	}
	for n, key := range t.keys[1:] {
		*t.slot(key) = uint32(n + 1)
	}
}
