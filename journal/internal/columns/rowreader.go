package columns

import (
	"fmt"
)

// shapeReader is a shape, and once a line has it, the steps that rebuild one.
type shapeReader struct {
	tmpl  uint32
	ops   uint64
	steps []step
	end   []byte // what follows the last cell
	least int    // bytes of a line's texts
	room  int    // for all of a line but words, data and paths; 0: not compiled
}

func (s *shapeReader) reset(tmpl uint32, ops uint64) {
	*s = shapeReader{tmpl: tmpl, ops: ops, steps: s.steps[:0]}
}

// step rebuilds a cell and what stands before it.
type step struct {
	text span               // in the group's texts
	head [2][quick / 2]byte // what the text begins with
	col  *columnReader
	code stepCode
}

type stepCode uint8

const (
	stepKey stepCode = iota
	stepEscape
	stepWord
	stepSameWord
	stepNumber
	stepSameNumber
	stepFraction
	stepSameFraction
	stepTime
	stepSameTime
	stepPath
	stepSamePath
)

// Room in a line. A copy of few bytes of unknown number costs more to begin
// than to do: quick ones are always of as many bytes, and what is too much is
// overwritten by what comes next.
const (
	quick      = 32
	padding    = 2 * quick      // readable behind what is copied, writable behind where to
	numberRoom = 24             // bytes of a decimal number: 19 digits and a sign at most
	maxDigits  = 18             // of a number, behind its point too
	fracRoom   = 2 * numberRoom // zeros may precede the digits
)

// put writes b to dst at a place behind which there is padding. Sixteen bytes
// are what the compiler copies without a call.
func put(dst []byte, at int, b []byte) int {
	if len(b) <= quick && cap(b) >= quick {
		*(*[16]byte)(dst[at:]) = *(*[16]byte)(b[:16])
		*(*[16]byte)(dst[at+16:]) = *(*[16]byte)(b[16:32])
	} else {
		copy(dst[at:], b)
	}
	return at + len(b)
}

// compile makes the steps of a shape. It returns false for ops that no line
// has.
func (g *groupReader) compile(s *shapeReader) bool {
	t := &g.templates[s.tmpl]
	s.end = g.texts[t.end.from:t.end.to]
	s.least, s.room = t.size, t.size+2*padding
	ops := s.ops
	for i, p := range t.parts {
		st := step{text: p.text, head: [2][16]byte{[16]byte(g.texts[p.text.from:]), [16]byte(g.texts[p.text.from+16:])}, col: &g.cols[p.col]}
		o := op(ops & 3)
		ops >>= 2
		switch {
		case o > opEscape:
			return false
		case o == opEscape:
			st.code, st.col = stepEscape, &g.escapes
		case i == t.key:
			st.code = stepKey
			s.room += numberRoom
		default:
			var room int
			st.code, room = st.col.step()
			s.room += room
			if o == opSame {
				st.code++
			}
		}
		s.steps = append(s.steps, st)
	}
	return true
}

// step returns the step for the column's next value, and how much room a line
// must have for it beforehand.
func (c *columnReader) step() (code stepCode, room int) {
	switch {
	case c.kind == kindNumber && c.frac == 0:
		return stepNumber, numberRoom
	case c.kind == kindNumber:
		return stepFraction, fracRoom
	case c.kind == kindTime:
		return stepTime, timeRoom
	case c.kind == kindPath:
		return stepPath, 0
	}
	return stepWord, 0
}

// line is a line that is being rebuilt in the decoder's buffer.
type line struct {
	from, at int
	room     int // that must be left behind what is put
}

// fits makes room for n bytes and all of the line that has a fixed length.
func (d *Decoder) fits(l *line, n int) bool {
	return len(d.out)-l.at-l.room >= n || d.widen(l, n)
}

// widen moves a line to a new buffer with room for n more bytes, unless they
// are more than all lines may have. A line of many long words is not moved for
// each of them.
//
//go:noinline
func (d *Decoder) widen(l *line, n int) bool {
	size := l.at - l.from + n
	if size > d.limit {
		return false
	}
	size = max(size+l.room, min(d.chunk, d.limit+l.room), min(2*size, d.limit)+l.room)
	var out []byte
	if d.room != nil {
		out = d.room(size)
	} else {
		out = make([]byte, size)
	}
	l.at = copy(out, d.out[l.from:l.at])
	d.out, d.at, l.from = out, 0, 0
	return true
}

