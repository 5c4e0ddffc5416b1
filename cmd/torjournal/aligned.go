package main

import (
	"bufio"
	"io"
	"text/tabwriter"
)

// aligned puts cells that tabs end below each other. A tabwriter alone gives
// away each cell, and the blanks behind it, by a write of its own.
type aligned struct {
	*tabwriter.Writer
	out *bufio.Writer
}

// newAligned returns one with two blanks between cells; flags are tabwriter's.
func newAligned(w io.Writer, flags uint) *aligned {
	out := bufio.NewWriter(w)
	return &aligned{tabwriter.NewWriter(out, 0, 8, 2, ' ', flags), out}
}

// Flush writes what has been gathered.
func (a *aligned) Flush() error {
	if err := a.Writer.Flush(); err != nil {
		return err // out's own, which it would give again
	}
	return a.out.Flush()
}
