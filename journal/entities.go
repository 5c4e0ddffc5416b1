package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"torjournal/tor/event"
)

// The entities of a sealed block are the circuits and streams that its records
// name. They lie beside the index, so that who asks about one circuit skips the
// blocks that do not name it. They are derived from the block, and a block may
// be without: then it may name any. FORMAT.md draws them. These constants are
// part of the file format.
const (
	entitiesMagic   = "tjen"
	entitiesVersion = 1
	entitiesHeader  = 28 // before the runs
)

// maxRuns bounds the runs of numbers that one block's circuits are told by, and
// its streams: tor numbers them one after the other, so that a block of its
// events has some dozens. Where there are more the nearest become one. = 2 × 256
// × 20 bytes = 10 KiB at most, usually 200 bytes.
const maxRuns = 256

// maxEntities is the most that they take in the file.
const maxEntities = entitiesHeader + 2*(1+maxRuns)*2*binary.MaxVarintLen64 + 4

// Bits of the flags: IDs that are no numbers are told by that there are some.
const (
	oddCircuits = 1 << iota
	oddStreams
)

// entities gathers the IDs of one kind. Many events name the same few one after
// the other: what was met lately is not met again.
type entities struct {
	ids  []uint64
	odd  bool        // there are some that are no numbers
	late [256]uint64 // ID+1, by its last bits
}

func (s *entities) add(id []byte) {
	n, ok := entityNumber(id)
	switch {
	case !ok:
		s.odd = true
	case s.late[n%256] != n+1:
		s.late[n%256] = n + 1
		s.ids = append(s.ids, n)
	}
}

