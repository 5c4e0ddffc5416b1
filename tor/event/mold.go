package event

import (
	"strings"
	"unsafe"
)

// Mold is how the lines of one form are read, once one of them was: all consist of
// the same texts, and of cells that differ.
//
//	650 CIRC 7 EXTENDED $A~a PURPOSE=GENERAL         cells: 7, $A~a, GENERAL
//	650 CIRC 9 EXTENDED $B~b PURPOSE=HS_VANGUARDS    cells: 9, $B~b, HS_VANGUARDS
//
// Where each cell of the first line is a field of its event, each cell of another one
// is the same field of that, and all else is as in the first, if the cell begins
// alike: with a quote, with "$", or with anything else. For what the scanner looks for
// are blanks and line ends, which no cell has; a quote, and then the one that
// closes it; and whether the word behind a circuit's status has a "=", unless that
// begins with "$".
//
// The zero Mold has seen no line.
type Mold struct {
	seen  bool
	circ  *Circuit      // the first line, of a CIRC event
	minor *CircuitMinor // of a CIRC_MINOR event; both nil: each line has to be parsed
	cells []moldCell
}

// moldCell is what a cell is.
type moldCell struct {
	field  int  // see Circuit.field
	begins byte // '"', '$', or 0 for anything else
}

// ParseAlike is ParseInPlace for a line of m's form. cells says where each cell of
// it begins and ends, in turn; no cell may have a blank, a CR or an LF.
func (r *Room) ParseAlike(m *Mold, wire []byte, cells []uint32) (Event, error) {
	line := unsafe.String(unsafe.SliceData(wire), len(wire))
	if !m.seen {
		e, err := r.ParseInPlace(wire)
		m.learn(e, line, cells)
		return e, err
	}
	if !m.fits(line, cells) {
		return r.ParseInPlace(wire)
	}
	if m.minor != nil {
		c := r.circuitsMinor.next()
		*c = *m.minor
		for i := range m.cells {
			*c.field(m.cells[i].field) = m.word(i, line, cells)
		}
		return c, nil
	}
	c := r.circuits.next()
	*c = *m.circ
	for i := range m.cells {
		*c.field(m.cells[i].field) = m.word(i, line, cells)
	}
	return c, nil
}

// fits reports whether the cells of a line begin as those of the first did.
func (m *Mold) fits(line string, cells []uint32) bool {
	if m.circ == nil && m.minor == nil || len(cells) != 2*len(m.cells) {
		return false
	}
	for i := range m.cells {
		if begins, ok := beginning(line[cells[2*i]:cells[2*i+1]]); !ok || begins != m.cells[i].begins {
			return false
		}
	}
	return true
}

// word returns what field a cell is, without its quotes.
func (m *Mold) word(i int, line string, cells []uint32) string {
	if m.cells[i].begins == '"' {
		return line[cells[2*i]+1 : cells[2*i+1]-1]
	}
	return line[cells[2*i]:cells[2*i+1]]
}

// beginning returns how a cell begins. ok is false if it is empty, or does not end
// with the quote that closes its first one or has what is escaped there.
func beginning(cell string) (begins byte, ok bool) {
	if cell == "" {
		return 0, false
	}
	switch last := len(cell) - 1; cell[0] {
	case '$':
		return '$', true
	case '"':
		return '"', last > 0 && cell[last] == '"' && quotesAsItIs(cell[1:last])
	}
	return 0, true
}

// learn makes a mold of the first line and its event, if there can be one.
func (m *Mold) learn(e Event, line string, cells []uint32) {
	m.seen = true
	switch e := e.(type) {
	case *Circuit:
		if c := *e; c.Rest.bare() && m.match(line, cells, circuitFields, c.field) {
			m.circ = &c
		}
	case *CircuitMinor:
		if c := *e; c.Rest.bare() && m.match(line, cells, circuitMinorFields, c.field) {
			m.minor = &c
		}
	}
}

// bare reports whether an event's line is its known fields as tor writes them.
func (r *Rest) bare() bool { return r.Extra == "" && r.layout == nil }

// match finds the field of each cell, and makes the others independent of the line:
// they are the same text in each. It returns false if a cell is no field, or a part of
// one.
func (m *Mold) match(line string, cells []uint32, fields int, field func(int) *string) bool {
	m.cells = make([]moldCell, len(cells)/2)
	for i := range m.cells {
		begins, ok := beginning(line[cells[2*i]:cells[2*i+1]])
		if !ok {
			return false
		}
		m.cells[i].begins = begins
	}
	found := 0
	for n := range fields {
		f := field(n)
		i := 0
		for i < len(m.cells) && (*f == "" || !same(*f, m.word(i, line, cells))) {
			i++
		}
		switch {
		case i == len(m.cells):
			*f = strings.Clone(*f)
		case n == pathField && m.cells[i].begins != '$':
			return false
		default:
			m.cells[i].field = n
			found++
		}
	}
	return found == len(m.cells)
}

// same reports whether two strings lie in the same place.
func same(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) && len(a) == len(b) }
