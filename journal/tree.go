package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// bbolt's pages, read without bbolt: it trusts them, so that a damaged one
// makes it panic, fault, or go round in circles until the stack is used up.
// What decides about a damaged file reads it in this way: every position is
// held against the page, every page against the file, and no page is visited
// twice.
//
//	page     0 number, 8 flags (uint16), 10 elements (uint16), 12 further pages (uint32)
//	branch   each 16 bytes: 0 position of the key, 4 its length, 8 page below
//	leaf     each 16 bytes: 0 flags, 4 position of the key, 8 its length, 12 the value's
//	bucket   value of a leaf element with flag 1: 0 root page, 8 sequence;
//	         root 0: a page follows in the value itself
//
// All numbers are in the byte order of the machine; positions count from the
// element.
const (
	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10
	leafBucket   = 0x01
	elementSize  = 16
	bucketSize   = 16
)

// maxTreeKey is the longest key that bbolt takes.
const maxTreeKey = 32 << 10

// tree reads the pages below one meta page.
type tree struct {
	r      io.ReaderAt
	meta   boltMeta
	tell   func(error)     // of each page that is not what it should be
	broken bool            // there was one
	seen   map[uint64]bool // pages visited
	keys   *keyring        // for open
	raw    []byte          // scratch of open
}

func newTree(r io.ReaderAt, meta boltMeta, bad func(error)) *tree {
	return &tree{r: r, meta: meta, tell: bad, seen: map[uint64]bool{}, keys: &keyring{}}
}

func (t *tree) bad(err error) {
	t.broken = true
	t.tell(err)
}

// treeBucket is where a bucket's pages begin.
type treeBucket struct {
	root     uint64 // page; 0: inline
	sequence uint64
	off      int64 // of the inline page in the file
	size     int64
}

// element is a key of a leaf with the place of its value in the file.
type element struct {
	key    []byte
	bucket bool
	off    int64
	size   int64
}

// treePage is the beginning of a page, its elements included.
type treePage struct {
	name   string // for errors
	flags  uint16
	count  int
	off    int64 // in the file
	extent int64 // bytes, further pages included
	buf    []byte
}

func (t *tree) rootBucket() treeBucket { return treeBucket{root: t.meta.root} }

// page reads page id, which no one may have read before.
func (t *tree) page(id uint64) (treePage, error) {
	if t.seen[id] {
		return treePage{}, fmt.Errorf("page %d is used twice", id)
	}
	t.seen[id] = true
	return t.readPage(id)
}

func (t *tree) readPage(id uint64) (treePage, error) {
	size := int64(t.meta.pageSize)
	p := treePage{name: fmt.Sprintf("page %d", id), off: int64(id) * size, extent: size}
	if id < 2 || id >= t.meta.pages {
		return p, fmt.Errorf("page %d is named, there are pages 2 to %d", id, t.meta.pages-1)
	}
	p.buf = make([]byte, size)
	if _, err := t.r.ReadAt(p.buf, p.off); err != nil {
		return p, fmt.Errorf("%s: %w", p.name, endError(err))
	}
	if self := binary.NativeEndian.Uint64(p.buf); self != id {
		return p, fmt.Errorf("%s says that it is page %d", p.name, self)
	}
	more := uint64(binary.NativeEndian.Uint32(p.buf[12:]))
	if more >= t.meta.pages-id {
		return p, fmt.Errorf("%s claims %d further pages, the file has %d", p.name, more, t.meta.pages)
	}
	p.extent += int64(more) * size
	return p, t.parse(&p)
}

func endError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the file ends before it")
	}
	return err
}

// inline reads the page inside a bucket's value.
func (t *tree) inline(b treeBucket) (treePage, error) {
	p := treePage{name: "a page inside another", off: b.off, extent: b.size}
	if b.size < boltPageHeader || b.size > int64(t.meta.pageSize) {
		return p, fmt.Errorf("%s has %d bytes", p.name, b.size)
	}
	p.buf = make([]byte, b.size)
	if _, err := t.r.ReadAt(p.buf, p.off); err != nil {
		return p, fmt.Errorf("%s: %w", p.name, endError(err))
	}
	err := t.parse(&p)
	if err == nil && p.flags != pageLeaf {
		err = fmt.Errorf("%s is none of keys and values", p.name)
	}
	return p, err
}

func (t *tree) parse(p *treePage) error {
	p.flags, p.count = binary.NativeEndian.Uint16(p.buf[8:]), int(binary.NativeEndian.Uint16(p.buf[10:]))
	if p.flags != pageBranch && p.flags != pageLeaf && p.flags != pageFreelist {
		return fmt.Errorf("%s has flags %#x", p.name, p.flags)
	}
	if end := int64(boltPageHeader + p.count*elementSize); p.flags != pageFreelist && end > p.extent {
		return fmt.Errorf("%s has %d bytes, too few for %d elements", p.name, p.extent, p.count)
	}
	return nil
}

// bytes returns a part of the page, which the caller has found to be inside.
func (t *tree) bytes(p *treePage, off, size int64) ([]byte, error) {
	if off+size <= int64(len(p.buf)) {
		return p.buf[off : off+size], nil
	}
	b := make([]byte, size)
	if _, err := t.r.ReadAt(b, p.off+off); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, endError(err))
	}
	return b, nil
}

