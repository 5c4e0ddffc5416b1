package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/tor/event"
)

// The envelope of a batch (in the tail) and of a block (sealed): a header of
// fixed size, then the payload. FORMAT.md draws it. These constants are part
// of the file format and are never changed, only added to.
const (
	magic        = "tjbk"
	batchVersion = 1
	headerSize   = 72

	codecPlain   = 0 // payload as it is: too small for zstd to help
	codecZstd    = 1 // payload compressed by zstd
	codecColumns = 2 // payload of package columns
)

const (
	// maxPayload bounds the records of one batch before compression: an event
	// larger than that is not recorded, and a header that claims more is
	// damaged. Worst case of memory for one decoding: this and as much stored.
	maxPayload = 48 << 20

	// plainBelow is the payload size of a block below which zstd is not worth
	// its time: it saves an event alone some 10 bytes. What a commit brings and
	// may grow is stored plain: nobody shall wait for zstd, and what does not
	// stay so small is packed soon.
	plainBelow = 512

	// minRecord is the least a record takes in a payload: type, time, length.
	minRecord = 3
)

// header is what an envelope says of its payload.
type header struct {
	codec            byte
	stored, raw      uint32 // bytes of the payload, as stored and before compression
	first, last      uint64 // sequence numbers
	session          uint64
	minTime, maxTime int64  // arrival, µs since 1970 UTC
	mask             uint64 // types inside, as event.Type.Mask
	crc              uint32 // CRC-32C of the header before it and the payload
}

func (h *header) count() uint64 { return h.last - h.first + 1 }

func (h *header) size() int { return headerSize + int(h.stored) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendEnvelope appends header and payload to dst; it sets h.crc and
// h.stored.
func appendEnvelope(dst []byte, h *header, payload []byte) []byte {
	return appendLogged(dst, h, payload, logPlace{})
}

// appendLogged is appendEnvelope for a page of the log.
func appendLogged(dst []byte, h *header, payload []byte, at logPlace) []byte {
	h.stored = uint32(len(payload))
	from := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, batchVersion, h.codec, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, h.stored)
	dst = binary.BigEndian.AppendUint32(dst, h.raw)
	for _, v := range []uint64{h.first, h.last, h.session, uint64(h.minTime), uint64(h.maxTime), h.mask} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = append(dst, at.part, byte(at.held>>16), byte(at.held>>8), byte(at.held))
	h.crc = crc32.Update(crc32.Checksum(dst[from:], castagnoli), castagnoli, payload)
	dst = binary.BigEndian.AppendUint32(dst, h.crc)
	return append(dst, payload...)
}

// parseHeader reads the header at the beginning of data and bounds everything
// it claims. It does not look at the payload.
func parseHeader(data []byte) (h header, err error) {
	if len(data) < headerSize {
		return h, fmt.Errorf("%d bytes, less than a header", len(data))
	}
	if string(data[:4]) != magic {
		return h, fmt.Errorf("begins with %q, not with %q", data[:4], magic)
	}
	if data[4] != batchVersion {
		return h, fmt.Errorf("batch of version %d, this program reads %d", data[4], batchVersion)
	}
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(data[i:]) }
	h = header{
		codec:  data[5],
		stored: binary.BigEndian.Uint32(data[8:]), raw: binary.BigEndian.Uint32(data[12:]),
		first: u64(16), last: u64(24), session: u64(32),
		minTime: int64(u64(40)), maxTime: int64(u64(48)), mask: u64(56),
		crc: binary.BigEndian.Uint32(data[68:]),
	}
	switch {
	case h.codec > codecColumns:
		err = fmt.Errorf("codec %d is unknown", h.codec)
	case h.raw > maxPayload || h.stored > maxPayload:
		err = fmt.Errorf("claims a payload of %d bytes, more than %d", max(h.raw, h.stored), maxPayload)
	case h.first == 0 || h.last < h.first || h.last-h.first >= uint64(h.raw)/minRecord:
		err = fmt.Errorf("claims records %d to %d in %d bytes", h.first, h.last, h.raw)
	case h.minTime > h.maxTime:
		err = fmt.Errorf("claims to end before it begins")
	}
	return h, err
}

