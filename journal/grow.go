package journal

import (
	"encoding/binary"
	"slices"
	"time"
)

// Small batches of the tail grow together. A commit of one event would
// otherwise make a tail of thousands of values, whose leaves and branches
// every commit writes again. So a small batch is put in the place of the one
// before, with that one's records in front of its own: first into a young
// batch, which is small enough to be written each time, and when that is full
// into an old one, which is written once for a few hundred commits. What the
// tail has is then few values in one leaf.
//
// Nothing of the file's form knows of it: a batch that has grown is a batch.
// Under load nothing grows, because what a commit brings is not small.

const (
	// growBatch is the most that a batch may have, in bytes of records, to be
	// put together with others. = some ten events.
	growBatch = 1 << 10

	// youngRaw and youngStored are what a young batch may have, before
	// compression and in the file: every commit of a small batch writes the
	// one beside the rest of its page, and compresses the other where it would
	// not fit otherwise.
	youngRaw    = 4 << 10
	youngStored = 1 << 10

	// oldRaw is what an old batch may have before compression. Both batches
	// stay in memory, in slices that double, and once more together. = 6 × 64 KiB.
	oldRaw = 64 << 10

	// growSpan is the longest time that a batch that grows may span: the ring
	// gives up whole batches by age, and skips them by time.
	growSpan = time.Hour
)

// growing is a batch at the tail's end, its payload before compression and the
// arrival of its last record, µs since 1970. The zero value is none.
type growing struct {
	hdr     header
	payload []byte
	stored  []byte // payload as what grows from it begins: as in the file, or packed since
	codec   byte   // of stored
	lastUs  int64
}

func (g *growing) none() bool { return g.hdr.first == 0 }

// growth is what becomes of a small batch in the file: itself, or a batch that
// takes the place of those before.
type growth struct {
	growing
	data     []byte   // envelope
	added    int      // bytes of records that have come
	replaces []header // of the tail's end, in order; empty: none
	logged   bool     // begins with what the log held: nothing is replaced, and nothing grows from it
	begin    int      // likewise: page that the log goes on with
}

// grower remembers the batches that may still grow. It is owned by the writer
// goroutine.
type grower struct {
	most       int // bytes of records that a batch may have to grow; immutable
	old, young growing
	handed     uint64 // last record that the sealer was given: what it works on stays

	// What prepare needs and what it found.
	added    int     // bytes of records that came last
	prepared bool    // it was asked since the last commit
	full     bool    // young is: the next batch goes elsewhere
	both     growing // old and young together, for the next batch to go with; none: it goes alone
}

// forget makes all that is in the file stay as it is.
func (g *grower) forget() { *g = grower{most: g.most, handed: g.handed} }

// plan says what becomes of b, a batch of the tail t, in the file; nil: it is
// too large to grow.
func (g *grower) plan(e *encoder, t *tail, b *batch) *growth {
	if int(b.hdr.raw) > g.most {
		return nil
	}
	alone := &growth{growing: growing{b.hdr, appendRecords(nil, b.recs), b.data[headerSize:], b.hdr.codec, lastArrival(b.recs)}, data: b.data, added: int(b.hdr.raw)}
	n := len(t.batches)
	if n == 0 || !g.fits(t, &g.young, n-1, &b.hdr) {
		return alone
	}
	intoOld := n > 1 && g.fits(t, &g.old, n-2, &b.hdr)
	both := []header{g.old.hdr, g.young.hdr}
	switch {
	case g.full && intoOld && !g.both.none():
		old := &growth{growing: join(&g.both, &alone.growing), added: alone.added, replaces: both}
		old.follow(&g.both)
		old.data = old.envelope()
		return old
	case g.full:
		return alone
	}
	young := &growth{growing: join(&g.young, &alone.growing), added: alone.added, replaces: []header{g.young.hdr}}
	young.data = e.packYoung(&young.growing, &g.young)
	switch {
	case len(young.payload) <= youngRaw && len(young.data) < youngStored:
		return young
	case !intoOld || !g.hasRoom(t, &g.old, len(young.payload)):
		return alone
	}
	old := &growth{growing: join(&g.old, &young.growing), added: alone.added, replaces: both}
	old.data = e.pack(&old.growing)
	return old
}

// hasRoom reports whether the old batch may grow by n bytes of payload.
func (g *grower) hasRoom(t *tail, old *growing, n int) bool {
	return len(old.payload)+n <= min(oldRaw, t.sealAt/4)
}

// unprepared reports whether there is something to prepare.
func (g *grower) unprepared() bool { return !g.prepared && !g.young.none() }

// prepare packs, while nothing else is to be done, what the next small batch
// will go with, so that its commit need not wait for zstd. How large that batch
// will be it cannot know: about as large as the last one. Where it is wrong, and
// where there is no time to prepare anything, plan packs.
func (g *grower) prepare(e *encoder, t *tail) {
	g.prepared = true
	y := &g.young
	next := 3 * g.added / 2
	if headerSize+len(y.stored)+next >= youngStored {
		e.shorten(y)
	}
	short := headerSize+len(y.stored)+next >= youngStored
	g.full = len(y.payload)+next > youngRaw || short && next < youngStored/2 // larger ones are worth packing
	if n := len(t.batches); g.full && n > 1 && t.batches[n-2] == g.old.hdr && t.batches[n-1] == y.hdr && g.hasRoom(t, &g.old, len(y.payload)+g.most) {
		g.both = join(&g.old, y)
		g.both.stored, g.both.codec = g.both.payload, codecPlain
		e.shorten(&g.both)
	}
}

