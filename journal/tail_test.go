package journal

import "testing"

func TestTailBlocks(t *testing.T) {
	large := func(raw int) header { return header{raw: uint32(raw), stored: movable, session: 1} }
	small := func(raw int) header { return header{raw: uint32(raw), stored: 10, session: 1} }
	other := func(raw int) header { return header{raw: uint32(raw), stored: 10, session: 2} }
	many := func(n int, h header) (out []header) {
		for range n {
			out = append(out, h)
		}
		return out
	}
	for name, c := range map[string]struct {
		batches       []header
		seal, promote int
	}{
		"empty":                               {nil, 0, 0},
		"too few":                             {[]header{small(40), small(40)}, 0, 0},
		"enough":                              {[]header{small(40), small(40), small(20), small(5)}, 3, 0},
		"a session ends":                      {[]header{small(1), other(40)}, 1, 0},
		"a large one":                         {[]header{large(60), small(10)}, 0, 1},
		"two large ones":                      {[]header{large(60), large(50), small(100)}, 0, 2},
		"a large one follows":                 {[]header{small(30), large(60)}, 1, 0},
		"a large one after little goes along": {[]header{small(5), large(95)}, 2, 0},
		"too much together":                   {[]header{small(10), large(120)}, 1, 0},
		"middle ones are packed":              {many(8, large(40)), 3, 0},
		"unless the sealer lags":              {many(11, large(40)), 0, 11},
		"small ones need it all the same":     {many(500, small(1)), 100, 0},
	} {
		tl := tail{sealAt: 100, lagAt: 10 * (movable + headerSize)}
		for _, h := range c.batches {
			tl.append(h)
		}
		if got := len(tl.toSeal(false)); got != c.seal {
			t.Errorf("%s: seals %d, want %d", name, got, c.seal)
		}
		if got := len(tl.blocks()); got != c.promote {
			t.Errorf("%s: promotes %d, want %d", name, got, c.promote)
		}
		tl.drop(len(tl.batches))
		if tl.bytes != 0 || tl.stored != 0 || tl.looked != 0 {
			t.Errorf("%s: %d and %d bytes are left in an empty tail", name, tl.bytes, tl.stored)
		}
	}
}

// What lies before the batches that grow becomes a block where it is quiet.
func TestQuietTail(t *testing.T) {
	for name, c := range map[string]struct {
		before, stored   int // batches, and what each has in the file
		oldRaw, youngRaw uint32
		oldHas, youngHas uint64 // events
		seal             int
	}{
		"quiet":                          {4, quietStored / 4, oldRaw, youngRaw, quietEvents - 1, 1, 4},
		"quiet after many small ones":    {quietBatches, 200, oldRaw, youngRaw, quietEvents - 1, 1, quietBatches},
		"for no long time":               {4, quietStored / 4, oldRaw, youngRaw, quietEvents - 2, 1, 0},
		"little came before":             {4, quietStored/4 - 1, oldRaw, youngRaw, quietEvents, 1, 0},
		"few small ones came before":     {quietBatches - 1, 200, oldRaw, youngRaw, quietEvents, 1, 0},
		"nothing came before":            {0, 0, oldRaw, youngRaw, quietEvents, 1, 0},
		"much comes":                     {4, quietStored / 4, oldRaw, youngRaw + 1, quietEvents, 1, 0},
		"much came shortly before":       {4, quietStored / 4, oldRaw + 1, youngRaw, quietEvents, 1, 0},
		"what may grow is not looked at": {3, quietStored / 4, oldRaw, youngRaw, quietEvents, 1, 0},
	} {
		tl := tail{sealAt: 64 * oldRaw, lagAt: 1 << 30}
		last := uint64(0)
		add := func(raw uint32, stored int, n uint64) {
			tl.append(header{raw: raw, stored: uint32(stored - headerSize), session: 1, first: last + 1, last: last + n})
			last += n
		}
		for range c.before {
			add(1000, c.stored, 1000)
		}
		add(c.oldRaw, quietStored/8, c.oldHas)
		add(c.youngRaw, quietStored/8, c.youngHas)
		if got := len(tl.toSeal(false)); got != c.seal {
			t.Errorf("%s: seals %d, want %d", name, got, c.seal)
		}
	}
}

// What a journal ends with is a block too if it is worth one.
func TestTailAll(t *testing.T) {
	for raw, want := range map[uint32]int{fewRecords/2 - 1: 0, fewRecords / 2: 2} {
		tl := tail{sealAt: 1 << 20, lagAt: 1 << 20}
		tl.append(header{raw: raw, session: 1})
		tl.append(header{raw: raw, session: 1})
		if got := len(tl.toSeal(true)); got != want {
			t.Errorf("two batches of %d bytes: %d are sealed, want %d", raw, got, want)
		}
		if tl.toSeal(false) != nil {
			t.Errorf("two batches of %d bytes are sealed unasked", raw)
		}
	}
}
