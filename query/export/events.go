package export

import (
	"context"
	"errors"
	"fmt"

	"torjournal/journal"
)

// The size of a portion: large enough that handing it over costs nothing, and
// with the portions that are on their way small enough. = 1 MiB of wire form, or
// one event, and 80 bytes for each record.
const (
	portionBytes   = 1 << 20
	portionRecords = 8192
)

// portion is what the reader hands to the writer at once.
type portion struct {
	recs []journal.Record
	gap  *journal.Gap // follows the records
	err  error        // ended the reading
}

// Copy writes the records of r that keep wants (nil: all), in order, and
// returns how many. A gap between them is told to gap where it is: an error of
// gap ends the copy and is returned as it is. It ends with the newest record
// that there was when it started, and does not close out.
//
// One goroutine reads and decodes while the caller's writes: two cores have
// work. keep is called in the former.
func Copy(ctx context.Context, rd journal.Reader, r journal.Range, keep func(*journal.Record) bool, gap func(journal.Gap) error, out EventWriter) (n uint64, err error) {
	b, err := rd.Bounds(ctx)
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	if b.Last == 0 {
		return 0, nil
	}
	if r.To == 0 || r.To > b.Last {
		r.To = b.Last
	}
	reading, stop := context.WithCancel(ctx)
	portions := make(chan portion, 1)
	spare := make(chan []journal.Record, 4)
	go func() {
		defer close(portions)
		read(reading, rd, r, keep, portions, spare)
	}()
	defer func() {
		stop()
		for range portions { // until the reader has ended
		}
	}()
	for p := range portions {
		if len(p.recs) > 0 {
			if err := out.Write(p.recs); err != nil {
				return n, fmt.Errorf("export: record %d and those behind it: %w", p.recs[0].Seq, err)
			}
			n += uint64(len(p.recs))
		}
		clear(p.recs)
		select {
		case spare <- p.recs[:0]:
		default:
		}
		if p.gap != nil {
			if err := gap(*p.gap); err != nil {
				return n, err
			}
		}
		if p.err != nil {
			return n, fmt.Errorf("export: %w", p.err)
		}
	}
	return n, ctx.Err()
}

// read hands the records of r to out, until they or ctx end.
func read(ctx context.Context, rd journal.Reader, r journal.Range, keep func(*journal.Record) bool, out chan<- portion, spare <-chan []journal.Record) {
	var p portion
	size := 0
	send := func() bool {
		select {
		case out <- p:
		case <-ctx.Done():
			return false
		}
		p, size = portion{}, 0
		select {
		case p.recs = <-spare:
		default:
		}
		return true
	}
	for rec, err := range journal.Records(ctx, rd, r) {
		var gap *journal.Gap
		switch {
		case errors.As(err, &gap):
			p.gap = gap
		case err != nil:
			p.err = err
		case keep != nil && !keep(&rec):
			continue
		default:
			p.recs = append(p.recs, rec)
			size += len(rec.Wire)
		}
		full := size >= portionBytes || len(p.recs) >= portionRecords
		if (full || err != nil || ctx.Err() != nil) && !send() {
			return
		}
	}
	send()
}
