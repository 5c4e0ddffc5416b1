package columns

import (
	"bytes"
	"fmt"
	"math"
)

// columnReader is the decoder's half of column.
type columnReader struct {
	kind  kind
	frac  uint8
	codes bytesReader

	// Words and data.
	last  []uint32 // number of the entity's last word, plus 1
	words []span   // by number, in text
	after ranks
	text  bytesReader
	odd   bool // one of words is no word of a line, but several

	// Numbers and times.
	head numbersHead
	prev int64   // the column's value before
	num  []int64 // the entity's value before, or unknown

	// Paths.
	paths [][]uint32 // the hops of the entity's last one
	hops  bytesReader
}

// reset forgets a block and keeps the room it took.
func (c *columnReader) reset() {
	c.after.reset()
	*c = columnReader{
		last: c.last[:0], words: c.words[:0], after: c.after, num: c.num[:0], paths: c.paths[:0],
	}
}

// unknown is a number that no line can have.
const unknown = math.MinInt64

// span is a part of a text. It is a third of a slice, and nothing the
// collector has to look at.
type span struct{ from, to uint32 }

// stateLimit is how many values the columns of a block may remember by entity:
// a block of many entities that have many columns is not coded so. size is the
// bytes of the block's wire forms.
func stateLimit(size int) int { return 1<<20 + size }

// pathState is what a path counts for.
const pathState = 8

// room makes room for what the column remembers of an entity, and says whether
// there is any: state is how much may still be.
func (c *columnReader) room(ent uint32, state *int) bool {
	return int(ent) < c.remembered() || c.widen(ent, state)
}

// remembered returns of how many entities the column can remember something.
func (c *columnReader) remembered() int {
	switch c.kind {
	case kindNumber, kindTime:
		return len(c.num)
	case kindPath:
		return len(c.paths)
	}
	return len(c.last)
}

// widen makes room for an entity that the column has none for.
func (c *columnReader) widen(ent uint32, state *int) bool {
	n := int(ent) + 1
	switch c.kind {
	case kindNumber, kindTime:
		*state -= n - len(c.num)
		if *state < 0 {
			return false
		}
		for len(c.num) < n {
			c.num = append(c.num, unknown)
		}
	case kindPath:
		*state -= pathState * (n - len(c.paths))
		if *state < 0 {
			return false
		}
		c.paths = seen(c.paths, ent)
	default:
		*state -= n - len(c.last)
		if *state < 0 {
			return false
		}
		c.last = seen(c.last, ent)
	}
	return true
}

// word reads the column's next word, or a part of the data: before it the
// entity had last. words is how many may still be new.
func (c *columnReader) word(ent uint32, words *int) (w []byte, ok bool) {
	code, ok := c.codes.short()
	if !ok {
		code = c.codes.longUvarint()
	}
	id, ok := c.after.decode(c.last[ent], code)
	if !ok || c.codes.bad || int(id) > len(c.words) {
		return nil, false
	}
	if int(id) == len(c.words) {
		if *words--; *words < 0 || !c.newWord() {
			return nil, false
		}
	}
	c.last[ent] = id + 1
	return c.at(id), true
}

// at returns word id. What follows it can be read too, see put.
func (c *columnReader) at(id uint32) []byte {
	s := c.words[id]
	return c.text.data[s.from:s.to]
}

func (c *columnReader) newWord() bool {
	var w span
	if c.kind == kindData {
		n := c.text.count(c.text.left())
		w.from = uint32(c.text.at)
		if c.text.take(n); c.text.bad {
			return false
		}
		w.to = uint32(c.text.at)
	} else {
		n := bytes.IndexByte(c.text.data[c.text.at:], '\n')
		if n < 0 {
			return false
		}
		w = span{uint32(c.text.at), uint32(c.text.at + n)}
		c.text.at += n + 1
	}
	c.words = append(c.words, w)
	c.odd = c.odd || isOdd(c.text.data[w.from:w.to])
	return true
}

// isOdd reports whether b has what ends a word.
func isOdd(b []byte) bool {
	return bytes.IndexByte(b, ' ') >= 0 || bytes.IndexByte(b, '\r') >= 0 || bytes.IndexByte(b, '\n') >= 0
}

// number reads the column's next value.
func (c *columnReader) number(ent uint32, arrival int64) int64 {
	code, ok := c.codes.short()
	if !ok {
		code = c.codes.longUvarint()
	}
	d := int64(code)
	if c.head.signed {
		d = unzigzag(code)
	}
	d *= int64(c.head.div)
	switch c.head.base {
	case baseColumn:
		d += c.prev
	case baseEntity:
		if before := c.num[ent]; before != unknown {
			d += before
		} else {
			d += c.prev
		}
	case baseGiven:
		d = arrival - d
	}
	c.prev, c.num[ent] = d, d
	return d
}

// hopReader is the hops of a block's paths.
type hopReader struct {
	text  []byte
	spans []span   // each with its comma
	odd   bool     // as columnReader's
	paths []uint32 // room for the hops of new paths
	used  int      // of paths
}

// usualHops is the length of a path that needs no room of its own: three
// relays, and one more where a circuit is cannibalised.
const usualHops = 4

func (h *hopReader) room() []uint32 {
	if len(h.paths)-h.used < usualHops {
		h.paths, h.used = make([]uint32, max(256*usualHops, min(2*len(h.paths), 1<<14))), 0
	}
	h.used += usualHops
	return h.paths[h.used-usualHops : h.used-usualHops : h.used]
}

// split divides a block's hops, which each end with a comma. It cannot have
// more of them than bytes of text.
func (h *hopReader) split(b []byte, limit int) error {
	n := bytes.Count(b, comma)
	if n > limit || len(b) > 0 && b[len(b)-1] != ',' {
		return fmt.Errorf("columns: the hops do not parse")
	}
	h.text, h.spans, h.used, h.odd = b, resize(h.spans, n), 0, isOdd(b)
	from := 0
	for i := range h.spans {
		to := from + bytes.IndexByte(b[from:], ',')
		h.spans[i] = span{uint32(from), uint32(to + 1)}
		from = to + 1
	}
	return nil
}