// entityNumber reads an ID that is a decimal number without leading zeros.
func entityNumber(id []byte) (n uint64, ok bool) {
	if len(id) == 0 || len(id) > 18 || id[0] == '0' && len(id) > 1 {
		return 0, false
	}
	for _, c := range id {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, true
}

// append appends the runs of the IDs.
func (s *entities) append(dst []byte) []byte {
	slices.Sort(s.ids)
	ids := slices.Compact(s.ids)
	type run struct{ from, to uint64 }
	var runs []run
	for near := uint64(1); ; near *= 2 {
		runs = runs[:0]
		for _, n := range ids {
			if k := len(runs); k > 0 && n-runs[k-1].to <= near {
				runs[k-1].to = n
			} else {
				runs = append(runs, run{n, n})
			}
		}
		if len(runs) <= maxRuns {
			break
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(runs)))
	next := uint64(0)
	for _, r := range runs {
		dst = binary.AppendUvarint(dst, r.from-next)
		dst = binary.AppendUvarint(dst, r.to-r.from)
		next = r.to + 1
	}
	return dst
}

// gather returns the entities that records name.
func gather(recs []Record) (circuits, streams *entities) {
	circuits, streams = new(entities), new(entities)
	circuit, stream := circuits.add, streams.add
	for i := range recs {
		event.Entities(recs[i].Type, recs[i].Wire, circuit, stream)
	}
	return circuits, streams
}

// entitiesOf returns what lies in the file of the entities of the block that h
// heads, whose records are recs.
func entitiesOf(h *header, recs []Record) []byte {
	circuits, streams := gather(recs)
	dst := append(make([]byte, 0, 256), entitiesMagic...)
	flags := byte(0)
	if circuits.odd {
		flags |= oddCircuits
	}
	if streams.odd {
		flags |= oddStreams
	}
	dst = append(dst, entitiesVersion, flags, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, h.first)
	dst = binary.BigEndian.AppendUint64(dst, h.last)
	dst = binary.BigEndian.AppendUint32(dst, h.crc)
	dst = streams.append(circuits.append(dst))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// errLaterEntities means that a later program has told them, in another form: to
// this one they are of no use, and no damage.
var errLaterEntities = errors.New("entities of another version")

// summary is what lies in the file of a block's entities.
type summary struct {
	first, last uint64
	crc         uint32 // of the block's envelope
	flags       byte
	circuits    []byte // runs
	streams     []byte
}

// parseEntities reads what lies under k.
func parseEntities(k, data []byte) (s summary, err error) {
	n := len(data) - 4
	switch {
	case n < entitiesHeader || n+4 > maxEntities || string(data[:4]) != entitiesMagic:
		return s, fmt.Errorf("%d bytes that begin with %q are no entities", len(data), data[:min(4, len(data))])
	case data[4] != entitiesVersion:
		return s, fmt.Errorf("%w: version %d, this program reads %d", errLaterEntities, data[4], entitiesVersion)
	}
	if crc, want := crc32.Checksum(data[:n], castagnoli), binary.BigEndian.Uint32(data[n:]); crc != want {
		return s, fmt.Errorf("the entities' checksum is %08x, they say %08x", crc, want)
	}
	s = summary{
		first: binary.BigEndian.Uint64(data[8:]), last: binary.BigEndian.Uint64(data[16:]),
		crc: binary.BigEndian.Uint32(data[24:]), flags: data[5],
	}
	rest := data[entitiesHeader:n]
	for _, to := range []*[]byte{&s.circuits, &s.streams} {
		size, ok := runsSize(rest)
		if !ok {
			return s, errors.New("the entities do not parse")
		}
		*to, rest = rest[:size], rest[size:]
	}
	if len(rest) > 0 {
		return s, fmt.Errorf("%d bytes follow the entities", len(rest))
	}
	if len(k) != 8 || beNumber(k) != s.first {
		return s, fmt.Errorf("the entities there are of record %d", s.first)
	}
	return s, nil
}

// runsSize returns how many bytes the runs take that data begins with.
func runsSize(data []byte) (size int, ok bool) {
	n, at := binary.Uvarint(data)
	if at <= 0 || n > maxRuns {
		return 0, false
	}
	for range 2 * n {
		_, k := binary.Uvarint(data[at:])
		if k <= 0 {
			return 0, false
		}
		at += k
	}
	return at, true
}

// runsHold reports whether n is in runs that were parsed.
func runsHold(runs []byte, n uint64) bool {
	uvarint := func() uint64 {
		v, k := binary.Uvarint(runs)
		runs = runs[k:]
		return v
	}
	next := uint64(0)
	for range uvarint() {
		from := next + uvarint()
		to := from + uvarint()
		if n < from || from < next || to == math.MaxUint64 {
			return false // they ascend
		}
		if n <= to {
			return true
		}
		next = to + 1
	}
	return false
}

// of reports whether they are of the block that h heads: one that another
// program has packed again has none, or those of what was there before.
func (s *summary) of(h *header) bool {
	return s.first == h.first && s.last == h.last && s.crc == h.crc
}

// mayName reports whether a record of the block can name the entity, "" being
// any.
func mayName(runs []byte, odd bool, id string) bool {
	if id == "" {
		return true
	}
	n, ok := entityNumber([]byte(id))
	return ok && runsHold(runs, n) || !ok && odd
}

// mayName reports whether a record of the block can name what g asks for.
func (s *summary) mayName(g *Range) bool {
	return mayName(s.circuits, s.flags&oddCircuits != 0, g.Circuit) &&
		mayName(s.streams, s.flags&oddStreams != 0, g.Stream)
}

// names reports whether the block that h heads, and that may hold records of g,
// can have some that name what g asks for. What cannot be read of the entities
// hides nothing.
func (f *fetcher) names(h *header) bool {
	if f.r.Circuit == "" && f.r.Stream == "" {
		return true
	}
	s, _, ok := summaryFor(f.tx, h)
	return !ok || s.mayName(&f.r)
}

// put stores a finished block and what is told of it.
func (s *seal) put(tx *txn) error {
	if err := putBlock(tx, s.block, s.data); err != nil {
		return err
	}
	return putEntities(tx, s.block.first, s.entities)
}

// putEntities stores the entities of the block that begins with record first;
// none take the place of what was there.
func putEntities(tx *txn, first uint64, data []byte) error {
	if len(data) == 0 {
		if b := tx.optional(bucketEntities); b != nil {
			return b.delete(key(first))
		}
		return nil
	}
	if _, err := tx.bolt.CreateBucketIfNotExists(bucketEntities); err != nil {
		return err
	}
	b, err := appendOnly(tx, bucketEntities)
	if err != nil {
		return err
	}
	return b.put(key(first), data)
}

// dropEntities removes those of blocks that the ring has given up, up to record
// last; some may be of blocks that another program has given up.
func dropEntities(tx *txn, last uint64) error {
	b := tx.optional(bucketEntities)
	if b == nil {
		return nil
	}
	var gone [][]byte
	c := b.cursor()
	for k, _ := c.first(); len(k) == 8 && beNumber(k) <= last; k, _ = c.next() {
		gone = append(gone, key(beNumber(k)))
	}
	for _, k := range gone {
		if err := b.delete(k); err != nil {
			return err
		}
	}
	return nil
}

// summaryFor finds the entities of the block that h heads, and the bytes that
// they lie in, which are valid until the transaction ends.
func summaryFor(tx *txn, h *header) (s summary, data []byte, ok bool) {
	b := tx.optional(bucketEntities)
	if b == nil {
		return s, nil, false
	}
	k := key(h.first)
	data, err := b.get(k)
	if err == nil && data != nil {
		s, err = parseEntities(k, data)
	}
	return s, data, err == nil && data != nil && s.of(h)
}

// entitiesIn returns those of the block whose envelope is all of data.
func entitiesIn(data []byte) ([]byte, error) {
	h, payload, _, err := splitEnvelope(data)
	if err != nil {
		return nil, damaged("blocks", h.first, "%w", err)
	}
	recs, err := decodeBatch(h, payload, noTypes)
	if err != nil {
		return nil, damaged("blocks", h.first, "%w", err)
	}
	return entitiesOf(&h, recs), nil
}
