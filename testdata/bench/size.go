package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
)

// size fills a journal with each corpus, repeated with times that go on,
// vacuums it, and compares the file with what `zstd -19` makes of one pass as
// a text log.
func size(ctx context.Context, b *bench) (rows []row, err error) {
	names, err := corpora(b.corpus)
	if err != nil {
		return nil, err
	}
	many, few := pick(b, 500_000, 150_000), pick(b, 100_000, 50_000)
	measure := func(c *corpus, events int, g *goal) error {
		ours, err := b.vacuumed(ctx, c, events)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		zstd, err := zstdText(ctx, c)
		if err != nil {
			return err
		}
		r := row{
			what: fmt.Sprintf("bytes an event in the vacuumed file, %s (%s events)", c.name, count(float64(events))),
			ours: fmt.Sprintf("%.2f", ours), peer: fmt.Sprintf("`zstd -19` of one pass as text %.2f", zstd), is: fmt.Sprintf("%.2f×", ours/zstd),
		}
		if g != nil {
			r = r.against(ours, zstd, *g)
		}
		rows = append(rows, r)
		return nil
	}
	all, rest := atMost(0.75), atMost(0.6)
	if err := measure(b.client, many, &all); err != nil {
		return rows, err
	}
	if err := measure(b.client.without("HS_DESC_CONTENT"), many, &rest); err != nil {
		return rows, err
	}
	for _, name := range names {
		if name == b.client.name {
			continue
		}
		c, err := readCorpus(b.corpus, name)
		if err != nil {
			return rows, err
		}
		if err := measure(c, few, nil); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (b *bench) vacuumed(ctx context.Context, c *corpus, events int) (perEvent float64, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return 0, err
	}
	defer remove()
	path := filepath.Join(dir, "journal.db")
	l := timeline{corpus: c, start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w, err := build(path, journal.DefaultMaxSize)
	if err != nil {
		return 0, err
	}
	err = w.fill(ctx, l, 0, events, groupEvents)
	w.settle()
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		_, err = journal.Vacuum(ctx, path, nil, journal.Limits{})
	}
	if err != nil {
		return 0, err
	}
	_, n, err := readAll(ctx, path, journal.Range{}, events) // it is whole
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(st.Size()) / float64(n), nil
}

// zstdText is what the zstd program makes of one pass as text, in bytes an
// event.
func zstdText(ctx context.Context, c *corpus) (float64, error) {
	cmd := exec.CommandContext(ctx, "zstd", "-19", "-c")
	cmd.Stdin = bytes.NewReader(timeline{corpus: c, start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}.text())
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("zstd (Debian: zstd): %w: %s", err, strconv.Quote(said.String()))
	}
	return float64(len(out)) / float64(len(c.events)), nil
}