// splitEnvelope returns the first envelope in data, its payload as stored and
// what follows it.
func splitEnvelope(data []byte) (h header, payload, rest []byte, err error) {
	if h, err = parseHeader(data); err != nil {
		return h, nil, nil, err
	}
	if len(data) < h.size() {
		return h, nil, nil, fmt.Errorf("%d bytes of %d are there", len(data), h.size())
	}
	payload, rest = data[headerSize:h.size()], data[h.size():]
	if crc := crc32.Update(crc32.Checksum(data[:headerSize-4], castagnoli), castagnoli, payload); crc != h.crc {
		return h, nil, nil, fmt.Errorf("checksum is %08x, the header says %08x", crc, h.crc)
	}
	return h, payload, rest, nil
}

// encoder makes envelopes. It is owned by one goroutine.
type encoder struct {
	zw      *zstd.Encoder
	plain   int    // payloads that are smaller stay as they are
	payload []byte // scratch
	packed  []byte // scratch
}

func newEncoder(level zstd.EncoderLevel) (*encoder, error) {
	zw, err := newZstd(level)
	if err != nil {
		return nil, err
	}
	return &encoder{zw: zw, plain: growBatch + 1}, nil
}

// zstdWindow is how far zstd looks back. Hardly a commit or a column has more
// bytes; twice or eight times as many make no corpus smaller. = 1.1 MiB of
// history for each encoder.
const zstdWindow = 1 << 20

func newZstd(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("journal: zstd: %w", err)
	}
	return zw, nil
}

// encode returns the envelope of the numbered ones among recs, which must be
// of one session and contiguous, and its header. The bytes are the caller's.
func (e *encoder) encode(recs []Record) (header, []byte) {
	h := headerOf(recs)
	e.payload = appendRecords(e.payload[:0], recs)
	data := e.envelope(&h, e.payload)
	e.shrink()
	return h, data
}

func (e *encoder) envelope(h *header, payload []byte) []byte {
	stored := payload
	if len(payload) >= e.plain {
		e.packed = e.zw.EncodeAll(payload, e.packed[:0])
		if len(e.packed) < len(payload) {
			h.codec, stored = codecZstd, e.packed
		}
	}
	return appendEnvelope(make([]byte, 0, headerSize+len(stored)), h, stored)
}

// scratchKept is the most that an encoder keeps between batches: what a commit
// takes, but one event of many megabytes must not stay in memory for ever. = 2
// scratches × 1.25 MiB.
const scratchKept = 5 << 18

func (e *encoder) shrink() {
	if cap(e.payload) > scratchKept {
		e.payload = nil
	}
	if cap(e.packed) > scratchKept {
		e.packed = nil
	}
}

// namedType marks a record whose type this package does not know: the name
// follows. Other values are the bit of the type in event masks.
const namedType = 0xff

// headerOf returns a header that says of the numbered ones among recs all but
// codec and checksum: raw is the length that appendRecords gives them.
func headerOf(recs []Record) (h header) {
	var prev int64
	for i := range recs {
		r := &recs[i]
		if r.Seq == 0 {
			continue
		}
		us := r.Time.UnixMicro()
		if h.first == 0 {
			h.first, h.session, h.minTime, h.maxTime = r.Seq, r.Session, us, us
		}
		h.last, h.minTime, h.maxTime = r.Seq, min(h.minTime, us), max(h.maxTime, us)
		mask := r.Type.Mask()
		h.mask |= mask
		size := 1 + uvarintLen(uint64(us-prev)<<1^uint64((us-prev)>>63)) + uvarintLen(uint64(len(r.Wire))) + len(r.Wire)
		if mask == 1<<otherBit {
			size += uvarintLen(uint64(len(r.Type))) + len(r.Type)
		}
		h.raw += uint32(size)
		prev = us
	}
	return h
}

// uvarintLen returns how many bytes binary.AppendUvarint appends.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// appendRecords appends the numbered ones among recs.
func appendRecords(dst []byte, recs []Record) []byte {
	var prev int64
	for i := range recs {
		r := &recs[i]
		if r.Seq == 0 {
			continue
		}
		us := r.Time.UnixMicro()
		if bit := bits.TrailingZeros64(r.Type.Mask()); bit != otherBit {
			dst = append(dst, byte(bit))
		} else {
			dst = append(dst, namedType)
			dst = binary.AppendUvarint(dst, uint64(len(r.Type)))
			dst = append(dst, r.Type...)
		}
		dst = binary.AppendVarint(dst, us-prev)
		prev = us
		dst = binary.AppendUvarint(dst, uint64(len(r.Wire)))
		dst = append(dst, r.Wire...)
	}
	return dst
}

