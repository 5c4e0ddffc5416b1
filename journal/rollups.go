package journal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"torjournal/tor/event"
)

// A rollup is the sum of the BW events of a minute or an hour. Rollups are
// kept far longer than the events: they are summed when a block is sealed, and
// eviction leaves them alone.

// Rollup is what a step of time carried.
type Rollup struct {
	Start                 time.Time // a multiple of the step's length since 1970, UTC
	Seconds               uint64    // BW events in it: the seconds that are known, never 0
	Read, Written         uint64    // bytes, sums of them
	PeakRead, PeakWritten uint64    // most bytes in one of the seconds
}

// Rollups says which records were summed, and the sums. A record is in a
// Rollup of Minutes if its number is from First to Last and its time not
// before MinutesFrom, and the same holds for Hours.
type Rollups struct {
	First, Last            uint64    // sequence numbers; both 0: nothing was summed
	MinutesFrom, HoursFrom time.Time // what was before is given up, or never was summed; UTC
	Minutes, Hours         []Rollup  // in the order of time

	// Holes are times of which the sums were damaged: what is in Minutes or
	// Hours of them is not all.
	Holes []RollupHole
}

// StoredRollups are Rollups as they lie in the file: values one behind
// another, see FORMAT.md.
type StoredRollups struct{ Data []byte }

// A value of the bucket rollups begins with a header like an envelope's. These
// constants are part of the file format.
const (
	rollupMagic   = "tjbw"
	rollupVersion = 1
	rollupHeader  = 16 // magic, version, kind, length, start
	rollupSum     = 4  // the checksum behind

	kindState  = 's'
	kindMinute = 'm'
	kindHour   = 'h'
	kindAside  = 'x' // what was damaged, see rollup_aside.go
)

// rollupStep is one length of step: slots of them lie in one value.
type rollupStep struct {
	kind  byte
	slot  int64 // seconds
	slots int64
	keep  time.Duration // how long they are kept
}

func (s *rollupStep) span() int64 { return s.slot * s.slots }

// rollupSteps, the finest first: the first is given up first for room.
var rollupSteps = [...]rollupStep{
	{kindMinute, 60, 60, 30 * 24 * time.Hour},
	{kindHour, 3600, 24, 400 * 24 * time.Hour},
}

// stepSum is a Rollup as it is added up.
type stepSum struct {
	start                                      int64 // s since 1970
	seconds, read, written, peakRead, peakWrit uint64
}

// merge adds the sum of other BW events.
func (s *stepSum) merge(o *stepSum) {
	s.seconds += o.seconds
	s.read += o.read
	s.written += o.written
	s.peakRead = max(s.peakRead, o.peakRead)
	s.peakWrit = max(s.peakWrit, o.peakWrit)
}

func (s *stepSum) rollup() Rollup {
	return Rollup{time.Unix(s.start, 0).UTC(), s.seconds, s.read, s.written, s.peakRead, s.peakWrit}
}

// minuteSums adds up the BW events among recs by minute, in the order of time.
// One that is not recorded, is from before 1970 or whose line cannot be read
// is in no sum.
func minuteSums(recs []Record) []stepSum {
	var m minuteAdder
	for i := range recs {
		m.add(&recs[i])
	}
	return m.sums()
}

type minuteAdder struct {
	at   map[int64]*stepSum // by start
	last *stepSum           // the one that was added to
}

func (m *minuteAdder) add(r *Record) {
	if r.Type != event.BW || r.Seq == 0 || r.Time.Unix() < 0 {
		return
	}
	parsed, err := event.Parse(r.Wire)
	bw, ok := parsed.(*event.Bandwidth)
	if err != nil || !ok {
		return
	}
	start := r.Time.Unix() / 60 * 60
	if m.last == nil || m.last.start != start {
		if m.at == nil {
			m.at = map[int64]*stepSum{}
		}
		if m.last = m.at[start]; m.last == nil {
			m.last = &stepSum{start: start}
			m.at[start] = m.last
		}
	}
	m.last.merge(&stepSum{0, 1, bw.Read, bw.Written, bw.Read, bw.Written})
}

func (m *minuteAdder) sums() []stepSum {
	out := make([]stepSum, 0, len(m.at))
	for _, s := range m.at {
		out = append(out, *s)
	}
	slices.SortFunc(out, byStart)
	return out
}

func byStart(a, b stepSum) int { return cmp.Compare(a.start, b.start) }

// coarser merges sums in the order of time into steps of that many seconds.
func coarser(sums []stepSum, slot int64) []stepSum {
	var out []stepSum
	for _, s := range sums {
		s.start -= s.start % slot
		if n := len(out); n > 0 && out[n-1].start == s.start {
			out[n-1].merge(&s)
			continue
		}
		out = append(out, s)
	}
	return out
}

// rollupValue is one value of the bucket: the state, or the slots of one step.
type rollupValue struct {
	kind  byte
	start int64 // s since 1970; of the state 0
	state rollupState
	sums  []stepSum // those with events, in order
	of    byte      // kind of what was set aside…
	raw   []byte    // …and its bytes
}

// rollupState says what the values hold.
type rollupState struct {
	first, last uint64 // sequence numbers of the records that were summed
	bytes       uint64 // what the values take, see rollupBytes
	from        [len(rollupSteps)]int64
	// from: s since 1970; what was before it is not in the step's values
}

