package columns

import (
	"encoding/binary"
	"math"
)

// base is what a column of numbers codes its values relative to.
type base uint8

const (
	basePlain  base = iota // nothing
	baseColumn             // the column's value before
	baseEntity             // the entity's value before; the column's where there is none
	baseGiven              // the record's arrival: how long before it a time was
	bases
)

// numbersHead begins a column of numbers: base, sign and divisor.
type numbersHead struct {
	base   base
	signed bool   // differences below 0 occur: all are zigzag-coded
	div    uint64 // divides every difference, at least 1
}

// packNumbers appends the column's values in whichever way looks smallest.
func (c *column) packNumbers(dst []byte) (numbersHead, []byte) {
	best, least := numbersHead{div: 1}, math.Inf(1)
	for b := range bases {
		if b == baseGiven && c.kind != kindTime {
			continue
		}
		if h := c.survey(b); h != nil {
			if cost := c.cost(*h); cost < least {
				best, least = *h, cost
			}
		}
	}
	for i := range c.vals {
		dst = binary.AppendUvarint(dst, best.code(c.difference(best.base, i)))
	}
	return best, dst
}

func (c *column) difference(b base, i int) int64 {
	switch {
	case b == baseColumn && i > 0:
		return c.vals[i] - c.vals[i-1]
	case b == baseEntity:
		return c.vals[i] - c.before[i]
	case b == baseGiven:
		return c.given[i] - c.vals[i]
	}
	return c.vals[i]
}

func (h *numbersHead) code(d int64) uint64 {
	if h.div > 1 {
		d /= int64(h.div)
	}
	if h.signed {
		return uint64(d<<1) ^ uint64(d>>63)
	}
	return uint64(d)
}

// survey finds the sign and the divisor of the differences.
func (c *column) survey(b base) *numbersHead {
	h := &numbersHead{base: b}
	var g uint64
	for i := range c.vals {
		d := c.difference(b, i)
		u := uint64(d)
		if d < 0 {
			h.signed = true
			u = -u
		}
		if g != 1 {
			g = gcd(g, u)
		}
	}
	h.div = max(g, 1)
	return h
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// costSample bounds how many values of a column are looked at to choose a base.
const costSample = 2048

// cost estimates the bits that the differences take: the order-0 entropy of
// their bytes.
func (c *column) cost(h numbersHead) float64 {
	var counts [256]uint32
	total := uint32(0)
	step := 1 + len(c.vals)/costSample
	for i := 0; i < len(c.vals); i += step {
		for u := h.code(c.difference(h.base, i)); ; u >>= 7 {
			b := byte(u)
			if u >= 0x80 {
				b |= 0x80
			}
			counts[b]++
			total++
			if u < 0x80 {
				break
			}
		}
	}
	bits := float64(total) * math.Log2(float64(max(total, 1)))
	for _, n := range counts {
		if n > 1 {
			bits -= float64(n) * math.Log2(float64(n))
		}
	}
	return bits
}