// row rebuilds the next line of a group if it is wanted, by its place and by
// its type.
func (d *Decoder) row(g *groupReader, r *Row, wanted bool) (bool, error) {
	ent, ok := g.entity()
	if !ok {
		return false, fmt.Errorf("its entity does not parse")
	}
	code, ok := g.codes.short()
	if !ok {
		code = g.codes.longUvarint()
	}
	g.last = seen(g.last, ent)
	id, ok := g.after.decode(g.last[ent], code)
	if !ok || int(id) >= len(g.shapes) || g.codes.bad {
		return false, fmt.Errorf("its shape does not parse")
	}
	g.last[ent] = id + 1
	s, t := &g.shapes[id], &g.templates[g.shapes[id].tmpl]
	if s.room == 0 && !g.compile(s) {
		return false, fmt.Errorf("a shape of %s does not parse", t.typ)
	}
	if !wanted || !t.want {
		if cell := d.pass(g, s.steps, ent, r.Time); cell < len(s.steps) {
			return false, fmt.Errorf("cell %d of a line of %s does not parse", cell, t.typ)
		}
		return false, nil
	}
	l := line{d.at, d.at, s.room}
	if s.least > d.limit || !d.fits(&l, 0) {
		return false, fmt.Errorf("a line of %s is too long", t.typ)
	}
	if cell := d.rebuild(g, s.steps, ent, &l, r.Time); cell < len(s.steps) {
		return false, fmt.Errorf("cell %d of a line of %s does not parse", cell, t.typ)
	}
	l.at = put(d.out, l.at, s.end)
	if d.limit -= l.at - l.from; d.limit < 0 {
		return false, fmt.Errorf("a line of %s is too long", t.typ)
	}
	d.at = l.at
	r.Type, r.Wire = t.typ, d.out[l.from:l.at:l.at]
	if d.lines && d.ofWords(s) {
		d.line = Line{Form: &t.form, Cells: d.ends[1 : 2*len(s.steps)+1]}
		r.Line = &d.line
	}
	return true, nil
}

// ofWords reports whether no cell of a line has what ends a word.
func (d *Decoder) ofWords(s *shapeReader) bool {
	for i := range s.steps {
		switch st := &s.steps[i]; st.code {
		case stepWord, stepSameWord, stepEscape:
			if st.col.odd {
				return false
			}
		case stepPath, stepSamePath:
			if d.hops.odd {
				return false
			}
		}
	}
	return true
}

// pass reads the cells of a line that nobody wants, for what the lines after
// it have in common with it. It returns how many were good.
func (d *Decoder) pass(g *groupReader, steps []step, ent uint32, arrival int64) int {
	for i := range steps {
		st := &steps[i]
		c := st.col
		switch st.code {
		case stepNumber, stepFraction, stepTime:
			if int(ent) >= len(c.num) && !c.room(ent, &d.state) {
				return i
			}
			if c.number(ent, arrival); c.codes.bad {
				return i
			}
		case stepWord:
			if int(ent) >= len(c.last) && !c.room(ent, &d.state) {
				return i
			}
			if _, ok := c.word(ent, &d.words); !ok {
				return i
			}
		case stepEscape:
			if !c.room(0, &d.state) {
				return i
			}
			if _, ok := c.word(0, &d.words); !ok {
				return i
			}
		case stepPath:
			if !c.room(ent, &d.state) || !d.readPath(g, c, ent) {
				return i
			}
		}
	}
	return len(steps)
}

