package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// plot shows what went on over time in the lines of a terminal: one panel above
// the other, over one axis of time.
//
//	read, bytes a second
//	 2.00 MiB ┤      ▃█
//	          │   ▁▄▆██▅▁     ░░░░
//	 1.00 MiB ┤▂▅███████████▂▁░░░░▁▁
//	          │██████████████ ░░░░██
//	        0 └┬───────────┬────────
//	           08:00       08:10
//
// Nothing is drawn for 0, the lowest mark for what is little more, and a shade
// as high as the panel for what is not known.
type plot struct {
	begin time.Time     // of the first column
	step  time.Duration // that one column is of
	loc   *time.Location
	rows  int // lines of a panel, at least 2
	panel []panel
	screen
}

// panel is one of a plot. All of one plot have as many values.
type panel struct {
	title  string
	colour string    // an escape sequence of paint.go
	values []float64 // one a column, none below 0; NaN: not known
	unit   func(float64) string
}

// plotMarks are the characters that a plot is made of.
type plotMarks struct {
	bars            []rune // nothing to a whole line, in steps of the same height
	unknown         rune
	top, side, foot rune   // of the vertical axis: beside a number, beside none, where it ends
	line, tick      rune   // of the axis of time
	separator       string // between what a legend says
	lying           []rune // a bar's end, from a part of a character to a whole one
}

var (
	blockMarks = plotMarks{bars: []rune(" ▁▂▃▄▅▆▇█"), unknown: '░', top: '┤', side: '│', foot: '└', line: '─', tick: '┬', separator: " · ", lying: []rune("▏▎▍▌▋▊▉█")}
	asciiMarks = plotMarks{bars: []rune(" _.-=#"), unknown: '?', top: '+', side: '|', foot: '+', line: '-', tick: '+', separator: ", ", lying: []rune("#")}
)

// bar returns a bar that lies: width characters for most, and so many for n. All
// but 0 have a mark at least.
func (m *plotMarks) bar(n, most, width int) string {
	parts := len(m.lying)
	long := (n*width*parts + most - 1) / most
	bar := strings.Repeat(string(m.lying[parts-1]), long/parts)
	if rest := long % parts; rest > 0 {
		bar += string(m.lying[rest-1])
	}
	return bar
}

// minPlot is how many columns a plot must have beside its scale to tell
// anything.
const minPlot = 16

// draw writes the plot. None of its lines is longer than the screen is wide.
func (p *plot) draw(w io.Writer) error {
	var b strings.Builder
	margin := p.margin()
	for i, panel := range p.panel {
		top := p.scale(panel)
		fmt.Fprintf(&b, "%s\n", p.paint(panel.colour, cut(panel.title, p.width)))
		for row := range p.rows {
			p.line(&b, panel, top, row, margin)
		}
		p.axis(&b, margin, i == len(p.panel)-1)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// margin is how wide the scales are: all panels begin in the same column.
func (p *plot) margin() (width int) {
	for _, panel := range p.panel {
		top := p.scale(panel)
		width = max(width, utf8.RuneCountInString(panel.unit(top)), utf8.RuneCountInString(panel.unit(top/2)))
	}
	return width + len(" ") + len(" ") + 1 // before, behind, and the axis
}

// scale returns the value of the top of a panel: a round one, not below any.
func (p *plot) scale(panel panel) float64 {
	most := 0.0
	for _, v := range panel.values {
		if v > most { // NaN is not
			most = v
		}
	}
	return roundSize(max(most, 10))
}

// roundSize returns the next of 1, 2, 5, 10 … 500 bytes, KiB, MiB, and so on
// that is not below n.
func roundSize(n float64) float64 {
	for unit := 1.0; ; unit *= 1024 {
		for _, k := range []float64{1, 2, 5, 10, 20, 50, 100, 200, 500} {
			if k*unit >= n {
				return k * unit
			}
		}
	}
}

// line writes one line of a panel; 0 is the highest.
func (p *plot) line(b *strings.Builder, panel panel, top float64, row, margin int) {
	label, side := "", p.marks.side
	switch row {
	case 0:
		label, side = panel.unit(top), p.marks.top
	case p.rows / 2:
		if p.rows%2 == 0 {
			label, side = panel.unit(top/2), p.marks.top
		}
	}
	b.WriteString(p.paint(faint, fmt.Sprintf("%*s %c", margin-2, label, side)))
	steps := len(p.marks.bars) - 1
	below := (p.rows - 1 - row) * steps
	cells := make([]rune, len(panel.values))
	for i, v := range panel.values {
		if math.IsNaN(v) {
			cells[i] = p.marks.unknown
			continue
		}
		height := int(math.Ceil(v / top * float64(p.rows*steps)))
		cells[i] = p.marks.bars[min(max(height-below, 0), steps)]
	}
	for len(cells) > 0 { // what is of one colour goes together
		n := 1
		for n < len(cells) && (cells[n] == p.marks.unknown) == (cells[0] == p.marks.unknown) {
			n++
		}
		colour := panel.colour
		if cells[0] == p.marks.unknown {
			colour = faint
		}
		run := string(cells[:n])
		if cells = cells[n:]; len(cells) == 0 {
			run = strings.TrimRight(run, " ")
		}
		b.WriteString(p.paint(colour, run))
	}
	b.WriteByte('\n')
}

// axis writes the line of time below a panel, and if labelled what its ticks
// say.
func (p *plot) axis(b *strings.Builder, margin int, labelled bool) {
	width := len(p.panel[0].values)
	line, labels := []rune(strings.Repeat(string(p.marks.line), width)), []rune(strings.Repeat(" ", width))
	for _, t := range timeTicks(p.begin, p.step, width, p.loc) {
		line[t.column] = p.marks.tick
		copy(labels[t.column:], []rune(t.label))
	}
	b.WriteString(p.paint(faint, fmt.Sprintf("%*s %c%s", margin-2, "0", p.marks.foot, string(line))))
	b.WriteByte('\n')
	if text := strings.TrimRight(string(labels), " "); labelled && text != "" {
		b.WriteString(p.paint(faint, strings.Repeat(" ", margin)+text))
		b.WriteByte('\n')
	}
}

// cut leaves of s what fits into width.
func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width])
	}
	return s
}
