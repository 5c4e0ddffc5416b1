package columns

import "encoding/binary"

// column is what the encoder knows of one column. Which fields are used
// depends on the kind.
type column struct {
	name string // position or keyword
	kind kind
	frac uint8 // digits after the point, of kindNumber

	// Words and data: number of the value last seen, plus 1, by entity.
	last  []uint32
	ids   map[string]uint32
	words [][]byte // by number
	after ranks    // context: the entity's last value
	codes []byte   // of values
	text  []byte   // words when first seen, each with its end

	// Numbers and times.
	vals   []int64
	before []int64 // the entity's value before, where there was one
	given  []int64 // what a column of this kind is relative to: the arrival of a time
	num    []int64 // last value, by entity
	known  []bool  // whether the entity has one

	// Paths: the last one, by entity.
	paths []path
	hops  []byte // codes of hops
}

// reset empties a column, whatever it was, and keeps its room.
func (c *column) reset(name string, k kind) *column {
	clear(c.ids)
	clear(c.words)
	clear(c.paths)
	*c = column{
		name: name, kind: k, after: c.after, ids: c.ids,
		last: c.last[:0], words: c.words[:0], codes: c.codes[:0], text: c.text[:0],
		vals: c.vals[:0], before: c.before[:0], given: c.given[:0], num: c.num[:0], known: c.known[:0],
		paths: c.paths[:0], hops: c.hops[:0],
	}
	c.after.reset()
	if cap(c.text) > scratchKept {
		c.text = nil
	}
	return c
}

// scratchKept is the most bytes of text that a column keeps room for between
// blocks: one event of many megabytes must not stay in memory for ever.
const scratchKept = 1 << 20

type path struct {
	text []byte
	hops []uint32
}

// seen is what makes room for an entity in a slice by entity.
func seen[T any](s []T, ent uint32) []T {
	for int(ent) >= len(s) {
		var zero T
		s = append(s, zero)
	}
	return s
}

// word codes a value of words or data.
func (c *column) word(ent uint32, val []byte) op {
	c.last = seen(c.last, ent)
	last := c.last[ent]
	if last > 0 && string(c.words[last-1]) == string(val) {
		return opSame
	}
	c.code(ent, last, val)
	return opCoded
}

// code codes a value whatever the entity's last one was.
func (c *column) code(ent, last uint32, val []byte) {
	id, ok := c.ids[string(val)]
	if !ok {
		id = uint32(len(c.words))
		if c.ids == nil {
			c.ids = make(map[string]uint32)
		}
		c.ids[string(val)] = id
		c.words = append(c.words, val)
		if c.kind == kindWord {
			c.text = append(append(c.text, val...), '\n')
		} else {
			c.text = appendData(c.text, val)
		}
	}
	c.codes = binary.AppendUvarint(c.codes, c.after.encode(last, id))
	c.last[ent] = id + 1
}

// number codes a number or a time; given is what a time may be relative to.
func (c *column) number(ent uint32, v, given int64) op {
	c.num, c.known = seen(c.num, ent), seen(c.known, ent)
	before := c.num[ent]
	if !c.known[ent] {
		if n := len(c.vals); n > 0 {
			before = c.vals[n-1]
		}
	} else if c.kind == kindTime && before == v {
		return opSame
	}
	c.vals, c.before = append(c.vals, v), append(c.before, before)
	if c.kind == kindTime {
		c.given = append(c.given, given)
	}
	c.num[ent], c.known[ent] = v, true
	return opCoded
}

// hopTable numbers the hops of a block's paths, which all groups share.
type hopTable struct {
	ids   map[string]uint32
	text  []byte // each with a comma behind it
	count uint32
}

func (t *hopTable) id(hop []byte) uint32 {
	id, ok := t.ids[string(hop)]
	if !ok {
		id = t.count
		t.count++
		t.ids[string(hop)] = id
		t.text = append(append(t.text, hop...), ',')
	}
	return id
}

// appendData appends a value of any bytes.
func appendData(dst, val []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(val)))
	return append(dst, val...)
}
