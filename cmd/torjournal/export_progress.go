package main

import (
	"context"
	"io"

	"github.com/schollz/progressbar/v3"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
)

// newExportProgress returns the bar of an export from a journal of these
// bounds, by the numbers of records. Where the range ends before the journal
// does, the bar ends early.
func newExportProgress(w io.Writer, b journal.Bounds) *progress {
	if !isTerminal(w) || b.Last == 0 {
		return nil
	}
	bar := newBar(w, int64(b.Last-b.First+1), "export",
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("records"))
	return &progress{bar: bar, first: b.First}
}

// reached moves the bar to a record. It never goes back, as who reads may.
func (p *progress) reached(seq uint64) {
	if p != nil && seq > p.first+p.at {
		p.at = seq - p.first
		_ = p.bar.Set64(int64(p.at))
	}
}

// watchedReader shows how far somebody has read. Kept sums of bandwidth come
// through it too.
type watchedReader struct {
	*daemon.Reader
	bar *progress
}

// Fetch is journal.Reader's.
func (w watchedReader) Fetch(ctx context.Context, seq uint64, r journal.Range) (journal.Stored, error) {
	st, err := w.Reader.Fetch(ctx, seq, r)
	if err == nil {
		w.bar.reached(st.First)
	}
	return st, err
}
