package columns

import "encoding/binary"

// Finish appends the block to dst, and begins the next one.
func (e *Encoder) Finish(dst []byte) ([]byte, error) {
	defer e.reset()
	if e.unfit || e.state() > stateLimit(e.size) {
		return dst, ErrUnfit
	}
	dst = append(dst, version)
	dst = e.out.append(dst, e.order)
	dst = e.out.append(dst, e.times)
	dst = e.out.append(dst, e.hops.text)
	dst = binary.AppendUvarint(dst, uint64(len(e.groups)))
	for _, g := range e.groups {
		from := len(dst)
		dst = e.finishGroup(dst, g)
		n := len(dst) - from
		dst = binary.AppendUvarint(dst, uint64(n))
		size := len(dst) - from - n
		var head [binary.MaxVarintLen64]byte
		copy(head[:], dst[len(dst)-size:])
		copy(dst[from+size:], dst[from:from+n])
		copy(dst[from:], head[:size])
	}
	return dst, nil
}

// state is how many values a decoder will have to remember by entity.
func (e *Encoder) state() (n int) {
	for _, g := range e.groups {
		for _, c := range g.cols {
			n += len(c.last) + len(c.num) + pathState*len(c.paths)
		}
		n += len(g.escapes.last)
	}
	return n
}

// finishGroup appends a group: a section that describes it and holds what is
// small, then the sections of what is large, in the order described.
func (e *Encoder) finishGroup(dst []byte, g *group) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(g.types)))
	for _, typ := range g.types {
		dst = appendText(dst, typ)
	}
	var large [][]byte
	var small []byte
	add := func(meta, data []byte) []byte {
		if len(data) >= ownSection {
			large = append(large, data)
			return binary.AppendUvarint(meta, 0)
		}
		small = append(small, data...)
		return binary.AppendUvarint(meta, uint64(len(data))+1)
	}
	meta := binary.AppendUvarint(nil, uint64(len(g.templates)))
	for _, t := range g.templates {
		meta = t.append(meta)
	}
	meta = binary.AppendUvarint(meta, uint64(len(g.shapes)))
	for _, s := range g.shapes {
		meta = binary.AppendUvarint(meta, uint64(s.tmpl))
		meta = binary.AppendUvarint(meta, s.ops)
	}
	keyed := byte(0)
	if g.key != "" {
		keyed = 1
	}
	meta = append(meta, keyed)
	meta = binary.AppendUvarint(meta, uint64(len(g.cols)))
	meta = add(meta, g.codes)
	meta = add(meta, g.keyCodes)
	meta = add(meta, g.escapes.codes)
	meta = add(meta, g.escapes.text)
	for _, c := range g.cols {
		meta = append(meta, byte(c.kind))
		switch c.kind {
		case kindNumber, kindTime:
			h, data := c.packNumbers(nil)
			flags := byte(h.base)
			if h.signed {
				flags |= 0x80
			}
			meta = append(meta, c.frac, flags)
			meta = binary.AppendUvarint(meta, h.div)
			meta = add(meta, data)
		case kindPath:
			meta = add(meta, c.codes)
			meta = add(meta, c.hops)
		default:
			meta = add(meta, c.codes)
			meta = add(meta, c.text)
		}
	}
	dst = e.out.append(dst, meta)
	dst = e.out.append(dst, small)
	for _, data := range large {
		dst = e.out.append(dst, data)
	}
	return dst
}

func (t *template) append(dst []byte) []byte {
	dst = appendText(dst, t.typ)
	dst = append(dst, byte(t.frame))
	dst = binary.AppendUvarint(dst, uint64(t.key+1))
	dst = binary.AppendUvarint(dst, uint64(len(t.tokens)))
	for _, tok := range t.tokens {
		dst = append(dst, byte(tok.kind))
		if tok.kind == tokenLiteral || tok.kind == tokenKeyword {
			dst = appendText(dst, tok.text)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.cells)))
	for _, col := range t.cells {
		dst = binary.AppendUvarint(dst, uint64(col))
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