// fits reports whether the batch c, which must be number i of the tail, may
// grow by what next heads.
func (g *grower) fits(t *tail, c *growing, i int, next *header) bool {
	h := &c.hdr
	return !c.none() && t.batches[i] == *h && h.first > g.handed && h.session == next.session &&
		time.Duration(max(h.maxTime, next.maxTime)-min(h.minTime, next.minTime))*time.Microsecond <= growSpan &&
		!t.tooLong(min(h.minTime, next.minTime), max(h.maxTime, next.maxTime))
}

// settled says that what plan returned last is in the file; nil: another batch
// is.
func (g *grower) settled(now *growth) {
	g.prepared, g.full, g.both = false, false, growing{}
	if now != nil {
		g.added = now.added
	}
	switch {
	case now == nil:
		g.forget()
	case len(now.replaces) == 2:
		g.old, g.young = now.growing, growing{}
	case len(now.replaces) == 1:
		g.young = now.growing
	default:
		if !g.young.none() {
			g.old = g.young
		}
		g.young = now.growing
	}
}

// join returns a batch of the records of a and those of b, which follow them. It
// lies in the memory behind a's if there is room: only one batch grows from
// another, and what was joined before and did not become part of the file is
// not to be used any more.
func join(a, b *growing) growing {
	h := a.hdr
	h.last, h.mask = b.hdr.last, h.mask|b.hdr.mask
	h.minTime, h.maxTime = min(h.minTime, b.hdr.minTime), max(h.maxTime, b.hdr.maxTime)
	payload := appendPayload(a.payload, a.lastUs, b.payload)
	h.raw = uint32(len(payload))
	return growing{hdr: h, payload: payload, lastUs: b.lastUs}
}

// pack returns the envelope of a batch that has grown, and sets in its header
// what depends on that.
func (e *encoder) pack(g *growing) []byte {
	g.hdr.codec = codecPlain
	data := e.envelope(&g.hdr, g.payload)
	g.stored, g.codec = data[headerSize:], g.hdr.codec
	return data
}

// shorten packs what has come to g since it was packed last, if that makes it
// shorter. The file does not change.
func (e *encoder) shorten(g *growing) {
	if packed := e.zw.EncodeAll(g.payload, nil); len(packed) < len(g.stored) {
		g.stored, g.codec = packed, codecZstd
	}
}

// packYoung does the same for a young batch that was before, and makes
// subscribers wait for zstd only where it must: what has come is stored as it
// is while there is room.
func (e *encoder) packYoung(g, before *growing) []byte {
	if g.follow(before); headerSize+len(g.stored) >= youngStored {
		return e.pack(g)
	}
	return g.envelope()
}

// follow makes g, whose payload begins with that of before, be stored as that
// one is, with what has come behind it as it is.
func (g *growing) follow(before *growing) {
	g.codec, g.stored = before.codec, g.payload
	if g.codec == codecZstd {
		g.stored = appendFrame(before.stored, g.payload[len(before.payload):])
	}
}

// envelope returns the envelope of g as it is to be stored, and sets in its
// header what depends on that.
func (g *growing) envelope() []byte {
	g.hdr.codec = g.codec
	return appendEnvelope(make([]byte, 0, headerSize+len(g.stored)), &g.hdr, g.stored)
}

// appendFrame appends a zstd frame (RFC 8878 section 3.1.1) that holds content
// in one raw block. content has at most 64 KiB.
func appendFrame(dst, content []byte) []byte {
	const (
		magic         = 0xfd2fb528
		singleSegment = 1 << 5
		twoBytes      = 1 << 6 // of content size, less 256
		lastRaw       = 1      // block header: the last block, raw
	)
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	if n := len(content); n < 256 {
		dst = append(dst, singleSegment, byte(n))
	} else {
		dst = binary.LittleEndian.AppendUint16(append(dst, singleSegment|twoBytes), uint16(n-256))
	}
	block := len(content)<<3 | lastRaw
	dst = append(dst, byte(block), byte(block>>8), byte(block>>16))
	return append(dst, content...)
}

// lastArrival returns when the last numbered one among recs arrived, µs since
// 1970.
func lastArrival(recs []Record) int64 {
	for _, r := range slices.Backward(recs) {
		if r.Seq != 0 {
			return r.Time.UnixMicro()
		}
	}
	return 0
}

// appends reports whether c puts records into the file.
func (c *change) appends() bool { return c.batch != nil || c.grown != nil }

// logged reports whether c takes what the log held.
func (c *change) logged() bool { return c.grown != nil && c.grown.logged }

// follows returns the number of the record that c puts its own behind.
func (c *change) follows() uint64 {
	if c.logged() {
		return c.grown.hdr.first - 1
	}
	return c.batch.hdr.first - 1
}

// stored returns the header and the envelope that c puts into the tail or the
// blocks.
func (c *change) stored() (header, []byte) {
	if c.grown != nil {
		return c.grown.hdr, c.grown.data
	}
	return c.batch.hdr, c.batch.data
}

// replaced returns the batches of the tail that c.batch takes the place of.
func (c *change) replaced() []header {
	if c.grown == nil {
		return nil
	}
	return c.grown.replaces
}
