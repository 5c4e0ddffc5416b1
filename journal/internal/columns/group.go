package columns

import (
	"bytes"
	"fmt"
)

// groupReader reads the lines of a group in their order. It is the decoder's
// half of group.
type groupReader struct {
	types     []string
	keyed     bool
	templates []templateReader
	shapes    []shape
	cols      []*columnReader
	escapes   *columnReader

	after ranks
	codes bytesReader
	last  []uint32

	ents     map[int64]uint32
	keys     []int64 // by entity
	keyCodes bytesReader
	keyAfter ranks
	prevEnt  uint32
	maxKey   int64

	hopAfter ranks
}

// templateReader is a template ready to be filled: before each cell its text.
type templateReader struct {
	typ   string
	key   int
	parts []part
	end   []byte
}

type part struct {
	text []byte
	col  int
}

// columnReader is the decoder's half of column.
type columnReader struct {
	kind kind
	frac uint8

	last  []uint32
	words [][]byte
	after ranks
	codes bytesReader
	text  bytesReader

	head  numbersHead
	prev  int64 // the column's value before
	num   []int64
	known []bool

	paths []path
	hops  bytesReader
}

// open reads what describes the group, and its sections.
func (g *groupReader) open(in *bytesReader, u *unpacker) error {
	metaBytes, err := in.section(u)
	if err != nil {
		return err
	}
	smallBytes, err := in.section(u)
	if err != nil {
		return err
	}
	meta, small := bytesReader{data: metaBytes}, bytesReader{data: smallBytes}
	if err := g.readTemplates(&meta); err != nil {
		return err
	}
	g.shapes = make([]shape, meta.count(min(maxShapes, meta.left())))
	for i := range g.shapes {
		g.shapes[i] = shape{tmpl: uint32(meta.count(len(g.templates) - 1)), ops: meta.uvarint()}
	}
	g.keyed = meta.byte() != 0
	if g.keyed {
		g.ents = make(map[int64]uint32)
	}
	g.cols = make([]*columnReader, meta.count(min(maxColumns, meta.left())))
	var late error
	stream := func() (r bytesReader) {
		n := meta.uvarint()
		switch {
		case n > 0:
			r.data = small.take(int(min(n-1, maxStream)))
		case late == nil && !meta.bad:
			r.data, late = in.section(u)
		}
		return r
	}
	g.codes, g.keyCodes = stream(), stream()
	g.escapes = &columnReader{codes: stream(), text: stream()}
	for i := range g.cols {
		c := &columnReader{kind: kind(meta.byte())}
		switch c.kind {
		case kindNumber, kindTime:
			c.frac = meta.byte()
			flags := meta.byte()
			c.head = numbersHead{base: base(flags & 0x7f), signed: flags&0x80 != 0, div: meta.uvarint()}
			c.codes = stream()
			if c.head.base >= bases || c.frac > 18 {
				meta.fail()
			}
		case kindPath:
			c.codes, c.hops = stream(), stream()
		case kindWord, kindData:
			c.codes, c.text = stream(), stream()
		default:
			meta.fail()
		}
		g.cols[i] = c
	}
	for i := range g.templates {
		for _, p := range g.templates[i].parts {
			if p.col >= len(g.cols) {
				meta.fail()
			}
		}
	}
	if late != nil {
		return late
	}
	if meta.bad || small.bad || meta.left()+small.left()+in.left() > 0 {
		return fmt.Errorf("its description does not parse")
	}
	return nil
}

func (g *groupReader) readTemplates(meta *bytesReader) error {
	g.templates = make([]templateReader, meta.count(min(maxTemplates, meta.left())))
	for i := range g.templates {
		t := &g.templates[i]
		t.typ = meta.text()
		fr := frame(meta.byte())
		t.key = meta.count(maxCells) - 1
		n := meta.count(maxTokens)
		if fr >= frames || fr == frameRaw && n > 0 || fr != frameRaw && n == 0 {
			meta.fail()
		}
		if meta.bad {
			return fmt.Errorf("template %d does not parse", i)
		}
		text := []byte(frameHead[fr])
		for j := range n {
			if j > 0 {
				text = append(text, ' ')
			}
			kind := tokenKind(meta.byte())
			if kind >= tokenKinds {
				meta.fail()
			}
			if kind == tokenLiteral || kind == tokenKeyword {
				text = append(text, meta.text()...)
			}
			if kind != tokenLiteral {
				t.parts = append(t.parts, part{text: text})
				text = nil
			}
		}
		switch fr {
		case frameRaw:
			t.parts = append(t.parts, part{})
		case frameLine:
			t.end = append(text, "\r\n"...)
		default:
			t.parts = append(t.parts, part{text: append(text, "\r\n"...)})
		}
		if meta.count(maxCells) != len(t.parts) {
			meta.fail()
		}
		for j := range t.parts {
			t.parts[j].col = meta.count(maxColumns - 1)
		}
		if meta.bad || t.key >= len(t.parts) {
			return fmt.Errorf("template %d does not parse", i)
		}
	}
	return nil
}

