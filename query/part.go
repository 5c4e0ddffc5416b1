package query

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"torjournal/journal"
)

// Row is one row of an answer.
type Row interface {
	// Place is where it stands in the answer. Places ascend, and a row has the
	// same one whoever asks and whatever part of the answer he asks for.
	Place() Place
}

// Place is where a row stands in its answer.
type Place struct {
	At  int64 // what the answer is in order of: number of a record, or seconds since 1970
	Nth int   // which one of the rows that have the same At
}

// After reports whether p comes after o. The zero Place comes before every row
// whose At is a number.
func (p Place) After(o Place) bool { return p.compare(o) > 0 }

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.At, o.At), cmp.Compare(p.Nth, o.Nth))
}

// String is the form that ParsePlace takes: "48213.1".
func (p Place) String() string { return fmt.Sprintf("%d.%d", p.At, p.Nth) }

// ParsePlace reads what String wrote.
func ParsePlace(s string) (p Place, err error) {
	at, nth, ok := strings.Cut(s, ".")
	if p.At, err = strconv.ParseInt(at, 10, 64); ok && err == nil {
		p.Nth, err = strconv.Atoi(nth)
	}
	if !ok || err != nil || p.Nth < 0 {
		return Place{}, fmt.Errorf("%q is no place in an answer", s)
	}
	return p, nil
}

// Part says which rows of an answer are wanted. Its zero value is all of them.
type Part struct {
	After  *Place // only rows after it; nil: from the first on
	Rows   int    // so many of them, and one more that tells that there are more; 0: no bound
	Memory int    // about how many bytes may be held for them; 0: no bound

	back uint64 // instead of backLeast, for tests; 0: that
}

// begun reports whether a row at p is not before the part.
func (p *Part) begun(at Place) bool { return p.After == nil || at.After(*p.After) }

// firstOfPart returns the first record of r that the part may need: what that
// begins behind, and all that belongs to the sessions before, is no row of it.
func (w *walker) firstOfPart(ctx context.Context, r journal.Range, part Part) (rec journal.Record, ok bool, err error) {
	rec, ok, err = w.firstOf(ctx, journal.Range{To: r.To, Since: r.Since, Session: r.Session})
	if after := part.After; ok && err == nil && after != nil && after.At > int64(rec.Seq) {
		return w.firstOf(ctx, journal.Range{From: uint64(after.At), To: r.To, Session: r.Session})
	}
	return rec, ok, err
}

// inOrder emits the rows of an answer that is known as a whole, each at the place
// that it has there.
func inOrder[R interface{ stand(Place) }](rows []R, part Part, emit func(R) error) error {
	for i, row := range rows {
		at := Place{At: int64(i)}
		if row.stand(at); !part.begun(at) {
			continue
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// ErrTooMuch says that the memory of a Part is not enough for its answer.
var ErrTooMuch = errors.New("query: the answer takes too much memory: narrow the range")

// allow returns ErrTooMuch if so many bytes are more than the part may hold.
func (p *Part) allow(bytes int) error {
	if p.Memory > 0 && bytes > p.Memory {
		return ErrTooMuch
	}
	return nil
}

// NewEncoder returns an encoder that writes rows in the one form that they have
// everywhere: a JSON object a line, the names and the order of the struct.
func NewEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}
