package query

import (
	"context"
	"fmt"
	"slices"

	"torjournal/journal"
	"torjournal/query/filter"
)

// Evicted reports whether records that r asks for are gone from before the oldest that
// rd holds: the ring has evicted them, or they were lost to damage. A range asks for
// what was before if its Since lies there, or its session begins there. Which record is
// the oldest the bounds say, if any are gone. Where nothing is gone, that is all rd is
// asked for. It wraps rd's errors.
func Evicted(ctx context.Context, rd journal.Reader, r journal.Range) (b journal.Bounds, gone bool, err error) {
	if r.Since.IsZero() && r.Session == 0 {
		return b, false, nil
	}
	if b, err = rd.Bounds(ctx); err != nil {
		return b, false, fmt.Errorf("query: %w", err)
	}
	var sessions []journal.Session
	if r.Session != 0 && b.First > 1 {
		if sessions, err = rd.Sessions(ctx); err != nil {
			return b, false, fmt.Errorf("query: %w", err)
		}
	}
	return b, evicted(b, sessions, r), nil
}

// Evicted is Evicted of the two ranges that a comparison is of, up to record to; 0: all.
// sides are the names of those of which records are gone, "A" or "B". There are none of
// another question, and of one that names a session that is not there, which the answer
// refuses. It wraps rd's errors.
func (o *Options) Evicted(ctx context.Context, rd journal.Reader, to uint64) (b journal.Bounds, sides []string, err error) {
	if o.spans == [2]filter.Span{} {
		return b, nil, nil
	}
	if b, err = rd.Bounds(ctx); err != nil {
		return b, nil, fmt.Errorf("query: %w", err)
	}
	if b.First <= 1 {
		return b, nil, nil
	}
	sessions, err := rd.Sessions(ctx)
	if err != nil {
		return b, nil, fmt.Errorf("query: %w", err)
	}
	for i, span := range o.spans {
		r, err := spanRange(span, to, sessions)
		if err != nil {
			return b, nil, nil // the answer refuses it
		}
		if evicted(b, sessions, r) {
			sides = append(sides, sideNames[i])
		}
	}
	return b, sides, nil
}

// evicted is Evicted of a journal with these bounds and sessions.
func evicted(b journal.Bounds, sessions []journal.Session, r journal.Range) bool {
	if b.First <= 1 || r.From >= b.First || !r.Since.IsZero() && !r.Since.Before(b.FirstTime) {
		return false
	}
	if r.Session == 0 {
		return !r.Since.IsZero()
	}
	return slices.ContainsFunc(sessions, func(s journal.Session) bool { return s.ID == r.Session && s.First < b.First })
}