const stateSize = 5 * 8

// append appends the value as it is stored.
func (v *rollupValue) append(dst []byte) []byte {
	begin := len(dst)
	dst = append(dst, rollupMagic...)
	dst = append(dst, rollupVersion, v.kind, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.start))
	if v.kind == kindState {
		for _, n := range []uint64{v.state.first, v.state.last, v.state.bytes, uint64(v.state.from[0]), uint64(v.state.from[1])} {
			dst = binary.BigEndian.AppendUint64(dst, n)
		}
	}
	if v.kind == kindAside {
		dst = append(append(dst, v.of), v.raw...)
	}
	next := v.start
	for i := range v.sums {
		s := &v.sums[i]
		slot := stepOf(v.kind).slot
		dst = binary.AppendUvarint(dst, uint64((s.start-next)/slot))
		for _, n := range []uint64{s.seconds, s.read, s.written, s.peakRead, s.peakWrit} {
			dst = binary.AppendUvarint(dst, n)
		}
		next = s.start + slot
	}
	binary.BigEndian.PutUint16(dst[begin+6:], uint16(len(dst)-begin-rollupHeader))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
}

func stepOf(kind byte) *rollupStep {
	for i := range rollupSteps {
		if rollupSteps[i].kind == kind {
			return &rollupSteps[i]
		}
	}
	return nil
}

// splitRollup returns the first value in data and what follows it.
func splitRollup(data []byte) (v rollupValue, rest []byte, err error) {
	if len(data) < rollupHeader+rollupSum || string(data[:4]) != rollupMagic {
		return v, nil, fmt.Errorf("%d bytes that begin with %q are no rollup", len(data), data[:min(4, len(data))])
	}
	if data[4] != rollupVersion {
		return v, nil, fmt.Errorf("rollup of version %d, this program reads %d", data[4], rollupVersion)
	}
	end := rollupHeader + int(binary.BigEndian.Uint16(data[6:]))
	if len(data) < end+rollupSum {
		return v, nil, fmt.Errorf("a rollup has %d bytes of %d", len(data), end+rollupSum)
	}
	if crc, want := crc32.Checksum(data[:end], castagnoli), binary.BigEndian.Uint32(data[end:]); crc != want {
		return v, nil, fmt.Errorf("a rollup's checksum is %08x, it says %08x", crc, want)
	}
	v.kind, v.start = data[5], int64(binary.BigEndian.Uint64(data[8:]))
	body, rest := data[rollupHeader:end], data[end+rollupSum:]
	switch v.kind {
	case kindState:
		err = v.readState(body)
	case kindAside:
		err = v.readAside(body)
	default:
		err = v.readSums(body)
	}
	return v, rest, err
}

func (v *rollupValue) readState(body []byte) error {
	if len(body) != stateSize || v.start != 0 {
		return fmt.Errorf("the state of the rollups has %d bytes, not %d", len(body), stateSize)
	}
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(body[8*i:]) }
	v.state = rollupState{first: u64(0), last: u64(1), bytes: u64(2), from: [...]int64{int64(u64(3)), int64(u64(4))}}
	if s := &v.state; s.first == 0 || s.last+1 < s.first || s.from[0] < 0 || s.from[1] < 0 {
		return fmt.Errorf("the state of the rollups claims records %d to %d, from %d and %d", s.first, s.last, s.from[0], s.from[1])
	}
	return nil
}

func (v *rollupValue) readSums(body []byte) error {
	step := stepOf(v.kind)
	if step == nil {
		return fmt.Errorf("a rollup of kind %q is unknown", v.kind)
	}
	if v.start < 0 || v.start%step.span() != 0 {
		return fmt.Errorf("a rollup of kind %q begins at %d", v.kind, v.start)
	}
	var slot uint64
	for len(body) > 0 {
		var n [6]uint64
		for i := range n {
			read, size := binary.Uvarint(body)
			if size <= 0 {
				return fmt.Errorf("a rollup from %d does not parse", v.start)
			}
			n[i], body = read, body[size:]
		}
		if n[0] >= uint64(step.slots)-slot || n[1] == 0 {
			return fmt.Errorf("a rollup from %d has no slot %d, or it is empty", v.start, slot+n[0])
		}
		slot += n[0]
		v.sums = append(v.sums, stepSum{v.start + int64(slot)*step.slot, n[1], n[2], n[3], n[4], n[5]})
		slot++
	}
	return nil
}

// Decode verifies the checksums. The error is a *DamageError.
func (s StoredRollups) Decode() (Rollups, error) {
	var r Rollups
	for rest := s.Data; len(rest) > 0; {
		var v rollupValue
		var err error
		if v, rest, err = splitRollup(rest); err != nil {
			return Rollups{}, damaged("rollups", 0, "%w", err)
		}
		to := &r.Minutes
		switch v.kind {
		case kindState:
			r.First, r.Last = v.state.first, v.state.last
			r.MinutesFrom, r.HoursFrom = time.Unix(v.state.from[0], 0).UTC(), time.Unix(v.state.from[1], 0).UTC()
		case kindHour:
			to = &r.Hours
		case kindAside:
			hole, _ := v.hole()
			r.Holes = append(r.Holes, hole)
		}
		for i := range v.sums {
			*to = append(*to, v.sums[i].rollup())
		}
	}
	return r, nil
}
