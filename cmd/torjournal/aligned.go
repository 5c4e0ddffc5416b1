package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// aligned puts cells that tabs end below each other, as a tabwriter does, which
// alone holds all that it is given, at several times its size, and gives away each
// cell, and the blanks behind it, by a write of its own. Of a long table the lines
// are gathered alignedLines at a time: columns get wider on the way, never
// narrower.
type aligned struct {
	rows   *tabwriter.Writer
	out    *bufio.Writer
	widths []int // of each column so far, without the blanks behind it, in runes
	column int   // of the cell that is being written
	width  int   // that it has so far
	lines  int   // gathered
	ruler  bool  // the next line is that of a ruler, and not to be seen
}

// alignedLines is more than people look at together.
const alignedLines = 1000

// newAligned returns one with two blanks between cells; flags are tabwriter's.
func newAligned(w io.Writer, flags uint) *aligned {
	a := &aligned{out: bufio.NewWriter(w)}
	a.rows = tabwriter.NewWriter(hidesRuler{a}, 0, 8, 2, ' ', flags)
	return a
}

// Write takes text of which cells end with tabs and lines with line feeds.
func (a *aligned) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		end := bytes.IndexAny(p, "\t\n")
		part := p[:end+1]
		if end < 0 {
			part = p
		}
		p = p[len(part):]
		n += len(part)
		_, err = a.rows.Write(part)
		a.width += utf8.RuneCount(part)
		switch {
		case end < 0:
		case part[end] == '\t':
			a.cell(a.width - 1)
		default:
			a.column, a.width = 0, 0
			if a.lines++; a.lines == alignedLines {
				err = a.hurry()
			}
		}
	}
	return n, err
}

// cell notes how wide the cell is that ends here.
func (a *aligned) cell(width int) {
	if a.column == len(a.widths) {
		a.widths = append(a.widths, 0)
	}
	a.widths[a.column] = max(a.widths[a.column], width)
	a.column++
	a.width = 0
}

// hurry gives away what is gathered, and begins anew with a line that has cells as
// wide as the widest so far.
func (a *aligned) hurry() error {
	if err := a.rows.Flush(); err != nil {
		return err
	}
	a.lines, a.ruler = 0, true
	var ruler strings.Builder
	for _, w := range a.widths {
		ruler.WriteString(strings.Repeat(".", w))
		ruler.WriteByte('\t')
	}
	_, err := io.WriteString(a.rows, ruler.String()+"\n")
	return err
}

// Flush writes what has been gathered.
func (a *aligned) Flush() error {
	if err := a.rows.Flush(); err != nil {
		return err // out's own, which it would give again
	}
	return a.out.Flush()
}

// hidesRuler takes the aligned text, but for the line of a ruler.
type hidesRuler struct{ *aligned }

func (h hidesRuler) Write(p []byte) (int, error) {
	n := len(p)
	if h.ruler {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return n, nil
		}
		h.ruler, p = false, p[end+1:]
	}
	_, err := h.out.Write(p)
	return n, err
}
