package columns

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Encoder codes blocks, one after the other. It is owned by one goroutine.
type Encoder struct {
	out sectionWriter

	groups []*group
	spare  map[string]*group // of blocks before, by name
	types  map[string]*forms
	order  []byte // code of each record's group
	next   ranks  // of groups; context: the group before
	times  []byte
	hops   hopTable
	clock  clock

	rows      int
	size      int // bytes of wire forms
	prevTime  int64
	prevGroup uint32
	unfit     bool

	vals [][]byte // scratch: the cells of a row
}

// forms is the forms of one type's lines.
type forms struct {
	typ   string
	group *group
	prose bool
	roots [frames]node
}

// group holds the types that speak of the same entities.
type group struct {
	id        uint32
	name      string
	types     []string
	key       string // column that holds the entity's number; "": no entities
	cols      []*column
	spare     []*column // of blocks before
	byName    map[string]int
	templates []*template
	shapes    []shape
	after     ranks // of shapes; context: the entity's last one
	codes     []byte
	last      []uint32 // shape of each entity's last line, plus 1

	ents     map[int64]uint32
	keys     []int64 // by entity
	keyCodes []byte
	keyAfter ranks // of entities; context: the entity of the line before
	prevEnt  uint32
	maxKey   int64

	hopAfter ranks // of hops; context: the hop before, plus 1
	escapes  column
}

type shape struct {
	tmpl uint32
	ops  uint64
}

// NewEncoder returns an encoder whose entropy stage is zw.
func NewEncoder(zw *zstd.Encoder) *Encoder {
	e := &Encoder{out: sectionWriter{zw: zw}, spare: make(map[string]*group), types: make(map[string]*forms)}
	e.hops.ids = make(map[string]uint32)
	return e
}

// reset begins a block. It keeps the room that the last one took: the next one
// is most likely to need as much for the same columns.
func (e *Encoder) reset() {
	clear(e.spare) // what the last block did not need is not kept for the next
	for _, g := range e.groups {
		e.spare[g.name] = g.reset()
	}
	clear(e.vals[:cap(e.vals)])
	if cap(e.out.packed) > scratchKept {
		e.out.packed = nil
	}
	*e = Encoder{
		out: e.out, spare: e.spare, vals: e.vals[:0],
		groups: e.groups[:0], types: e.types, order: e.order[:0], times: e.times[:0],
		next: e.next, hops: hopTable{ids: e.hops.ids, text: e.hops.text[:0]},
	}
	e.next.reset()
	clear(e.types)
	clear(e.hops.ids)
}

func (g *group) reset() *group {
	spare := g.cols
	for _, c := range spare {
		c.reset("", kindWord)
	}
	*g = group{
		name: g.name, types: g.types[:0], key: g.key, spare: spare, byName: g.byName, ents: g.ents,
		cols: g.cols[:0:0], templates: g.templates[:0], shapes: g.shapes[:0],
		after: g.after, codes: g.codes[:0], last: g.last[:0],
		keys: append(g.keys[:0], 0), keyCodes: g.keyCodes[:0], keyAfter: g.keyAfter,
		hopAfter: g.hopAfter, escapes: *g.escapes.reset("escapes", kindWord),
	}
	g.after.reset()
	g.keyAfter.reset()
	g.hopAfter.reset()
	clear(g.byName)
	clear(g.ents)
	return g
}

// Append adds a record to the block. Its wire form must not change before
// Finish has returned.
func (e *Encoder) Append(r Row) {
	f := e.types[r.Type]
	if f == nil {
		if f = e.addType(r.Type); f == nil {
			e.unfit = true
			return
		}
	}
	g := f.group
	e.order = binary.AppendUvarint(e.order, e.next.encode(e.prevGroup, g.id))
	e.prevGroup = g.id
	e.times = binary.AppendVarint(e.times, r.Time-e.prevTime)
	e.prevTime = r.Time
	e.rows++
	e.size += len(r.Wire)

	t := e.split(f, r.Wire)
	if t == nil {
		e.unfit = true
		return
	}
	e.line(g, t, r.Time)
}

func (e *Encoder) addType(typ string) *forms {
	name, key := typ, ""
	if fam, ok := family[typ]; ok {
		name, key = fam.group, fam.key
	}
	var g *group
	for _, have := range e.groups {
		if have.name == name {
			g = have
		}
	}
	if g == nil {
		if len(e.groups) == maxGroups {
			return nil
		}
		if g = e.spare[name]; g == nil {
			g = (&group{name: name, key: key, byName: make(map[string]int), ents: make(map[int64]uint32)}).reset()
		}
		delete(e.spare, name)
		g.id = uint32(len(e.groups))
		e.groups = append(e.groups, g)
	}
	g.types = append(g.types, typ)
	f := &forms{typ: typ, group: g, prose: prose[typ]}
	e.types[typ] = f
	return f
}

