package columns

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Want says which records of a block are wanted. Its zero value wants all.
type Want struct {
	Type func(typ string) bool      // nil: every type
	Row  func(i int, us int64) bool // by place from 0 and arrival, µs since 1970 UTC; nil: every record
	Line bool                       // rows shall have their Line, where there is one
	Room func(n int) []byte         // gives at least n bytes for wire forms, once no more fit what it gave before; nil: they are made
}

// Decoder decodes blocks, one after the other, and keeps the room that one
// took for the next. It is for one goroutine at a time.
type Decoder struct {
	sections unpacker
	groups   []*groupReader // the first ones are the block's
	next     ranks          // of groups; context: the group before
	hops     hopReader
	clock    clock

	out   []byte                 // wire forms are written to it; a new one is begun when it is full
	at    int                    // bytes of out that are written
	chunk int                    // bytes of the next out
	room  func(int) []byte       // Want.Room
	lines bool                   // Want.Line
	line  Line                   // of the row
	ends  [2*maxCells + 1]uint32 // of the texts and cells of the line that is rebuilt; the first is where it begins

	// What a block can make the decoder allocate is bounded by the block's size.
	limit int // bytes of wire forms that may still be written
	words int // words that may still be new: each stands in a line, and only the empty one takes no byte there
	state int // values by entity that columns may still remember
}

// Wire forms lie in buffers of this many bytes: small enough to be in a
// processor's cache when they are filled, and for a consumer that goes through
// a block record by record to hold only few of them. Where only some types are
// wanted, there may be few lines.
const (
	chunkAll  = 128 << 10
	chunkSome = 32 << 10
)

// NewDecoder returns a decoder that unpacks with z.
func NewDecoder(z *zstd.Decoder) *Decoder { return &Decoder{sections: unpacker{z: z}} }

// Decode calls emit for each of the block's n records that is wanted, in
// order, until emit returns false; i is the record's place in the block. limit
// bounds the bytes of all wire forms together. The rows' bytes are emit's to
// keep, unless want.Room gives them; many lie in one buffer. What is not what an Encoder makes is an error,
// and emit may have been called before.
func (d *Decoder) Decode(data []byte, n, limit int, want Want, emit func(i int, r Row) bool) error {
	in := bytesReader{data: data}
	if v := in.byte(); v != version {
		return fmt.Errorf("columns: version %d, this program reads %d", v, version)
	}
	d.begin(n, limit, want)
	defer d.end(limit)
	var sections [3]bytesReader
	for i := range sections {
		var err error
		if sections[i].data, err = in.section(&d.sections); err != nil {
			return err
		}
	}
	if err := d.hops.split(sections[2].data, limit); err != nil {
		return err
	}
	groups, err := d.open(&in, want.Type)
	if err != nil {
		return err
	}
	if more, err := d.rows(groups, &sections[0], &sections[1], n, want, emit); !more || err != nil {
		return err
	}
	for _, g := range groups {
		if !g.skip && !g.done() {
			return fmt.Errorf("columns: more follows the last line of %s", g.types[0])
		}
	}
	return nil
}

func (d *Decoder) begin(n, limit int, want Want) {
	d.sections.begin(n, limit)
	d.next.reset()
	d.limit, d.words, d.state = limit, limit+maxColumns, stateLimit(limit)
	d.chunk = chunkAll
	if want.Type != nil {
		d.chunk = chunkSome
	}
	d.lines = want.Line
	if d.room = want.Room; d.room != nil {
		d.out, d.at = nil, 0
	}
}

// What a decoder keeps between blocks is what blocks of the usual size take:
// about 2 MiB.
const (
	usualBlock = 8 << 20 // bytes of wire forms
	usualWords = 1 << 16
	usualState = 1 << 18
)

func (d *Decoder) end(limit int) {
	if d.room != nil { // it is not for the next block
		d.room, d.out, d.at = nil, nil, 0
	}
	if limit > usualBlock || limit+maxColumns-d.words > usualWords || stateLimit(limit)-d.state > usualState {
		*d = Decoder{sections: unpacker{z: d.sections.z}}
	}
}

// open reads the groups.
func (d *Decoder) open(in *bytesReader, want func(string) bool) ([]*groupReader, error) {
	n := in.count(maxGroups)
	for len(d.groups) < n {
		d.groups = append(d.groups, new(groupReader))
	}
	for i, g := range d.groups[:n] {
		part := bytesReader{data: in.take(in.count(in.left()))}
		if in.bad {
			break
		}
		if !g.readTypes(&part, want) {
			return nil, fmt.Errorf("columns: group %d does not parse", i)
		}
		if g.skip {
			continue
		}
		if err := g.open(&part, &d.sections); err != nil {
			return nil, fmt.Errorf("columns: group of %s: %w", g.types[0], err)
		}
	}
	if in.bad || in.left() > 0 {
		return nil, fmt.Errorf("columns: the groups do not end where the block does")
	}
	return d.groups[:n], nil
}

// rows goes through the records in their order; more is false if emit wants
// no more.
func (d *Decoder) rows(groups []*groupReader, order, times *bytesReader, n int, want Want, emit func(i int, r Row) bool) (more bool, err error) {
	var before uint32
	var us int64
	for i := range n {
		code, ok := order.short()
		if !ok {
			code = order.longUvarint()
		}
		id, ok := d.next.decode(before, code)
		us += times.varint()
		if !ok || int(id) >= len(groups) || order.bad || times.bad {
			return false, fmt.Errorf("columns: the order of record %d of %d does not parse", i+1, n)
		}
		before = id
		g := groups[id]
		if g.skip {
			continue
		}
		row := Row{Time: us}
		wanted := want.Row == nil || want.Row(i, us)
		if wanted, err = d.row(g, &row, wanted); err != nil {
			return false, fmt.Errorf("columns: record %d of %d: %w", i+1, n, err)
		}
		if wanted && !emit(i, row) {
			return false, nil
		}
	}
	if order.left()+times.left() > 0 {
		return false, fmt.Errorf("columns: more follows the last record")
	}
	return true, nil
}

// TimeAt returns the arrival of the i-th record, from 0, without decoding any.
func (d *Decoder) TimeAt(data []byte, i int) (us int64, err error) {
	in := bytesReader{data: data}
	if v := in.byte(); v != version {
		return 0, fmt.Errorf("columns: version %d, this program reads %d", v, version)
	}
	in.skipSection()
	d.sections.begin(maxID, 0)
	var times bytesReader
	if times.data, err = in.section(&d.sections); err != nil {
		return 0, err
	}
	for range i + 1 {
		us += times.varint()
	}
	if times.bad {
		return 0, fmt.Errorf("columns: there is no record %d", i)
	}
	return us, nil
}
