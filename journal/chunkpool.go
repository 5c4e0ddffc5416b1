package journal

import "sync"

// chunkPool lends the cursors what their chunks are made in: a cursor has some
// only while somebody works on its chunk, so that thousands that wait have
// none. It keeps nothing over a collection of garbage.
type chunkPool struct {
	recs  sync.Pool // *[chunkRecords]Record, cleared
	wires sync.Pool // *[chunkBytes]byte
}

// records returns an empty slice with room for chunkRecords.
func (p *chunkPool) records() []Record {
	if r, ok := p.recs.Get().(*[chunkRecords]Record); ok {
		return r[:0]
	}
	return make([]Record, 0, chunkRecords)
}

func (p *chunkPool) giveRecords(recs []Record) {
	clear(recs)
	p.recs.Put((*[chunkRecords]Record)(recs[:chunkRecords]))
}

// bytes returns an empty slice with room for chunkBytes, or for n if that is
// more.
func (p *chunkPool) bytes(n int) []byte {
	if n > chunkBytes {
		return make([]byte, 0, n)
	}
	if b, ok := p.wires.Get().(*[chunkBytes]byte); ok {
		return b[:0]
	}
	return make([]byte, 0, chunkBytes)
}

// giveBytes takes a slice back, unless it is one that is too large to be kept.
func (p *chunkPool) giveBytes(b []byte) {
	if cap(b) == chunkBytes {
		p.wires.Put((*[chunkBytes]byte)(b[:chunkBytes]))
	}
}
