package columns

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A section is one run of bytes, compressed for itself where that saves some:
//
//	uvarint   length as stored, times two, plus 1 if it is compressed by zstd
//	uvarint   length before compression, if it is compressed
//	…         the bytes
//
// Bytes of one kind have a section of their own when they are many, so that
// the entropy stage sees nothing else. Small ones share one.

// ownSection is the size from which a column's bytes are a section of their
// own: below it zstd's frame and tables cost more than the company of others.
const ownSection = 256

// tooSmall is the size below which zstd never saves.
const tooSmall = 24

type sectionWriter struct {
	zw     *zstd.Encoder
	packed []byte // scratch
	plain  bool   // tests only: nothing is compressed, so that damage reaches what is inside
}

func (w *sectionWriter) append(dst, data []byte) []byte {
	if len(data) >= tooSmall && !w.plain {
		w.packed = w.zw.EncodeAll(data, w.packed[:0])
		if len(w.packed)+2 < len(data) {
			dst = binary.AppendUvarint(dst, uint64(len(w.packed))<<1|1)
			dst = binary.AppendUvarint(dst, uint64(len(data)))
			return append(dst, w.packed...)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(data))<<1)
	return append(dst, data...)
}

// bytesReader reads what the encoder appended. bad stays set once something
// does not parse; everything read after that is empty.
type bytesReader struct {
	data []byte
	at   int // a number and not a shorter slice: one store a step, and none that the collector watches
	bad  bool
}

func (r *bytesReader) left() int { return len(r.data) - r.at }

func (r *bytesReader) uvarint() uint64 {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		v := uint64(r.data[r.at])
		r.at++
		return v
	}
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

func (r *bytesReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number that may be limit at most.
func (r *bytesReader) count(limit int) int {
	v := r.uvarint()
	if limit < 0 || v > uint64(limit) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *bytesReader) byte() byte {
	if r.left() == 0 {
		r.fail()
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

func (r *bytesReader) take(n int) []byte {
	if n < 0 || n > r.left() {
		r.fail()
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at : r.at]
}

func (r *bytesReader) text() string { return string(r.take(r.count(r.left()))) }

func (r *bytesReader) fail() { r.bad, r.at = true, len(r.data) }

// unpacker unpacks the sections of a block, and no more bytes than its
// records can come from.
type unpacker struct {
	z    *zstd.Decoder
	left int
}

// newUnpacker bounds the bytes of all columns together by those of the wire
// forms: a value takes ten bytes at most where it stands for a byte of text,
// and usually far fewer.
func newUnpacker(z *zstd.Decoder, n, limit int) *unpacker {
	return &unpacker{z, 1<<20 + 10*n + 10*limit}
}

// section reads one section and unpacks it.
func (r *bytesReader) section(u *unpacker) ([]byte, error) {
	head := r.uvarint()
	if head>>1 > maxStream {
		r.fail()
	}
	n, packed := int(head>>1), head&1 != 0
	raw := 0
	if packed {
		raw = r.count(maxStream)
	}
	data := r.take(n)
	if r.bad {
		return nil, fmt.Errorf("columns: a section is cut short")
	}
	if !packed {
		return data, nil
	}
	if u.left -= raw; u.left < 0 {
		return nil, fmt.Errorf("columns: the sections have more bytes than their records can")
	}
	out, err := u.z.DecodeAll(data, make([]byte, 0, raw))
	if err != nil {
		return nil, fmt.Errorf("columns: %w", err)
	}
	if len(out) != raw {
		return nil, fmt.Errorf("columns: a section unpacks to %d bytes, not %d", len(out), raw)
	}
	return out, nil
}

// skipSection passes over one section.
func (r *bytesReader) skipSection() {
	head := r.uvarint()
	if head&1 != 0 {
		r.uvarint()
	}
	if head>>1 > uint64(r.left()) {
		r.fail()
		return
	}
	r.take(int(head >> 1))
}
