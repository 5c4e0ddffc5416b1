package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"torjournal/journal"
)

// A journal is read forward: Fetch gives the batch at a number or the next
// one after it that may match. Going backward over it, without reading what
// the index can skip, rests on this: "Fetch from n finds a batch that begins
// at or before end" is true for all numbers up to that of the batch we look
// for, and false after. Batches may be sealed into larger ones meanwhile;
// the walk goes by the numbers of the records alone, so that does not matter.

// before returns the last batch that begins at or before end and may hold a
// record of the range; io.EOF if there is none from number low on.
func (p *player) before(ctx context.Context, low, end uint64) (journal.Stored, error) {
	var found journal.Stored
	hit := false
	look := func(n uint64) (bool, error) {
		st, err := p.rd.Fetch(ctx, n, p.r)
		if errors.Is(err, io.EOF) || err == nil && st.First > end {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("replay: reading from record %d: %w", n, err)
		}
		found, hit = st, true
		return true, nil
	}
	// Back in steps that double, until there is one …
	none := end + 1
	for step, n := uint64(1), end; ; step *= 2 {
		ok, err := look(n)
		if err != nil {
			return found, err
		}
		if ok {
			break
		}
		if none = n; n <= low {
			return found, io.EOF
		}
		n = max(low, n-min(step, n-1))
	}
	// … then forward by halves, to the last one.
	for from := found.Last + 1; hit && from < none; {
		mid := from + (none-from)/2
		ok, err := look(mid)
		if err != nil {
			return found, err
		}
		if ok {
			from = found.Last + 1
		} else {
			none = mid
		}
	}
	return found, nil
}

// backward calls visit for every record of the range that is kept, from
// number end down, until visit returns false.
func (p *player) backward(ctx context.Context, end uint64, visit func(journal.Record) (bool, error)) error {
	low, err := p.lowest(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	for end >= low {
		st, err := p.before(ctx, low, end)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r := p.r
		r.To = end
		var recs []journal.Record
		err = p.each(st, r, func(rec *journal.Record) bool {
			if p.keep(rec) {
				recs = append(recs, *rec)
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		for _, rec := range slices.Backward(recs) {
			if more, err := visit(rec); !more || err != nil {
				return err
			}
		}
		end = min(end, st.First) - 1
	}
	return nil
}

// lowest returns a number before which no record of the range lies.
func (p *player) lowest(ctx context.Context) (uint64, error) {
	st, err := p.rd.Fetch(ctx, p.next, p.r)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("replay: reading from record %d: %w", p.next, err)
	}
	return max(st.First, p.next), err
}

// newestFirst emits the range from number end down. What was evicted while
// it read is simply the end.
func (p *player) newestFirst(ctx context.Context, end uint64) error {
	left := p.last
	return p.backward(ctx, end, func(rec journal.Record) (bool, error) {
		if err := p.emit(rec); err != nil {
			return false, err
		}
		left--
		return left != 0, ctx.Err()
	})
}

// skipToLast moves next to the n-th last record of the range, counted from
// number end; it stays where it is if there are fewer. Only its number is
// remembered, so n costs no memory.
func (p *player) skipToLast(ctx context.Context, end uint64, n int) error {
	var at uint64
	err := p.backward(ctx, end, func(rec journal.Record) (bool, error) {
		at = rec.Seq
		n--
		return n > 0, ctx.Err()
	})
	if err == nil && n == 0 {
		p.next, p.sure = at, true
	}
	return err
}
