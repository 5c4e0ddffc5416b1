package query

import (
	"context"
	"encoding/base64"
	"unicode/utf8"

	"torjournal/journal"
)

// Record is one row: a record as it is. Raw is absent and RawBase64 there
// where the bytes are no UTF-8.
type Record struct {
	Seq       uint64 `json:"seq"`                  // number of the record
	Session   uint64 `json:"session"`              // number of its session, 0 before the first
	Time      string `json:"time"`                 // arrival, RFC 3339 in UTC with six decimals
	Type      string `json:"type"`                 // the event's name
	Raw       string `json:"raw,omitempty"`        // the whole wire form, as the source sent it
	RawBase64 string `json:"raw_base64,omitempty"` // the same in base64
}

// NewRecord returns the row that r is.
func NewRecord(r *journal.Record) *Record {
	row := &Record{Seq: r.Seq, Session: r.Session, Time: clockText(r.Time), Type: string(r.Type)}
	if utf8.Valid(r.Wire) {
		row.Raw = string(r.Wire)
	} else {
		row.RawBase64 = base64.StdEncoding.EncodeToString(r.Wire)
	}
	return row
}

// Place is Row's.
func (r *Record) Place() Place { return Place{At: int64(r.Seq)} }

// Records calls emit for every record of r that keep wants (nil: all), in
// order, and returns what was evicted while it read. Of the part it uses After
// and holds one row at a time. An error of emit ends it and is returned as it
// is.
func Records(ctx context.Context, rd journal.Reader, r journal.Range, keep func(*journal.Record) bool, part Part, emit func(*Record) error) ([]journal.Gap, error) {
	return records(ctx, stored{rd}, r, keep, part, emit)
}

func records(ctx context.Context, src source, r journal.Range, keep func(*journal.Record) bool, part Part, emit func(*Record) error) ([]journal.Gap, error) {
	w := walker{src: src}
	_, to, ok, err := w.bounds(ctx, r.To)
	if !ok || err != nil {
		return nil, err
	}
	r.To = to
	if part.After != nil {
		r.From = max(r.From, uint64(max(part.After.At, 0))+1)
	}
	for rec, err := range w.records(ctx, r) {
		if err != nil {
			return w.gaps, err
		}
		if keep != nil && !keep(&rec) {
			continue
		}
		if err := emit(NewRecord(&rec)); err != nil {
			return w.gaps, err
		}
	}
	return w.gaps, nil
}