// rebuild rebuilds the cells of a line and what stands before them. It returns
// how many were good, as pass does. What most lines are made of is done here, where the
// buffer and the place in it stay in registers.
func (d *Decoder) rebuild(g *groupReader, steps []step, ent uint32, l *line, arrival int64) int {
	out, at := d.out, l.at
	for i := range steps {
		st := &steps[i]
		d.ends[2*i] = uint32(at - l.from)
		if n := int(st.text.to - st.text.from); n <= quick {
			*(*[16]byte)(out[at:]), *(*[16]byte)(out[at+16:]) = st.head[0], st.head[1]
			at += n
		} else {
			at += copy(out[at:], g.texts[st.text.from:st.text.to])
		}
		d.ends[2*i+1] = uint32(at - l.from)
		c := st.col
		switch st.code {
		case stepKey:
			if ent == 0 {
				return i
			}
			at = putDecimal(out, at, g.ents.keys[ent])
			continue
		case stepNumber:
			if int(ent) < len(c.num) {
				at = putDecimal(out, at, c.number(ent, arrival))
				if c.codes.bad {
					return i
				}
				continue
			}
		case stepTime:
			if int(ent) < len(c.num) {
				at = d.clock.put(out, at, c.number(ent, arrival))
				if c.codes.bad {
					return i
				}
				continue
			}
		case stepSameTime:
			if int(ent) >= len(c.num) || c.num[ent] == unknown {
				return i
			}
			at = d.clock.put(out, at, c.num[ent])
			continue
		case stepSameWord:
			if int(ent) >= len(c.last) || c.last[ent] == 0 {
				return i
			}
			if w := c.at(c.last[ent] - 1); len(out)-at-l.room >= len(w) {
				at = put(out, at, w)
				continue
			}
		}
		if l.at = at; !d.cell(g, st, ent, l, arrival) {
			return i
		}
		out, at = d.out, l.at
	}
	l.at = at
	d.ends[2*len(steps)] = uint32(at - l.from)
	return len(steps)
}

// cell rebuilds any cell.
func (d *Decoder) cell(g *groupReader, st *step, ent uint32, l *line, arrival int64) bool {
	if st.code == stepEscape {
		ent = 0
	}
	c := st.col
	if !c.room(ent, &d.state) {
		return false
	}
	switch st.code {
	case stepNumber:
		l.at = putDecimal(d.out, l.at, c.number(ent, arrival))
		return !c.codes.bad
	case stepTime:
		l.at = d.clock.put(d.out, l.at, c.number(ent, arrival))
		return !c.codes.bad
	case stepPath:
		return d.readPath(g, c, ent) && d.putPath(c.paths[ent], l)
	case stepSamePath:
		return d.putPath(c.paths[ent], l)
	case stepWord, stepEscape:
		w, ok := c.word(ent, &d.words)
		return ok && d.putWord(w, l)
	case stepSameWord:
		return d.putWord(c.at(c.last[ent]-1), l)
	}
	v := c.num[ent]
	if st.code == stepFraction {
		v = c.number(ent, arrival)
	} else if v == unknown {
		return false
	}
	l.at += len(appendDecimal(d.out[l.at:l.at], v, c.frac))
	return !c.codes.bad
}

func (d *Decoder) putWord(w []byte, l *line) bool {
	if !d.fits(l, len(w)) {
		return false
	}
	l.at = put(d.out, l.at, w)
	return true
}

// readPath finds the hops of an entity's path from those it had before.
func (d *Decoder) readPath(g *groupReader, c *columnReader, ent uint32) bool {
	drop, add := c.codes.count(len(c.paths[ent])), c.codes.count(maxHops)
	if c.codes.bad || add == 0 {
		return false
	}
	hops := c.paths[ent]
	if hops == nil {
		hops = d.hops.room()
	}
	hops = hops[:len(hops)-drop]
	before := uint32(0)
	if n := len(hops); n > 0 {
		before = hops[n-1] + 1
	}
	for range add {
		id, ok := g.hopAfter.decode(before, c.hops.uvarint())
		if !ok || int(id) >= len(d.hops.spans) || c.hops.bad {
			return false
		}
		hops = append(hops, id)
		before = id + 1
	}
	c.paths[ent] = hops
	return true
}

// putPath puts the hops of a path, of which there must be one.
func (d *Decoder) putPath(hops []uint32, l *line) bool {
	for _, id := range hops {
		s := d.hops.spans[id]
		hop := d.hops.text[s.from:s.to]
		if !d.fits(l, len(hop)) {
			return false
		}
		l.at = put(d.out, l.at, hop)
	}
	l.at-- // the last comma
	return len(hops) > 0
}
