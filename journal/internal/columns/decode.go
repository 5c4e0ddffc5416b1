package columns

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Decode calls emit for each of the block's n records whose type is wanted, in
// order; i is the record's place in the block. A nil want wants all. limit
// bounds the bytes of all wire forms together. The rows' bytes are emit's to
// keep; those of one call share few buffers. What is not what an Encoder
// makes is an error, and emit may have been called before.
func Decode(z *zstd.Decoder, data []byte, n, limit int, want func(typ string) bool, emit func(i int, r Row)) error {
	in := bytesReader{data: data}
	if v := in.byte(); v != version {
		return fmt.Errorf("columns: version %d, this program reads %d", v, version)
	}
	d := decoder{limit: limit, all: want == nil}
	var err error
	u := newUnpacker(z, n, limit)
	sections := [3]bytesReader{}
	for i := range sections {
		if sections[i].data, err = in.section(u); err != nil {
			return err
		}
	}
	order, times := sections[0], sections[1]
	if d.hops, err = splitHops(sections[2].data, limit); err != nil {
		return err
	}
	groups, err := d.groups(&in, u, want)
	if err != nil {
		return err
	}
	var next ranks
	var before uint32
	var us int64
	for i := range n {
		g, ok := next.decode(before, order.uvarint())
		us += times.varint()
		if !ok || int(g) >= len(groups) || order.bad || times.bad {
			return fmt.Errorf("columns: the order of record %d of %d does not parse", i+1, n)
		}
		before = g
		if groups[g] == nil {
			continue
		}
		typ, wire, err := d.row(groups[g], us)
		if err != nil {
			return fmt.Errorf("columns: record %d of %d: %w", i+1, n, err)
		}
		if want == nil || want(typ) {
			emit(i, Row{Type: typ, Time: us, Wire: wire})
		}
	}
	if order.left()+times.left() > 0 {
		return fmt.Errorf("columns: more follows the last record")
	}
	for _, g := range groups {
		if g != nil && !g.done() {
			return fmt.Errorf("columns: more follows the last line of %s", g.types[0])
		}
	}
	return nil
}

// TimeAt returns the arrival of the i-th record, from 0, without decoding any.
func TimeAt(z *zstd.Decoder, data []byte, i int) (us int64, err error) {
	in := bytesReader{data: data}
	if v := in.byte(); v != version {
		return 0, fmt.Errorf("columns: version %d, this program reads %d", v, version)
	}
	in.skipSection()
	var times bytesReader
	if times.data, err = in.section(newUnpacker(z, maxID, 0)); err != nil {
		return 0, err
	}
	for range i + 1 {
		us += times.varint()
	}
	if times.bad {
		return 0, fmt.Errorf("columns: there is no record %d", i)
	}
	return us, nil
}

// decoder is what the groups of a block share.
type decoder struct {
	hops  [][]byte
	clock clock
	out   []byte // wire forms are appended to it; a new one is begun when it is full
	limit int    // bytes that may still be appended
	all   bool   // every record is wanted
}

// chunk is the size of the buffers that wire forms lie in where only some of
// a block's are wanted.
const chunk = 32 << 10

// groups reads the groups that have a wanted type; the others are nil.
func (d *decoder) groups(in *bytesReader, u *unpacker, want func(string) bool) ([]*groupReader, error) {
	groups := make([]*groupReader, in.count(maxGroups))
	for i := range groups {
		part := bytesReader{data: in.take(in.count(in.left()))}
		if in.bad {
			break
		}
		types := make([]string, part.count(part.left()))
		wanted := want == nil
		for j := range types {
			types[j] = part.text()
			wanted = wanted || want(types[j])
		}
		if part.bad || len(types) == 0 {
			return nil, fmt.Errorf("columns: group %d does not parse", i)
		}
		if !wanted {
			continue
		}
		g := &groupReader{types: types, keys: []int64{0}}
		if err := g.open(&part, u); err != nil {
			return nil, fmt.Errorf("columns: group of %s: %w", types[0], err)
		}
		groups[i] = g
	}
	if in.bad || in.left() > 0 {
		return nil, fmt.Errorf("columns: the groups do not end where the block does")
	}
	return groups, nil
}

