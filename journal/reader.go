package journal

import (
	"context"
	"fmt"
	"iter"

	"torjournal/tor/event"
)

// Reader is how everything outside the daemon reads records: from the file,
// or from the daemon over its private socket. Both answer one kind of
// question with the bytes as they are stored, decrypted; decoding happens in
// the asker's process.
type Reader interface {
	// Fetch returns the stored batch that holds sequence number seq or the
	// next one that may hold a record of r. It returns io.EOF if there is
	// none yet.
	Fetch(ctx context.Context, seq uint64, r Range) (Stored, error)

	// Wait returns when a record with a sequence number of at least seq is
	// journaled, or with ctx's error.
	Wait(ctx context.Context, seq uint64) error

	// Bounds says what the journal holds now.
	Bounds(ctx context.Context) (Bounds, error)

	// Sessions returns the sessions whose records the journal still holds,
	// and the newest one, in order.
	Sessions(ctx context.Context) ([]Session, error)
}

// Stored is a block, or a run of batches of the tail that follow each other,
// as they lie in the file, compressed but decrypted.
type Stored struct {
	From        uint64 // sequence numbers from here to First-1 were skipped, not lost
	First, Last uint64 // what Data holds; Last is First-1 if it holds nothing
	Data        []byte // envelopes: header with checksum, payload; see FORMAT.md. None: a gap follows what was skipped, or ends the journal
}

// Decode verifies the checksums and returns the records of the given types
// (empty set: all). Their Wire stay valid as long as they are referenced. The
// error is a *DamageError.
func (s Stored) Decode(types event.Set) (out []Record, err error) {
	err = s.batches(func(h header, payload []byte) (bool, error) {
		recs, err := decodeBatch(h, payload, types)
		if out == nil {
			out = recs
		} else {
			out = append(out, recs...)
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Each verifies the checksums and calls visit for the records of r, in order,
// until visit returns false. It holds few of them in memory at a time. The
// Record is visit's to copy and not to keep; its Wire stays valid as long as it
// is referenced. The error is a *DamageError, and visit may have been called
// before.
func (s Stored) Each(r Range, visit func(*Record) bool) error {
	return s.each(r, false, nil, func(rec *Record, _ *Line) bool { return visit(rec) })
}

// each is Each; lines says whether visit is to get the Line of a record that has
// one, room is eachRecord's.
func (s Stored) each(r Range, lines bool, room func(int) []byte, visit func(*Record, *Line) bool) error {
	rec := new(Record)
	lineless := func(rec *Record) bool { return visit(rec, nil) }
	return s.batches(func(h header, payload []byte) (bool, error) {
		if r.Session != 0 && h.session != r.Session {
			return true, nil
		}
		if h.codec == codecColumns {
			return eachLine(h, payload, r, lines, room, rec, visit)
		}
		return eachRecord(h, payload, r, room, rec, lineless)
	})
}

// batches calls do for each envelope until it returns false.
func (s Stored) batches(do func(header, []byte) (more bool, err error)) error {
	want := s.First
	for rest := s.Data; len(rest) > 0; {
		h, payload, after, err := splitEnvelope(rest)
		if err != nil {
			return damaged("", want, "%w", err)
		}
		if h.first != want || h.last > s.Last {
			return damaged("", want, "the batch is of records %d to %d", h.first, h.last)
		}
		more, err := do(h, payload)
		if err != nil {
			return damaged("", want, "%w", err)
		}
		if !more {
			return nil
		}
		want, rest = h.last+1, after
	}
	if want != s.Last+1 {
		return damaged("", want, "%w", fmt.Errorf("records %d to %d are missing", want, s.Last))
	}
	return nil
}

// Records walks the records of r in the order of their sequence. A *Gap is
// yielded as an error between records and the walk goes on; any other error
// ends it. A record's Wire stays valid as long as it is referenced.
func Records(ctx context.Context, rd Reader, r Range) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for m, err := range making(ctx, rd, r, func() Maker[struct{}] { return nothing{} }, false) {
			if !yield(m.Record, err) {
				return
			}
		}
	}
}

// nothing is what Records makes of them.
type nothing struct{}

func (nothing) Make(*Record) (_ struct{}) { return }
func (nothing) Again()                    {}
