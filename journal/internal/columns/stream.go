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
	if v, ok := r.short(); ok {
		return v
	}
	return r.longUvarint()
}

// short reads a number of one byte, as most are, and nothing else. It can be
// inlined, which uvarint cannot.
func (r *bytesReader) short() (v uint64, ok bool) {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		r.at++
		return uint64(r.data[r.at-1]), true
	}
	return 0, false
}

func (r *bytesReader) longUvarint() uint64 {
	b := r.data[r.at:]
	if len(b) >= 2 && b[1] < 0x80 {
		r.at += 2
		return uint64(b[0]&0x7f) | uint64(b[1])<<7
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

func (r *bytesReader) varint() int64 { return unzigzag(r.uvarint()) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

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
	return r.data[r.at-n : r.at]
}

// name reads a text that is probably one of known, and then takes no memory.
func (r *bytesReader) name(known []string) string {
	b := r.take(r.count(r.left()))
	for _, s := range known {
		if s == string(b) {
			return s
		}
	}
	return string(b)
}

func (r *bytesReader) fail() { r.bad, r.at = true, len(r.data) }

// unpacker unpacks the sections of a block, and no more bytes than its
// records can come from.
type unpacker struct {
	z    *zstd.Decoder
	left int    // bytes that may still be unpacked
	buf  []byte // where sections are unpacked to: valid until the next block
	used int    // of buf; more than it has if sections had to go elsewhere
}

// begin bounds the bytes of all columns together by those of the wire forms: a
// value takes ten bytes at most where it stands for a byte of text, and
// usually far fewer. It makes room for as much as the block before took.
func (u *unpacker) begin(n, limit int) {
	if u.used > cap(u.buf) && u.used <= scratchKept {
		u.buf = make([]byte, 0, u.used+u.used/8)
	}
	u.left, u.used = 1<<20+10*n+10*limit, 0
}

// room returns n bytes to unpack to, and padding.
func (u *unpacker) room(n int) []byte {
	from := u.used
	if u.used += n + padding; u.used <= cap(u.buf) {
		return u.buf[from:from:u.used]
	}
	return make([]byte, 0, n+padding)
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
	out, err := u.z.DecodeAll(data, u.room(raw))
	if err != nil {
		return nil, fmt.Errorf("columns: %w", err)
	}
	if len(out) != raw {
		return nil, fmt.Errorf("columns: a section unpacks to %d bytes, not %d", len(out), raw)
	}
	return out, nil // with padding behind it, see put
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
