package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// carver looks for what is ours in the bytes of a file, whatever has become of
// the tree that led to it. Envelopes are found by their magic and proved by
// their checksum, wherever they lie; index entries and sessions by the leaf
// pages that hold them.
type carver struct {
	r    io.ReaderAt
	size int64
	keys *keyring

	envelope func(off int64, h header)
	strange  int // envelopes that may have been there, had the key been another one, or none

	plain []byte // scratch
}

// carveWindow is how much of the file is looked at in one piece.
const carveWindow = 4 << 20

// magic is what an envelope begins with as it lies in the file.
func (c *carver) magic() string {
	if c.keys.key != nil {
		return cryptoMagic
	}
	return magic
}

// envelopes walks the file from its beginning to its end. Memory: the window,
// one envelope that does not lie in it, and one that is decrypted.
func (c *carver) envelopes(ctx context.Context) error {
	window := make([]byte, min(carveWindow, c.size))
	var large []byte
	magic := c.magic()
	for from := int64(0); from < c.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(int64(len(window)), c.size-from))
		if _, err := c.r.ReadAt(window[:n], from); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end := from+int64(n) == c.size
		at := 0
		for at < n {
			i := bytes.Index(window[at:n], []byte(magic))
			if i < 0 {
				at = max(at, n-len(magic)+1)
				break
			}
			at += i
			if n-at < headerSize && !end {
				break // the next window has the rest
			}
			h, ok := c.try(window[at:n], from+int64(at), &large)
			if !ok {
				at += len(magic)
				continue
			}
			c.envelope(from+int64(at), h)
			at += h.size() + c.keys.key.overhead()
		}
		if end {
			return nil
		}
		from += int64(at)
	}
	return nil
}

// try reports whether data, or what follows it in the file, begins with an
// intact envelope.
func (c *carver) try(data []byte, off int64, large *[]byte) (h header, ok bool) {
	size, err := c.claims(data)
	if err != nil || off+int64(size) > c.size {
		return h, false
	}
	if size > len(data) {
		if data, err = c.read(off, size, large); err != nil {
			return h, false
		}
	}
	_, plain, err := c.keys.decrypt(c.plain[:0], kindBatch, nil, data[:size])
	if c.keys.key != nil {
		if err != nil {
			c.strange++
			return h, false
		}
		c.plain = plain
	}
	h, _, rest, err := splitEnvelope(plain)
	return h, err == nil && len(rest) == 0
}

// claims returns the length of what data begins with, as that says itself.
func (c *carver) claims(data []byte) (int, error) {
	if c.keys.key == nil {
		h, err := parseHeader(data)
		return h.size(), err
	}
	h, err := parseCryptogram(data)
	if err == nil && h.kind != kindBatch {
		err = errCannotDecrypt
	}
	return h.stored(), err
}

func (c *carver) read(off int64, size int, buf *[]byte) ([]byte, error) {
	if cap(*buf) < size {
		*buf = make([]byte, size)
	}
	b := (*buf)[:size]
	n, err := c.r.ReadAt(b, off)
	if n == size {
		err = nil
	}
	return b, err
}

// leaves is what carveLeaves found. Pages that were freed may have held some
// of it.
type leaves struct {
	index    []header             // entries of the index
	sessions map[uint64][]Session // by number, every form that was found
}

// carveLeaves looks at everything in the file that is a leaf page in its
// place.
func carveLeaves(ctx context.Context, r io.ReaderAt, size int64, pageSize uint32, keys *keyring) (leaves, error) {
	out := leaves{sessions: map[uint64][]Session{}}
	t := newTree(r, boltMeta{pageSize: pageSize, pages: uint64(size) / uint64(pageSize)}, func(error) {})
	t.keys = keys
	window := make([]byte, carveWindow)
	for from := int64(0); from < size; from += carveWindow {
		n, err := r.ReadAt(window[:min(carveWindow, size-from)], from)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return out, err
		}
		for at := 0; at+int(pageSize) <= n; at += int(pageSize) {
			id := uint64(from+int64(at)) / uint64(pageSize)
			head := window[at:]
			if binary.NativeEndian.Uint64(head) != id || binary.NativeEndian.Uint16(head[8:]) != pageLeaf {
				continue
			}
			if p, err := t.readPage(id); err == nil {
				elements, _ := t.elements(&p)
				out.take(t, "", elements)
			}
		}
	}
	return out, nil
}

// take sorts out the elements of a leaf page by what they are: only a bucket
// that lies inside the page says its name.
func (l *leaves) take(t *tree, bucket string, elements []element) {
	for _, e := range elements {
		if e.bucket {
			b, err := t.asBucket(e)
			if err != nil || b.root != 0 {
				continue
			}
			if p, err := t.inline(b); err == nil {
				inside, _ := t.elements(&p)
				l.take(t, string(e.key), inside)
			}
			continue
		}
		if e.size > maxSession+cryptoSize {
			continue
		}
		if _, val, err := t.open(kindIndex, e, indexSize, nil); err == nil {
			if h, err := entryAt(e.key, val); err == nil {
				l.index = append(l.index, h)
				continue
			}
		}
		if _, val, err := t.open(kindSession, e, maxSession, nil); err == nil && len(val) > 0 && val[0] == '{' && (bucket == "" || bucket == string(bucketSessions)) {
			if s, err := parseSession(e.key, val); err == nil && s.ID > 0 {
				l.sessions[s.ID] = append(l.sessions[s.ID], s)
			}
		}
	}
}

// pageSizeOf returns the size of the file's pages: as a meta page says, or as
// this machine's bbolt would have chosen.
func pageSizeOf(r io.ReaderAt) (boltMeta, uint32) {
	meta, err := newestMeta(r)
	if err == nil && meta.valid {
		return meta, meta.pageSize
	}
	return boltMeta{}, uint32(os.Getpagesize())
}

