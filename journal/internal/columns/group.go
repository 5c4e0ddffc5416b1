package columns

import (
	"fmt"
	"slices"
)

// groupReader reads the lines of a group in their order. It is the decoder's
// half of group.
type groupReader struct {
	types     []string
	wanted    []bool // by type
	skip      bool   // none of them is wanted, and nothing else is read
	keyed     bool
	templates []templateReader
	texts     []byte // of all templates, with padding behind them
	shapes    []shapeReader
	cols      []columnReader
	escapes   columnReader

	after ranks
	codes bytesReader
	last  []uint32

	ents     keyTable
	keyCodes bytesReader
	keyAfter ranks
	prevEnt  uint32
	maxKey   int64

	hopAfter ranks
}

// templateReader is a template ready to be filled.
type templateReader struct {
	typ   string
	want  bool
	key   int
	parts []part
	end   span // what follows the last cell, in the group's texts
	size  int  // bytes of all texts
	form  Form // of its lines
}

// part is a cell and what stands before it.
type part struct {
	text span // in the group's texts
	col  int
}

// readTypes reads what begins a group, and whether it has a wanted type.
func (g *groupReader) readTypes(in *bytesReader, want func(string) bool) bool {
	n := in.count(in.left())
	old := g.types
	g.types, g.wanted, g.skip = g.types[:0], g.wanted[:0], true
	for range n {
		typ := in.name(old)
		wanted := want == nil || want(typ)
		g.types, g.wanted = append(g.types, typ), append(g.wanted, wanted)
		g.skip = g.skip && !wanted
	}
	return !in.bad && n > 0
}

// open reads what describes the group, and its sections. It forgets what was
// read of another block and keeps its room.
func (g *groupReader) open(in *bytesReader, u *unpacker) error {
	g.after.reset()
	g.keyAfter.reset()
	g.hopAfter.reset()
	g.ents.reset()
	g.last = g.last[:0]
	g.prevEnt, g.maxKey = 0, 0
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
	g.shapes = resize(g.shapes, meta.count(min(maxShapes, meta.left())))
	for i := range g.shapes {
		g.shapes[i].reset(uint32(meta.count(len(g.templates)-1)), meta.uvarint())
	}
	g.keyed = meta.byte() != 0
	g.cols = resize(g.cols, meta.count(min(maxColumns, meta.left())))
	s := streams{meta: &meta, small: &small, large: in, u: u}
	g.codes, g.keyCodes = s.next(), s.next()
	g.escapes.reset()
	g.escapes.codes, g.escapes.text = s.next(), s.next()
	for i := range g.cols {
		s.column(&g.cols[i])
	}
	for i := range g.templates {
		for _, p := range g.templates[i].parts {
			if p.col >= len(g.cols) {
				meta.fail()
			}
		}
	}
	if s.err != nil {
		return s.err
	}
	if meta.bad || small.bad || meta.left()+small.left()+in.left() > 0 {
		return fmt.Errorf("its description does not parse")
	}
	return nil
}

// streams finds the streams of a group: in its small section, or as the next
// large one.
type streams struct {
	meta, small, large *bytesReader
	u                  *unpacker
	err                error
}

func (s *streams) next() (r bytesReader) {
	n := s.meta.uvarint()
	switch {
	case n > 0:
		r.data = s.small.take(int(min(n-1, maxStream)))
	case s.err == nil && !s.meta.bad:
		r.data, s.err = s.large.section(s.u)
	}
	return r
}

func (s *streams) column(c *columnReader) {
	c.reset()
	c.kind = kind(s.meta.byte())
	switch c.kind {
	case kindNumber, kindTime:
		c.frac = s.meta.byte()
		flags := s.meta.byte()
		c.head = numbersHead{base: base(flags & 0x7f), signed: flags&0x80 != 0, div: s.meta.uvarint()}
		c.codes = s.next()
		if c.head.base >= bases || c.frac > maxDigits {
			s.meta.fail()
		}
	case kindPath:
		c.codes, c.hops = s.next(), s.next()
	case kindWord, kindData:
		c.codes, c.text = s.next(), s.next()
	default:
		s.meta.fail()
	}
}

