package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"torjournal/query"
)

// bandwidthPlot draws the rows of `query bandwidth`: what was read and what
// was written in a second, over time. Add the rows in their order, then draw.
// It holds some thousand sums, however many rows there are.
type bandwidthPlot struct {
	screen
	loc  *time.Location
	rows int // lines of each panel; 0: 6

	begin time.Time     // of the first row
	step  time.Duration // that a cell is of
	cells []bandwidthCell
}

// bandwidthCell is what a length of time carried, as far as that is known.
type bandwidthCell struct {
	seconds       int64
	read, written float64
}

func (c *bandwidthCell) add(o bandwidthCell) {
	c.seconds += o.seconds
	c.read += o.read
	c.written += o.written
}

// maxCells is how many cells there may be: more than columns of any screen.
const maxCells = 4096

// add takes a row.
func (p *bandwidthPlot) add(b *query.Bandwidth) {
	if len(p.cells) == 0 {
		p.begin, p.step = b.Time.Time, time.Duration(b.StepS)*time.Second
	}
	n := int64(b.Time.Sub(p.begin) / p.step)
	for n >= maxCells {
		p.cells, p.step, n = joined(p.cells, 2), 2*p.step, n/2
	}
	for int64(len(p.cells)) <= n {
		p.cells = append(p.cells, bandwidthCell{})
	}
	if b.ReadBytes != nil && b.WrittenBytes != nil {
		p.cells[n].add(bandwidthCell{b.Seconds, float64(*b.ReadBytes), float64(*b.WrittenBytes)})
	}
}

// joined makes one cell of each n.
func joined(cells []bandwidthCell, n int) []bandwidthCell {
	out := make([]bandwidthCell, (len(cells)+n-1)/n)
	for i, c := range cells {
		out[i/n].add(c)
	}
	return out
}

// draw writes the plot and a line that says what its marks are. It writes
// nothing where there is no terminal, no room, or nothing known.
func (p *bandwidthPlot) draw(w io.Writer) error {
	const scaleWidth = 11 // the longest is " 1000 KiB ┤"
	room := min(p.width-scaleWidth, maxCells)
	if room < minPlot || len(p.cells) == 0 {
		return nil
	}
	per := (len(p.cells) + room - 1) / room
	cells, wide := joined(p.cells, per), 1
	step := p.step * time.Duration(per)
	if per == 1 {
		const widest = 8 // a column of a few steps need not fill the screen
		wide = min(room/len(cells), widest)
	}
	read, written := make([]float64, 0, wide*len(cells)), make([]float64, 0, wide*len(cells))
	known, unknown := false, false
	for _, c := range cells {
		r, w := math.NaN(), math.NaN()
		if c.seconds > 0 {
			known, r, w = true, c.read/float64(c.seconds), c.written/float64(c.seconds)
		} else {
			unknown = true
		}
		for range wide {
			read, written = append(read, r), append(written, w)
		}
	}
	if !known {
		return nil
	}
	lines := p.rows
	if lines == 0 {
		lines = 6
	}
	size := func(v float64) string { return formatSize(uint64(v)) }
	err := (&plot{
		begin: p.begin, step: step / time.Duration(wide), loc: p.loc, rows: lines, screen: p.screen,
		panel: []panel{
			{title: "read, bytes a second", colour: green, values: read, unit: size},
			{title: "written, bytes a second", colour: violet, values: written, unit: size},
		},
	}).draw(w)
	if err != nil {
		return err
	}
	legend := formatStep(step)
	if wide > 1 {
		legend += " each bar"
	} else {
		legend += " each column"
	}
	if unknown {
		legend = fmt.Sprintf("%c not known%s%s", p.marks.unknown, p.marks.separator, legend)
	}
	if per > 1 {
		legend += ", its mean"
	}
	_, err = fmt.Fprintln(w, p.paint(faint, cut(legend, p.width)))
	return err
}

// formatStep writes a length of time of whole seconds: "10s", "1h30m", "2d".
func formatStep(d time.Duration) string {
	s, out := int64(d/time.Second), ""
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{dayS, "d"}, {hourS, "h"}, {60, "m"}, {1, "s"}} {
		if n := s / unit.seconds; n > 0 {
			out += fmt.Sprintf("%d%s", n, unit.name)
			s %= unit.seconds
		}
	}
	return out
}