// elements returns the keys of a leaf page.
func (t *tree) elements(p *treePage) ([]element, error) {
	out := make([]element, 0, p.count)
	for i := range p.count {
		at := int64(boltPageHeader + i*elementSize)
		e, err := t.bytes(p, at, elementSize)
		if err != nil {
			return out, err
		}
		u32 := func(i int) int64 { return int64(binary.NativeEndian.Uint32(e[i:])) }
		pos, keySize, valueSize := at+u32(4), u32(8), u32(12)
		if keySize > maxTreeKey || pos+keySize+valueSize > p.extent {
			return out, fmt.Errorf("element %d of %s does not lie in it", i, p.name)
		}
		k, err := t.bytes(p, pos, keySize)
		if err != nil {
			return out, err
		}
		out = append(out, element{key: k, bucket: u32(0)&leafBucket != 0, off: p.off + pos + keySize, size: valueSize})
	}
	return out, nil
}

// below returns the pages below a branch page.
func (t *tree) below(p *treePage) ([]uint64, error) {
	var out []uint64
	for i := range p.count {
		e, err := t.bytes(p, int64(boltPageHeader+i*elementSize), elementSize)
		if err != nil {
			return out, err
		}
		pos, keySize := int64(binary.NativeEndian.Uint32(e)), int64(binary.NativeEndian.Uint32(e[4:]))
		if keySize > maxTreeKey || int64(boltPageHeader+i*elementSize)+pos+keySize > p.extent {
			return out, fmt.Errorf("element %d of %s does not lie in it", i, p.name)
		}
		out = append(out, binary.NativeEndian.Uint64(e[8:]))
	}
	return out, nil
}

// each visits the elements of a bucket in order, as far as its pages can be
// read; it tells bad of those that cannot.
func (t *tree) each(b treeBucket, visit func(element)) {
	var p treePage
	var err error
	if b.root == 0 {
		p, err = t.inline(b)
	} else {
		p, err = t.page(b.root)
	}
	t.eachOf(&p, err, visit)
}

func (t *tree) eachOf(p *treePage, err error, visit func(element)) {
	if err != nil {
		t.bad(err)
		return
	}
	switch p.flags {
	case pageLeaf:
		elements, err := t.elements(p)
		if err != nil {
			t.bad(err)
		}
		for _, e := range elements {
			visit(e)
		}
	case pageBranch:
		ids, err := t.below(p)
		if err != nil {
			t.bad(err)
		}
		for _, id := range ids {
			child, err := t.page(id)
			t.eachOf(&child, err, visit)
		}
	default:
		t.bad(fmt.Errorf("%s has flags %#x", p.name, p.flags))
	}
}

// walk visits all pages of a bucket and of the buckets in it.
func (t *tree) walk(b treeBucket) {
	t.each(b, func(e element) {
		if !e.bucket {
			return
		}
		in, err := t.asBucket(e)
		if err != nil {
			t.bad(err)
			return
		}
		t.walk(in)
	})
}

// buckets returns the buckets of the file by name.
func (t *tree) buckets() map[string]treeBucket {
	out := map[string]treeBucket{}
	t.each(t.rootBucket(), func(e element) {
		b, err := t.asBucket(e)
		if err != nil {
			t.bad(fmt.Errorf("bucket %q: %w", e.key, err))
			return
		}
		out[string(e.key)] = b
	})
	return out
}

func (t *tree) asBucket(e element) (treeBucket, error) {
	if !e.bucket || e.size < bucketSize {
		return treeBucket{}, errors.New("it is no bucket")
	}
	var b [bucketSize]byte
	if _, err := t.r.ReadAt(b[:], e.off); err != nil {
		return treeBucket{}, endError(err)
	}
	return treeBucket{
		root: binary.NativeEndian.Uint64(b[:]), sequence: binary.NativeEndian.Uint64(b[8:]),
		off: e.off + bucketSize, size: e.size - bucketSize,
	}, nil
}

// place returns where the value under e lies: in the leaf, or in the bucket of
// its own that putValue made.
func (t *tree) place(e element) (off, size int64, err error) {
	if !e.bucket {
		return e.off, e.size, nil
	}
	b, err := t.asBucket(e)
	if err != nil {
		return 0, 0, err
	}
	own := &tree{r: t.r, meta: t.meta, seen: t.seen, tell: func(e error) { err = e }}
	size = -1
	own.each(b, func(e element) {
		if string(e.key) == string(keyValue) && !e.bucket {
			off, size = e.off, e.size
		}
	})
	if err == nil && size < 0 {
		err = errors.New("its bucket has no value")
	}
	return off, size, err
}

// value reads the value under e, which may have up to limit bytes. It reads
// into buf if that is large enough.
func (t *tree) value(e element, limit int64, buf []byte) ([]byte, error) {
	off, size, err := t.place(e)
	if err != nil {
		t.broken = true
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("value of %d bytes, more than %d", size, limit)
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := t.r.ReadAt(buf, off); err != nil {
		return nil, endError(err)
	}
	return buf, nil
}

// open reads the value under e and decrypts it if the file is encrypted. It
// returns the key too, as it is meant. Like value it may use buf.
func (t *tree) open(kind byte, e element, limit int64, buf []byte) (key, data []byte, err error) {
	if t.keys.key == nil {
		data, err = t.value(e, limit+cryptoSize, buf)
	} else if data, err = t.value(e, limit+cryptoSize, t.raw); err == nil {
		t.raw = data
	}
	if err != nil {
		return e.key, nil, err
	}
	key, data, err = t.keys.decrypt(buf[:0], kind, e.key, data)
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("value of %d bytes, more than %d", len(data), limit)
	}
	return key, data, err
}