// liveTree is what the tree says of the file, as far as it can be read.
type liveTree struct {
	whole    bool            // every page of it could be read
	marked   bool            // evicted is known
	evicted  uint64          // last number that the ring gave up
	last     uint64          // newest number that there ever was, as far as it is known
	live     map[header]bool // batches and blocks that the tree leads to
	index    []header        // entries
	sessions []Session
	rollups  [][2][]byte // all keys and values; nil if one of them cannot be read
	summed   rollupState // of rollups
}

// readLive reads as much of the tree as can be read. The error says that the
// key is not the right one.
func readLive(r io.ReaderAt, meta boltMeta, keys *keyring) (liveTree, error) {
	l := liveTree{live: map[header]bool{}}
	if !meta.valid {
		return l, nil
	}
	t := newTree(r, meta, func(error) {})
	t.keys = keys
	buckets := t.buckets()
	if b, ok := buckets[string(bucketMeta)]; ok {
		if err := l.readMeta(t, b); err != nil {
			return l, err
		}
	}
	oldest := ^uint64(0)
	note := func(h header) {
		l.live[h] = true
		oldest, l.last = min(oldest, h.first), max(l.last, h.last)
	}
	each := func(name []byte, visit func(element)) {
		if b, ok := buckets[string(name)]; ok {
			t.each(b, visit)
		} else {
			t.broken = true
		}
	}
	each(bucketIndex, func(e element) {
		if _, val, err := t.open(kindIndex, e, indexSize, nil); err == nil {
			if h, err := entryAt(e.key, val); err == nil {
				note(h)
				l.index = append(l.index, h)
			}
		}
	})
	each(bucketTail, func(e element) {
		// The number of its last record counts only if all of it is intact:
		// then the carver finds it.
		if h, err := t.header(e); err == nil {
			l.live[h] = true
			oldest = min(oldest, h.first)
		}
	})
	if b, ok := buckets[string(bucketTail)]; ok {
		l.last = max(l.last, b.sequence)
	}
	l.readLog(t, buckets)
	each(bucketSessions, func(e element) {
		if _, val, err := t.open(kindSession, e, maxSession, nil); err == nil {
			if s, err := parseSession(e.key, val); err == nil && s.ID > 0 {
				l.sessions = append(l.sessions, s)
			}
		}
	})
	l.readRollups(t, buckets)
	l.whole = !t.broken
	// A mark that live records contradict is damaged itself.
	l.marked = l.marked && (oldest == ^uint64(0) || oldest > l.evicted)
	return l, nil
}

// header reads the header of the batch under e: no more of it than need be.
func (t *tree) header(e element) (h header, err error) {
	if t.keys.key != nil {
		_, data, err := t.open(kindBatch, e, maxPlain, nil)
		if err != nil {
			return h, err
		}
		return parseHeader(data)
	}
	off, size, err := t.place(e)
	if err != nil || size < headerSize {
		t.broken = true
		return h, err
	}
	var b [headerSize]byte
	if _, err := t.r.ReadAt(b[:], off); err != nil {
		return h, err
	}
	return parseHeader(b[:])
}

// readMeta reads how the file is encrypted, and the mark of what was evicted:
// none in a bucket that can be read means that nothing was.
func (l *liveTree) readMeta(t *tree, b treeBucket) error {
	var all []element
	t.each(b, func(e element) { all = append(all, e) })
	entry, err := cipherEntry(t, all)
	if err == nil && (entry != nil || !t.broken) {
		err = t.keys.learn(entry)
	}
	if keyError(err) {
		return err
	}
	schema := false
	for _, e := range all {
		switch {
		case bytes.Equal(e.key, keyEvicted):
			if _, val, err := t.open(kindMeta, e, 8, nil); err == nil && len(val) == 8 {
				l.evicted = beNumber(val)
			} else if t.keys.key != nil {
				return nil // flipped bits do not make it absent
			}
		case string(e.key) == "schema":
			val, err := t.value(e, 8, nil)
			schema = schema || err == nil && len(val) == 8
		}
	}
	l.marked = schema && !t.broken
	return nil
}

// readLog notes what the log has behind the buckets. Damage of it is like that of a
// page of the tree: newer records may have been there.
func (l *liveTree) readLog(t *tree, buckets map[string]treeBucket) {
	r, err := t.walRegion(buckets)
	var found walFound
	if err == nil && r.pages > 0 {
		found, err = r.read(t.r, l.last, t.decryptLogged)
	}
	t.broken = t.broken || err != nil
	for i := range found.pages {
		h := found.pages[i].hdr
		l.live[h] = true
		l.last = max(l.last, h.last)
	}
}

// decryptLogged returns the envelope in a page of the log.
func (t *tree) decryptLogged(data []byte) ([]byte, error) {
	_, plain, err := t.keys.decrypt(nil, kindBatch, nil, data)
	return plain, err
}

// readRollups reads the sums, all of them or none: half of them would be taken
// for all.
func (l *liveTree) readRollups(t *tree, buckets map[string]treeBucket) {
	b, ok := buckets[string(bucketRollups)]
	if !ok {
		return // schema 1, or lost
	}
	own := &tree{r: t.r, meta: t.meta, seen: t.seen, tell: func(error) {}, keys: t.keys}
	state, bad := false, false
	own.each(b, func(e element) {
		val, key, data, err := own.rollup(e)
		bad = bad || err != nil
		if val.kind == kindState {
			state, l.summed = true, val.state
		}
		l.rollups = append(l.rollups, [2][]byte{key, data})
	})
	if own.broken || bad || !state {
		l.rollups = nil
	}
	t.broken = t.broken || own.broken
}
