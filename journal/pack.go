package journal

import (
	"sync"
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
	return &packer{cols: columns.NewEncoder(zw), lines: &encoder{zw: zw, plain: plainBelow}}, nil
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

// decoders are the decoders that nobody uses just now; a collection takes
// them. = 2 MiB each, as many as there are goroutines that decode at once.
var decoders = sync.Pool{New: func() any { return columns.NewDecoder(unzstd) }}

// Line says of a record how its line was put together, see columns.Line.
type Line = columns.Line

// eachOfColumns is eachRecord for a payload by columns.
func eachOfColumns(h header, stored []byte, r Range, room func(int) []byte, rec *Record, visit func(*Record) bool) (more bool, err error) {
	return eachLine(h, stored, r, false, room, rec, func(rec *Record, _ *Line) bool { return visit(rec) })
}

// eachLine is eachOfColumns; lines says whether visit is to get the Line of a record
// that has one.
func eachLine(h header, stored []byte, r Range, lines bool, room func(int) []byte, rec *Record, visit func(*Record, *Line) bool) (more bool, err error) {
	d := decoders.Get().(*columns.Decoder)
	defer decoders.Put(d)
	more = true
	want := r.columns(&h)
	want.Room, want.Line = room, lines
	rec.Session = h.session
	err = d.Decode(stored, int(h.count()), int(h.raw), want, func(i int, row columns.Row) bool {
		rec.Seq, rec.Time, rec.Type, rec.Wire = h.first+uint64(i), arrival(row.Time), event.Type(row.Type), row.Wire
		more = visit(rec, row.Line)
		return more
	})
	return more, err
}

// columns says what of a block by columns is in g.
func (g Range) columns(h *header) (w columns.Want) {
	if !g.Types.Empty() {
		w.Type = func(typ string) bool { return g.Types.Has(event.Type(typ)) }
	}
	b := g.bounds(h)
	if h.first < b.from || h.last > b.to || h.minTime < b.since || h.maxTime > b.until {
		w.Row = func(i int, us int64) bool { return b.hold(h.first+uint64(i), us) }
	}
	return w
}

// timeAt returns the arrival of record seq of a batch. Of a block by columns
// it decodes the arrivals alone.
func timeAt(h header, stored []byte, seq uint64) (time.Time, error) {
	if h.codec == codecColumns {
		d := decoders.Get().(*columns.Decoder)
		defer decoders.Put(d)
		us, err := d.TimeAt(stored, int(seq-h.first))
		return arrival(us), err
	}
	recs, err := decodeBatch(h, stored, noTypes)
	if err != nil {
		return time.Time{}, err
	}
	return recs[seq-h.first].Time, nil
}
