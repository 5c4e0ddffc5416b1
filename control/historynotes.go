package control

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/query"
)

// Between the rows of HISTORY and its last line stands what they lack.

// historyFirst says with what the journal begins, where what was asked for begins
// before that.
func (s *Server) historyFirst(ctx context.Context, out *bytes.Buffer, r journal.Range, words *query.Options) error {
	b, gone, err := query.Evicted(ctx, s.records, r)
	if err != nil {
		return err
	}
	if gone {
		fmt.Fprintf(out, "250-FIRST SEQ=%d TIME=%s\r\n", b.First, stamp(b.FirstTime))
	}
	b, sides, err := words.Evicted(ctx, s.records, r.To)
	if err != nil {
		return err
	}
	if len(sides) > 0 {
		fmt.Fprintf(out, "250-FIRST SEQ=%d TIME=%s SIDES=%s\r\n", b.First, stamp(b.FirstTime), strings.Join(sides, ","))
	}
	return nil
}

// historyNotes says what the answer itself found missing.
func historyNotes(out *bytes.Buffer, n query.Notes) {
	for i, g := range n.Gaps {
		if i == maxNotes {
			g.To = n.Gaps[len(n.Gaps)-1].To // and not all between
			fmt.Fprintf(out, "250-GAPS FROM=%d TO=%d COUNT=%d\r\n", g.From, g.To, len(n.Gaps)-i)
			break
		}
		fmt.Fprintf(out, "250-GAP FROM=%d TO=%d\r\n", g.From, g.To)
	}
	if t := n.Bandwidth.SumsBefore; !t.IsZero() {
		fmt.Fprintf(out, "250-SUMS BEFORE=%s\r\n", stamp(t))
	}
	for i, u := range n.Bandwidth.Unrecorded {
		if i == maxNotes {
			break
		}
		fmt.Fprintf(out, "250-UNRECORDED FROM=%s TO=%s SECONDS=%d READ=%d WRITTEN=%d\r\n", stamp(u.From.Time), stamp(u.To.Time), u.Seconds, u.ReadBytes, u.WrittenBytes)
	}
	for _, h := range n.Bandwidth.Holes {
		fmt.Fprintf(out, "250-DAMAGED FROM=%s TO=%s\r\n", stamp(h.From), stamp(h.To))
	}
	if d := n.Bandwidth.Longer; d > 0 {
		fmt.Fprintf(out, "250-LONGER STEP=%d BEFORE=%s\r\n", int64(d/time.Second), stamp(n.Bandwidth.LongerBefore))
	}
	for i, session := range n.Also {
		if i == maxNotes {
			break
		}
		fmt.Fprintf(out, "250-ALSO SESSION=%d\r\n", session)
	}
	if n.Undecided > 0 {
		fmt.Fprintf(out, "250-UNDECIDED COUNT=%d\r\n", n.Undecided)
	}
}
