package journal

import (
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/journal/internal/columns"
	"torjournal/tor/event"
)

// packer makes the envelopes of sealed blocks: by columns, which costs several
// times a commit's encoding and halves what a record takes. It is owned by
// one goroutine.
type packer struct {
	cols  *columns.Encoder
	lines *encoder // for what columns do not fit
}

func newPacker() (*packer, error) {
	zw, err := newZstd(zstd.SpeedBetterCompression) // for both: its tables have 4 MiB
	if err != nil {
		return nil, err
	}
	return &packer{cols: columns.NewEncoder(zw), lines: &encoder{zw: zw}}, nil
}

// fewRecords is the size in bytes below which a block of lines may be the
// smaller one: the description of the columns is a good part of it then, and
// both are made.
const fewRecords = 64 << 10

// encode returns the envelope of recs, which must be numbered, of one session
// and contiguous, and its header. The bytes are the caller's.
func (p *packer) encode(recs []Record) (header, []byte) {
	h := headerOf(recs)
	h.codec = codecColumns
	for i := range recs {
		r := &recs[i]
		p.cols.Append(columns.Row{Type: string(r.Type), Time: r.Time.UnixMicro(), Wire: r.Wire})
	}
	stored, err := p.cols.Finish(nil)
	if err != nil {
		return p.lines.encode(recs)
	}
	data := appendEnvelope(make([]byte, 0, headerSize+len(stored)), &h, stored)
	if int(h.raw) < fewRecords {
		if lh, lines := p.lines.encode(recs); len(lines) <= len(data) {
			return lh, lines
		}
	}
	return h, data
}

// decodeColumns is decodeRecords for a payload by columns.
func decodeColumns(h header, stored []byte, types event.Set) ([]Record, error) {
	n := h.count()
	capacity := min(n, 1<<16)
	var want func(string) bool
	if !types.Empty() {
		capacity = min(n, 64)
		want = func(typ string) bool { return types.Has(event.Type(typ)) }
	}
	recs := make([]Record, 0, capacity)
	err := columns.Decode(unzstd, stored, int(n), int(h.raw), want, func(i int, r columns.Row) {
		recs = append(recs, Record{
			Seq: h.first + uint64(i), Session: h.session, Time: arrival(r.Time), Type: event.Type(r.Type), Wire: r.Wire,
		})
	})
	return recs, err
}

// timeAt returns the arrival of record seq of a batch. Of a block by columns
// it decodes the arrivals alone.
func timeAt(h header, stored []byte, seq uint64) (time.Time, error) {
	if h.codec == codecColumns {
		us, err := columns.TimeAt(unzstd, stored, int(seq-h.first))
		return arrival(us), err
	}
	recs, err := decodeBatch(h, stored, noTypes)
	if err != nil {
		return time.Time{}, err
	}
	return recs[seq-h.first].Time, nil
}