func (g *groupReader) readTemplates(meta *bytesReader) error {
	g.templates = resize(g.templates, meta.count(min(maxTemplates, meta.left())))
	g.texts = g.texts[:0]
	for i := range g.templates {
		if !g.readTemplate(&g.templates[i], meta) {
			return fmt.Errorf("template %d does not parse", i)
		}
	}
	g.texts = append(g.texts, make([]byte, padding)...)
	return nil
}

func (g *groupReader) readTemplate(t *templateReader, meta *bytesReader) bool {
	begin := len(g.texts)
	t.parts = t.parts[:0]
	t.typ, t.form = meta.name(g.types), Form{}
	i := slices.Index(g.types, t.typ)
	t.want = i >= 0 && g.wanted[i]
	fr := frame(meta.byte())
	t.key = meta.count(maxCells) - 1
	n := meta.count(maxTokens)
	if meta.bad || i < 0 || fr >= frames || fr == frameRaw && n > 0 || fr != frameRaw && n == 0 {
		return false
	}
	from := uint32(begin)
	text := func() span {
		s := span{from, uint32(len(g.texts))}
		from = s.to
		return s
	}
	g.texts = append(g.texts, frameHead[fr]...)
	for j := range n {
		if j > 0 {
			g.texts = append(g.texts, ' ')
		}
		kind := tokenKind(meta.byte())
		if kind >= tokenKinds {
			return false
		}
		if kind == tokenLiteral || kind == tokenKeyword {
			g.texts = append(g.texts, meta.take(meta.count(meta.left()))...)
		}
		if kind != tokenLiteral {
			t.parts = append(t.parts, part{text: text()})
		}
	}
	if fr != frameRaw {
		g.texts = append(g.texts, "\r\n"...)
	}
	if fr != frameLine {
		t.parts = append(t.parts, part{text: text()})
	}
	t.end, t.size = text(), len(g.texts)-begin
	if meta.count(maxCells) != len(t.parts) {
		return false
	}
	for j := range t.parts {
		t.parts[j].col = meta.count(maxColumns - 1)
	}
	return !meta.bad && t.key < len(t.parts)
}

// entity reads which entity the next line speaks of; 0 is none.
func (g *groupReader) entity() (ent uint32, ok bool) {
	if !g.keyed {
		return 0, true
	}
	code, ok := g.keyCodes.short()
	if !ok {
		code = g.keyCodes.longUvarint()
	}
	switch {
	case code == keyNone:
		return 0, !g.keyCodes.bad
	case code == keySame:
		return g.prevEnt, g.prevEnt > 0
	case code >= keyAfter && code < keyFar:
		if ent, ok = g.keyAfter.decode(g.prevEnt, code-keyAfter); !ok {
			return 0, false
		}
	default:
		key := g.maxKey + 1
		if code != keyNext {
			key = g.ents.keys[g.prevEnt] + unzigzag(code-keyFar)
		}
		ent = g.ents.number(key)
		g.keyAfter.at(g.prevEnt).insert(ent)
	}
	g.prevEnt, g.maxKey = ent, max(g.maxKey, g.ents.keys[ent])
	return ent, true
}

// resize gives a slice another length and keeps what its elements have room
// for.
func resize[T any](s []T, n int) []T {
	s = s[:cap(s)]
	if n > len(s) {
		s = append(s, make([]T, n-len(s))...)
	}
	return s[:n]
}

// done reports whether everything was read.
func (g *groupReader) done() bool {
	left := g.codes.left() + g.keyCodes.left() + g.escapes.codes.left() + g.escapes.text.left()
	for i := range g.cols {
		c := &g.cols[i]
		left += c.codes.left() + c.text.left() + c.hops.left()
	}
	return left == 0
}
