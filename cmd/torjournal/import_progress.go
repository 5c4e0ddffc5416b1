package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress is the bar of an import or an export: how much has been read. There
// is one on a terminal only; a nil progress shows nothing.
type progress struct {
	bar       *progressbar.ProgressBar
	first, at uint64 // of an export: the number that 0 stands for, and how far behind it the bar is
}

// newProgress returns the bar of these logs, by the bytes of the files as they
// lie there. Where nobody knows how many there are, it counts.
func newProgress(w io.Writer, logs []*logInput) *progress {
	if !isTerminal(w) {
		return nil
	}
	total := int64(0)
	for _, in := range logs {
		if in.size < 0 {
			total = -1
			break
		}
		total += in.size
	}
	p := &progress{bar: newBar(w, total, "import", progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true))}
	for _, in := range logs {
		in.read = func(n int) { _ = p.bar.Add(n) }
	}
	return p
}

// newBar returns a bar of what is done, and how it counts.
func newBar(w io.Writer, total int64, what string, counts ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, append(counts,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // it would take a goroutine that nobody waits for
		progressbar.OptionClearOnFinish(),
	)...)
}

// clear makes room for a line of text; the bar comes back behind it.
func (p *progress) clear() {
	if p != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) finish() {
	if p != nil {
		_ = p.bar.Finish()
		_ = p.bar.Clear()
	}
}