// appendPayload appends the records of a payload to those of another, whose
// last one arrived at lastUs.
func appendPayload(dst []byte, lastUs int64, payload []byte) []byte {
	p := payloadReader{rest: payload}
	p.typ()
	dst = append(dst, payload[:len(payload)-len(p.rest)]...)
	dst = binary.AppendVarint(dst, p.varint()-lastUs) // the first one's is the time itself
	return append(dst, p.rest...)
}

// otherBit is the bit of types that package event does not know.
const otherBit = 63

// decodeBatch returns the records of the envelope's payload that are of the
// given types; empty means all. Their Wire are parts of few buffers that
// belong to them. stored is what splitEnvelope returned.
func decodeBatch(h header, stored []byte, types event.Set) ([]Record, error) {
	n := min(h.count(), 1<<16)
	if !types.Empty() {
		n = min(n, 64)
	}
	recs := make([]Record, 0, n)
	_, err := eachRecord(h, stored, Range{Types: types}, nil, new(Record), func(r *Record) bool {
		recs = append(recs, *r)
		return true
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}

// eachRecord calls visit for the records of the envelope's payload that are in
// r, but for its session, until visit returns false; then more is false. It
// visits each of them in rec. After an error, which comes where the payload does
// not parse, some may have been visited. room is columns.Want's, for wire forms
// that are not there yet.
func eachRecord(h header, stored []byte, r Range, room func(int) []byte, rec *Record, visit func(*Record) bool) (more bool, err error) {
	rec.Session = h.session
	if h.codec == codecColumns {
		return eachOfColumns(h, stored, r, room, rec, visit)
	}
	payload, err := unpack(h, stored)
	if err != nil {
		return false, err
	}
	return eachOfLines(h, payload, r, rec, visit)
}

func unpack(h header, stored []byte) ([]byte, error) {
	if h.codec == codecPlain {
		if len(stored) != int(h.raw) {
			return nil, fmt.Errorf("payload has %d bytes, the header says %d", len(stored), h.raw)
		}
		return stored, nil
	}
	payload, err := unzstd.DecodeAll(stored, make([]byte, 0, h.raw))
	if err != nil {
		return nil, err
	}
	if len(payload) != int(h.raw) {
		return nil, fmt.Errorf("payload unpacks to %d bytes, the header says %d", len(payload), h.raw)
	}
	return payload, nil
}

// unzstd is the decoder that everybody shares: it keeps no state between calls
// of DecodeAll, and never writes past the capacity it is given.
var unzstd = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
}()

func eachOfLines(h header, payload []byte, r Range, rec *Record, visit func(*Record) bool) (more bool, err error) {
	n := h.count()
	p := payloadReader{rest: payload}
	b := r.bounds(&h)
	var us int64
	for i := range n {
		rec.Seq, rec.Type = h.first+i, p.typ()
		us += p.varint()
		rec.Wire = p.bytes()
		if p.bad {
			return false, fmt.Errorf("record %d of %d does not parse", i+1, n)
		}
		if !b.hold(rec.Seq, us) || !r.Types.Empty() && !r.Types.Has(rec.Type) {
			continue
		}
		if rec.Time = arrival(us); !visit(rec) {
			return false, nil
		}
	}
	if len(p.rest) != 0 {
		return false, fmt.Errorf("%d bytes follow the last record", len(p.rest))
	}
	return true, nil
}

// arrival returns the time of an arrival in the file.
func arrival(us int64) time.Time { return time.UnixMicro(us).UTC() }

var typeNames = event.Types()

// payloadReader reads a payload; bad stays set once something did not parse.
type payloadReader struct {
	rest []byte
	bad  bool
}

func (p *payloadReader) typ() event.Type {
	if len(p.rest) == 0 {
		p.bad = true
		return ""
	}
	bit := p.rest[0]
	p.rest = p.rest[1:]
	if bit == namedType {
		return event.Type(p.bytes())
	}
	if int(bit) >= len(typeNames) {
		p.bad = true
		return ""
	}
	return typeNames[bit]
}

func (p *payloadReader) varint() int64 {
	v, n := binary.Varint(p.rest)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *payloadReader) bytes() []byte {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || v > uint64(len(p.rest)-n) {
		p.bad = true
		return nil
	}
	end := n + int(v)
	b := p.rest[n:end:end]
	p.rest = p.rest[end:]
	return b
}
