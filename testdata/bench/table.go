package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// row is one line of the table. All but what may be empty.
type row struct {
	what string
	ours string
	peer string
	goal string // what is aimed at…
	is   string // …the figure that is compared with it, if it is not ours…
	met  string // …and whether it is reached
}

// goal is one bound of a figure.
type goal struct {
	value float64
	most  bool // the figure shall not be greater; else not less
}

func atMost(v float64) goal  { return goal{v, true} }
func atLeast(v float64) goal { return goal{v, false} }

func (g goal) verdict(figure float64) string {
	if g.most && figure <= g.value || !g.most && figure >= g.value {
		return "yes"
	}
	return "**no**"
}

func (g goal) sign() string {
	if g.most {
		return "≤ "
	}
	return "≥ "
}

// aim fills in a goal for a figure in its own unit, printed by format.
func (r row) aim(figure float64, g goal, format string) row {
	r.goal = g.sign() + fmt.Sprintf(format, g.value)
	r.met = g.verdict(figure)
	return r
}

// against fills in a goal for the ratio ours/peer.
func (r row) against(ours, peer float64, g goal) row {
	ratio := math.NaN()
	if peer != 0 {
		ratio = ours / peer
	}
	r.is = fmt.Sprintf("%.2f×", ratio)
	r.goal = g.sign() + fmt.Sprintf("%.2g×", g.value)
	r.met = g.verdict(ratio)
	return r
}

func printTable(w io.Writer, rows []row) {
	fmt.Fprintln(w, "| what | torjournal | peer | ratio | goal | met |\n|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.ours, r.peer, r.is, r.goal, r.met)
	}
}

// count writes a number with commas between its thousands.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func kib(v float64) string { return fmt.Sprintf("%.1f KiB", v/1024) }
func mib(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
func micros(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) }

// median of at least one value; it sorts them.
func median[T float64 | time.Duration](vs []T) T {
	slices.Sort(vs)
	return vs[len(vs)/2]
}

// percentile of sorted values; 0 without any.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// list joins what is not empty.
func list(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