// entity reads which entity the next line speaks of; 0 is none.
func (g *groupReader) entity() (ent uint32, ok bool) {
	if !g.keyed {
		return 0, true
	}
	code := g.keyCodes.uvarint()
	switch {
	case g.keyCodes.bad:
		return 0, false
	case code == keyNone:
		return 0, true
	case code == keySame:
		return g.prevEnt, g.prevEnt > 0
	case code >= keyAfter && code < keyFar:
		ent, ok = g.keyAfter.decode(g.prevEnt, code-keyAfter)
		if !ok {
			return 0, false
		}
	default:
		key := g.maxKey + 1
		if code != keyNext {
			code -= keyFar
			key = g.keys[g.prevEnt] + (int64(code>>1) ^ -int64(code&1))
		}
		var old bool
		if ent, old = g.ents[key]; !old {
			ent = uint32(len(g.keys))
			g.ents[key] = ent
			g.keys = append(g.keys, key)
		}
		g.keyAfter.at(g.prevEnt).insert(ent)
	}
	g.prevEnt, g.maxKey = ent, max(g.maxKey, g.keys[ent])
	return ent, true
}

// done reports whether everything was read.
func (g *groupReader) done() bool {
	left := g.codes.left() + g.keyCodes.left()
	for _, c := range append(g.cols, g.escapes) {
		left += c.codes.left() + c.text.left() + c.hops.left()
	}
	return left == 0
}

func (c *columnReader) lastOf(ent uint32) uint32 {
	c.last = seen(c.last, ent)
	return c.last[ent]
}

// word reads the next coded value.
func (c *columnReader) word(ent, last uint32) ([]byte, bool) {
	id, ok := c.after.decode(last, c.codes.uvarint())
	if !ok || c.codes.bad || int(id) > len(c.words) {
		return nil, false
	}
	if int(id) == len(c.words) {
		w, ok := c.newWord()
		if !ok {
			return nil, false
		}
		c.words = append(c.words, w)
	}
	c.last[ent] = id + 1
	return c.words[id], true
}

func (c *columnReader) newWord() ([]byte, bool) {
	if c.kind == kindData {
		w := c.text.take(c.text.count(c.text.left()))
		return w, !c.text.bad
	}
	i := bytes.IndexByte(c.text.data[c.text.at:], '\n')
	if i < 0 {
		return nil, false
	}
	w := c.text.take(i)
	c.text.take(1)
	return w, true
}

func (c *columnReader) number(ent uint32, o op, arrival int64) (int64, bool) {
	c.num, c.known = seen(c.num, ent), seen(c.known, ent)
	if o == opSame {
		return c.num[ent], c.known[ent]
	}
	code := c.codes.uvarint()
	d := int64(code)
	if c.head.signed {
		d = (int64(code>>1) ^ -int64(code&1))
	}
	d *= int64(c.head.div)
	switch c.head.base {
	case baseColumn:
		d += c.prev
	case baseEntity:
		if c.known[ent] {
			d += c.num[ent]
		} else {
			d += c.prev
		}
	case baseGiven:
		d = arrival - d
	}
	c.prev, c.num[ent], c.known[ent] = d, d, true
	return d, !c.codes.bad
}

// splitHops divides hops, which each end with a comma. A block cannot have
// more of them than bytes of text.
func splitHops(b []byte, limit int) ([][]byte, error) {
	n := bytes.Count(b, comma)
	if n > limit || len(b) > 0 && b[len(b)-1] != ',' {
		return nil, fmt.Errorf("columns: the hops do not parse")
	}
	hops := make([][]byte, n)
	for i := range hops {
		end := bytes.IndexByte(b, ',')
		hops[i], b = b[:end:end], b[end+1:]
	}
	return hops, nil
}