// split takes a line apart into a template and e.vals, the values of its
// cells. It returns nil if the group has no room for another template.
func (e *Encoder) split(f *forms, wire []byte) *template {
	fr, body, rest := frameOf(wire)
	e.vals = e.vals[:0]
	n := &f.roots[fr]
	if fr == frameRaw {
		e.vals = append(e.vals, wire)
		if n.tmpl == nil {
			return e.addTemplate(f, fr, n, nil)
		}
		return n.tmpl
	}
	var at [maxTokens + 1]*edge
	depth, pos := 0, 0
	for {
		ed, size := n.find(body)
		if ed == nil {
			ed, size = e.grow(f, n, body, depth, pos)
			if ed == nil {
				return nil
			}
		}
		at[depth] = ed
		depth++
		switch ed.token.kind {
		case tokenKeyword:
			e.vals = append(e.vals, body[len(ed.token.text):size])
		case tokenVariable:
			e.vals = append(e.vals, body[:size])
			pos++
		case tokenRest:
			e.vals = append(e.vals, body)
			size = len(body)
		}
		n = ed.next
		if size == len(body) {
			break
		}
		body = body[size+1:]
	}
	if fr != frameLine {
		e.vals = append(e.vals, rest)
	}
	if n.tmpl == nil {
		return e.addTemplate(f, fr, n, at[:depth])
	}
	return n.tmpl
}

// frameOf finds how a wire form begins and ends. Body is its first line
// without them, rest what follows.
func frameOf(wire []byte) (fr frame, body, rest []byte) {
	if len(wire) < 6 || string(wire[:3]) != "650" {
		return frameRaw, nil, nil
	}
	end := lineEnd(wire[4:]) + 4
	if end < 4 {
		return frameRaw, nil, nil
	}
	body, rest = wire[4:end], wire[end+2:]
	switch wire[3] {
	case ' ':
		if len(rest) == 0 {
			return frameLine, body, nil
		}
	case '+':
		return frameData, body, rest
	case '-':
		return frameMid, body, rest
	}
	return frameRaw, nil, nil
}

// lineEnd returns where the first line's CRLF is; -1 if there is none, or an
// LF before it.
func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i > 0 && b[i-1] == '\r' {
		return i - 1
	}
	return -1
}

// grow adds the edge that the first word of body needs, or finds the one for
// variables, which find does not look at.
func (e *Encoder) grow(f *forms, n *node, body []byte, depth, pos int) (*edge, int) {
	size := wordLen(body)
	kind, text := classify(body[:size], f.prose)
	if depth == maxTokens-1 || len(e.vals) == maxCells-2 {
		kind, text, size = tokenRest, "", len(body)
	}
	g := f.group
	if kind == tokenVariable || kind == tokenRest {
		for i := range n.edges {
			if n.edges[i].token.kind == kind {
				return &n.edges[i], size
			}
		}
	}
	tok := token{kind: kind, text: text}
	switch {
	case kind == tokenLiteral:
	case kind == tokenRest:
		tok.col = g.column("rest", f.prose, body, kindWord)
	case kind == tokenKeyword:
		tok.col = g.column(text, f.prose, body[len(text):size], e.guess(body[len(text):size]))
	default:
		tok.col = g.column(positions[pos], f.prose, body[:size], e.guess(body[:size]))
	}
	if tok.col < 0 {
		return nil, 0
	}
	ed := edge{token: tok, next: new(node)}
	if text != "" {
		ed.head = text[0]
	}
	n.edges = append(n.edges, ed)
	return &n.edges[len(n.edges)-1], size
}

var positions = func() (p [maxTokens]string) {
	for i := range p {
		p[i] = fmt.Sprint(i)
	}
	return p
}()

// guess says what kind of column begins with val.
func (e *Encoder) guess(val []byte) kind {
	if _, _, ok := parseDecimal(val); ok {
		return kindNumber
	}
	if _, ok := e.clock.parse(val); ok {
		return kindTime
	}
	if len(val) > 0 && val[0] == '$' {
		return kindPath
	}
	return kindWord
}

// column returns the number of the group's column of that name, or of a new
// one if it has none or columns are not shared; -1 if there are too many.
func (g *group) column(name string, own bool, val []byte, k kind) int {
	if !own {
		if i, ok := g.byName[name]; ok {
			return i
		}
	}
	if len(g.cols) == maxColumns {
		return -1
	}
	c := new(column)
	if len(g.spare) > 0 {
		c, g.spare = g.spare[0], g.spare[1:]
	}
	c.reset(name, k)
	if k == kindNumber {
		_, c.frac, _ = parseDecimal(val)
	}
	g.cols = append(g.cols, c)
	if !own {
		g.byName[name] = len(g.cols) - 1
	}
	return len(g.cols) - 1
}

func (e *Encoder) addTemplate(f *forms, fr frame, n *node, path []*edge) *template {
	g := f.group
	if len(g.templates) == maxTemplates {
		return nil
	}
	t := &template{id: uint32(len(g.templates)), typ: f.typ, frame: fr, key: -1}
	for _, ed := range path {
		t.tokens = append(t.tokens, ed.token)
		if ed.token.kind == tokenLiteral {
			continue
		}
		if g.key != "" && t.key < 0 && (g.cols[ed.token.col].name == g.key || g.cols[ed.token.col].name == g.key+"=") {
			t.key = len(t.cells)
		}
		t.cells = append(t.cells, ed.token.col)
	}
	if fr != frameLine {
		col := g.column("\n", false, nil, kindData)
		if col < 0 {
			return nil
		}
		t.cells = append(t.cells, col)
	}
	n.tmpl = t
	g.templates = append(g.templates, t)
	return t
}