// row rebuilds the next line of a group.
func (d *decoder) row(g *groupReader, arrival int64) (typ string, wire []byte, err error) {
	if cap(d.out)-len(d.out) < chunk/16 {
		size := chunk
		if d.all {
			size = d.limit
		}
		d.out = make([]byte, 0, size)
	}
	from := len(d.out)
	ent, ok := g.entity()
	if !ok {
		return "", nil, fmt.Errorf("its entity does not parse")
	}
	g.last = seen(g.last, ent)
	id, ok := g.after.decode(g.last[ent], g.codes.uvarint())
	if !ok || int(id) >= len(g.shapes) || g.codes.bad {
		return "", nil, fmt.Errorf("its shape does not parse")
	}
	g.last[ent] = id + 1
	s := &g.shapes[id]
	t := &g.templates[s.tmpl]
	ops := s.ops
	for i := range t.parts {
		p := &t.parts[i]
		if !d.append(p.text) || !d.cell(g, t, i, ent, op(ops&3), arrival) {
			return "", nil, fmt.Errorf("cell %d of a line of %s does not parse", i, t.typ)
		}
		ops >>= 2
	}
	if !d.append(t.end) {
		return "", nil, fmt.Errorf("a line of %s is too long", t.typ)
	}
	return t.typ, d.out[from:len(d.out):len(d.out)], nil
}

// append appends to the line and says whether there was room.
func (d *decoder) append(b []byte) bool {
	if len(b) > d.limit {
		return false
	}
	d.out = append(d.out, b...)
	d.limit -= len(b)
	return true
}

func (d *decoder) decimal(v int64, frac uint8) bool {
	from := len(d.out)
	d.out = appendDecimal(d.out, v, frac)
	d.limit -= len(d.out) - from
	return d.limit >= 0
}

func (d *decoder) time(us int64) bool {
	d.out = d.clock.append(d.out, us)
	d.limit -= timeLen
	return d.limit >= 0
}

func (d *decoder) cell(g *groupReader, t *templateReader, i int, ent uint32, o op, arrival int64) bool {
	c := g.cols[t.parts[i].col]
	switch {
	case o == opEscape:
		e := g.escapes
		w, ok := e.word(0, e.lastOf(0))
		return ok && d.append(w)
	case o > opEscape:
		return false
	case i == t.key:
		if ent == 0 {
			return false
		}
		return d.decimal(g.keys[ent], 0)
	}
	switch c.kind {
	case kindNumber, kindTime:
		v, ok := c.number(ent, o, arrival)
		if !ok {
			return false
		}
		if c.kind == kindNumber {
			return d.decimal(v, c.frac)
		}
		return d.time(v)
	case kindPath:
		text, ok := d.path(g, c, ent, o)
		return ok && d.append(text)
	}
	last := c.lastOf(ent)
	if o == opSame {
		return last > 0 && d.append(c.words[last-1])
	}
	w, ok := c.word(ent, last)
	return ok && d.append(w)
}

// path rebuilds a path from the entity's last one.
func (d *decoder) path(g *groupReader, c *columnReader, ent uint32, o op) ([]byte, bool) {
	c.paths = seen(c.paths, ent)
	p := &c.paths[ent]
	if o == opSame {
		return p.text, len(p.hops) > 0
	}
	drop, add := c.codes.count(len(p.hops)), c.codes.count(maxHops)
	if c.codes.bad || add == 0 {
		return nil, false
	}
	if drop > 0 {
		p.hops = p.hops[:len(p.hops)-drop]
		p.text = p.text[:0]
		for i, id := range p.hops {
			p.text = appendHop(p.text, i, d.hops[id])
		}
	}
	for range add {
		before := uint32(0)
		if n := len(p.hops); n > 0 {
			before = p.hops[n-1] + 1
		}
		id, ok := g.hopAfter.decode(before, c.hops.uvarint())
		if !ok || int(id) >= len(d.hops) || c.hops.bad || len(p.text) > d.limit {
			return nil, false
		}
		p.text = appendHop(p.text, len(p.hops), d.hops[id])
		p.hops = append(p.hops, id)
	}
	return p.text, true
}

func appendHop(dst []byte, i int, hop []byte) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return append(dst, hop...)
}
