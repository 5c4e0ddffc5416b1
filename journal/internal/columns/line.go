package columns

import (
	"bytes"
	"encoding/binary"
)

// line codes the cells of a line.
func (e *Encoder) line(g *group, t *template, arrival int64) {
	ent := uint32(0)
	var ops uint64
	if g.key != "" {
		var key int64
		if t.key >= 0 {
			v, frac, ok := parseDecimal(e.vals[t.key])
			if ok && frac == 0 {
				ent, key = g.entity(v), v
			} else {
				ops |= uint64(opEscape) << (2 * t.key)
				g.escape(e.vals[t.key])
			}
		}
		g.codeKey(ent, key)
	}
	for i, col := range t.cells {
		if i != t.key {
			ops |= uint64(e.cell(g, g.cols[col], ent, e.vals[i], arrival)) << (2 * i)
		}
	}
	id := g.shape(t, ops)
	g.last = seen(g.last, ent)
	g.codes = binary.AppendUvarint(g.codes, g.after.encode(g.last[ent], id))
	g.last[ent] = id + 1
	if id >= maxShapes {
		e.unfit = true
	}
}

func (e *Encoder) cell(g *group, c *column, ent uint32, val []byte, arrival int64) op {
	switch c.kind {
	case kindNumber:
		if v, frac, ok := parseDecimal(val); ok && frac == c.frac {
			return c.number(ent, v, 0)
		}
	case kindTime:
		if v, ok := e.clock.parse(val); ok {
			return c.number(ent, v, arrival)
		}
	case kindPath:
		if bytes.Count(val, comma) < maxHops {
			return e.path(g, c, ent, val)
		}
	default:
		return c.word(ent, val)
	}
	g.escape(val)
	return opEscape
}

func (g *group) escape(val []byte) {
	g.escapes.last = seen(g.escapes.last, 0)
	g.escapes.code(0, g.escapes.last[0], val)
}

// entity returns the number of the entity whose key is v, from 1.
func (g *group) entity(v int64) uint32 {
	ent, ok := g.ents[v]
	if !ok {
		ent = uint32(len(g.keys))
		g.ents[v] = ent
		g.keys = append(g.keys, v)
	}
	return ent
}

// shape returns the number of the shape that a template has with ops.
func (g *group) shape(t *template, ops uint64) uint32 {
	for i, s := range t.shapes {
		if s.ops == ops {
			if i > 0 {
				t.shapes[i], t.shapes[i-1] = t.shapes[i-1], s
			}
			return s.id
		}
	}
	id := uint32(len(g.shapes))
	g.shapes = append(g.shapes, shape{t.id, ops})
	t.shapes = append(t.shapes, shapeRef{ops, id})
	return id
}

// Codes of a line's entity. After them come the distances of keys.
const (
	keyNone  = iota // the line has no number
	keySame         // the entity of the line before
	keyNext         // the number that follows the greatest so far
	keyAfter        // near codes: what followed the line before's entity lately
	keyFar   = keyAfter + near
)

// codeKey codes which entity a line speaks of.
func (g *group) codeKey(ent uint32, key int64) {
	code := uint64(keyNone)
	switch {
	case ent == 0:
	case ent == g.prevEnt:
		code = keySame
	default:
		r := g.keyAfter.encode(g.prevEnt, ent)
		switch {
		case r < near:
			code = keyAfter + r
		case key == g.maxKey+1:
			code = keyNext
		default:
			code = keyFar + zigzag(key-g.keys[g.prevEnt])
		}
	}
	g.keyCodes = binary.AppendUvarint(g.keyCodes, code)
	if ent != 0 {
		g.prevEnt, g.maxKey = ent, max(g.maxKey, key)
	}
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// path codes the hops of a path as far as they are not those of the entity's
// last one.
func (e *Encoder) path(g *group, c *column, ent uint32, val []byte) op {
	c.paths = seen(c.paths, ent)
	p := &c.paths[ent]
	same := 0 // hops that stay
	rest := val
	switch {
	case len(p.hops) > 0 && string(p.text) == string(val):
		return opSame
	case len(p.hops) > 0 && len(val) > len(p.text) && val[len(p.text)] == ',' && string(val[:len(p.text)]) == string(p.text):
		same, rest = len(p.hops), val[len(p.text)+1:]
	}
	old := len(p.hops)
	if same == 0 {
		for same < old {
			hop, more, found := bytes.Cut(rest, comma)
			if !found || e.hops.id(hop) != p.hops[same] {
				break
			}
			same, rest = same+1, more
		}
	}
	p.hops = p.hops[:same]
	for done := false; !done; {
		hop, more, found := bytes.Cut(rest, comma)
		id := e.hops.id(hop)
		before := uint32(0)
		if n := len(p.hops); n > 0 {
			before = p.hops[n-1] + 1
		}
		c.hops = binary.AppendUvarint(c.hops, g.hopAfter.encode(before, id))
		p.hops = append(p.hops, id)
		rest, done = more, !found
	}
	c.codes = binary.AppendUvarint(c.codes, uint64(old-same))
	c.codes = binary.AppendUvarint(c.codes, uint64(len(p.hops)-same))
	p.text = val
	return opCoded
}

var comma = []byte{','}
