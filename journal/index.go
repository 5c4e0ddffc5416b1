package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// indexSize is the length of an index entry: the header of its block without
// magic, and a checksum, because bbolt's pages have none and a flipped bit in
// a mask would hide records in silence.
const indexSize = headerSize

// appendIndex appends the index entry of the block that h heads. It is the
// header itself with the block's checksum inside and one of its own at the
// end, so that an entry can be compared with its block field by field.
func appendIndex(dst []byte, h *header) []byte {
	from := len(dst)
	dst = append(dst, batchVersion, h.codec, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, h.stored)
	dst = binary.BigEndian.AppendUint32(dst, h.raw)
	dst = binary.BigEndian.AppendUint32(dst, h.crc)
	for _, v := range []uint64{h.first, h.last, h.session, uint64(h.minTime), uint64(h.maxTime), h.mask} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = append(dst, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

func parseIndex(data []byte) (h header, err error) {
	if len(data) != indexSize {
		return h, fmt.Errorf("entry has %d bytes, not %d", len(data), indexSize)
	}
	if data[0] != batchVersion {
		return h, fmt.Errorf("entry of version %d, this program reads %d", data[0], batchVersion)
	}
	want := binary.BigEndian.Uint32(data[indexSize-4:])
	if crc := crc32.Checksum(data[:indexSize-4], castagnoli); crc != want {
		return h, fmt.Errorf("entry's checksum is %08x, it says %08x", crc, want)
	}
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(data[i:]) }
	return header{
		codec: data[1], stored: binary.BigEndian.Uint32(data[4:]), raw: binary.BigEndian.Uint32(data[8:]),
		crc: binary.BigEndian.Uint32(data[12:]), first: u64(16), last: u64(24), session: u64(32),
		minTime: int64(u64(40)), maxTime: int64(u64(48)), mask: u64(56),
	}, nil
}

// bounds are those of a Range in the file's terms, all of them inclusive.
type bounds struct {
	from, to     uint64
	since, until int64 // µs since 1970 UTC
}

func (g Range) bounds(h *header) bounds {
	b := bounds{g.From, g.To, math.MinInt64, math.MaxInt64}
	if b.to == 0 {
		b.to = h.last
	}
	if !g.Since.IsZero() {
		b.since = ceilMicro(g.Since)
	}
	if !g.Until.IsZero() {
		b.until = ceilMicro(g.Until) - 1
	}
	return b
}

func (b *bounds) hold(seq uint64, us int64) bool {
	return b.from <= seq && seq <= b.to && b.since <= us && us <= b.until
}

// mayHold reports whether a batch with that header can hold a record of g. A
// batch with types that were unknown when it was written may hold any type:
// a name can have become known since.
func (g Range) mayHold(h *header) bool {
	switch {
	case g.To != 0 && h.first > g.To,
		h.last < g.From,
		!g.Since.IsZero() && h.maxTime < g.Since.UnixMicro(),
		!g.Until.IsZero() && h.minTime >= ceilMicro(g.Until),
		g.Session != 0 && h.session != g.Session && !(h.lost() && h.session == 0):
		return false
	}
	return g.Types.Empty() || h.mask&(g.Types.Mask()|1<<otherBit) != 0
}
