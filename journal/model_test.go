package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"torjournal/tor/event"
)

// The journal against a slice: whatever sequence of appends, sessions, seals,
// evictions by size and by age, failed commits, crashes, restarts, vacuums and
// changes of the limits, read by whatever cursors, what comes out is what went in, and at
// no write is the file larger than its limit. rapid prints the command that repeats a failure.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, remove := inMemory(t)
		defer remove()
		m := &model{path: filepath.Join(dir, "journal.db"), opt: Options{
			MaxSize:     MinMaxSize,
			sealBytes:   rapid.SampledFrom([]int{1 << 10, 8 << 10, 32 << 10}).Draw(t, "seal"),
			windowBytes: rapid.SampledFrom([]int{1, 20 << 10, windowBytes}).Draw(t, "window"),
			parkLimits:  rapid.SampledFrom([]parkLimits{{}, parkOften}).Draw(t, "parking"),
			Key:         rapid.SampledFrom([]*Key{nil, modelKey}).Draw(t, "key"),
			MaxAge:      rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "age"),
			walPages:    rapid.SampledFrom([]int{noLog, 9, leastWAL}).Draw(t, "log"),
		}}
		m.opt.wrapCommit, m.opt.wrapLog = m.faulty, m.faultyLog
		m.opt.Now = m.clock.Now
		m.clock.now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		m.open(t)
		defer func() {
			if m.j != nil {
				_ = m.j.Close()
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"append":    m.append,
			"big":       m.appendBig,
			"session":   m.beginSession,
			"fail":      m.failNext,
			"reopen":    m.reopen,
			"cursor":    m.newCursor,
			"read":      m.readCursor,
			"drain":     m.drainCursor,
			"set types": m.setTypes,
			"range":     m.readRange,
			"time":      m.passTime,
			"vacuum":    m.vacuum,
			"limits":    m.setLimits,
			"crash":     m.crash,
			"file":      m.readFile,
			"":          m.check,
		})
		m.close(t)
	})
}

type model struct {
	path string
	opt  Options

	j       *Journal
	records []Record // all that was ever recorded; records[i] has number i+1
	session uint64
	first   uint64 // of the journal, as seen last
	cursors []*modelCursor
	faults  atomic.Pointer[[]failKind]
	tape    tape
	clock   stepClock
	wall    atomic.Int64 // bytes that the file may have just now
	over    atomic.Int64 // bytes that it had when that was more; 0: never
}

type modelCursor struct {
	c     *Cursor
	types event.Set
	next  uint64 // number that the cursor has to look at next
}

// modelKey is a constant: what a random test draws must not change.
var modelKey = &Key{}

var modelTypes = []event.Type{event.BW, event.CIRC, event.INFO, "UNHEARD_OF"}

// faulty makes commits fail before or after they are written.
func (m *model) faulty(commit commitFunc) commitFunc {
	return func(c *change) (outcome, error) {
		kind := succeed
		if f := m.faults.Load(); f != nil && len(*f) > 0 {
			rest := (*f)[1:]
			kind = (*f)[0]
			m.faults.Store(&rest)
		}
		switch kind {
		case failAbsent:
			return outcome{}, errors.New("input/output error")
		case failPresent:
			if _, err := commit(c); err != nil {
				return outcome{}, err
			}
			return outcome{}, errors.New("input/output error, but it was written")
		}
		return commit(c)
	}
}

// faultyLog makes writes to the log fail likewise. A commit follows each.
func (m *model) faultyLog(log logFunc) logFunc {
	return func(turn logTurn) error {
		kind := succeed
		if f := m.faults.Load(); f != nil && len(*f) > 0 {
			kind = (*f)[0]
		}
		if kind == failAbsent {
			return errors.New("input/output error")
		}
		if err := log(turn); err != nil || kind == succeed {
			return err
		}
		return errors.New("input/output error, but it was written")
	}
}

func (m *model) open(t *rapid.T) {
	m.opt.clocks = m.clock.since(m.clock.Now())
	j, err := Open(m.path, m.opt)
	if err != nil {
		t.Fatal(err)
	}
	m.j = j
	m.wall.Store(m.opt.MaxSize)
	m.watch(t)
}

// watch looks at the size of the file at every write.
func (m *model) watch(t *rapid.T) {
	err := m.j.inWriter(context.Background(), func(w *writer) error {
		file := m.j.store.file
		look := func(b []byte, off int64) error {
			info, err := file.Stat()
			if err != nil || info.Size() > m.wall.Load() || off+int64(len(b)) > m.wall.Load() {
				m.over.Store(max(info.Size(), off+int64(len(b))))
			}
			return nil
		}
		writeHook(t, m.j.store.db, func(b []byte, off int64) error {
			m.tape.note(m.j, b, off, kindOf(m.j.store.db, off))
			return look(b, off)
		})
		m.j.store.beforeLog = func(b []byte, off int64) error {
			m.tape.note(m.j, b, off, kindInLog(w, off))
			return look(b, off)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) passTime(t *rapid.T) {
	m.clock.step(time.Duration(rapid.IntRange(1, 50).Draw(t, "minutes")) * time.Minute)
}

func (m *model) vacuum(t *rapid.T) {
	l := Limits{
		MaxSize: rapid.SampledFrom([]int64{0, 0, MinMaxSize, 3 << 19}).Draw(t, "vacuum to"),
		MaxAge:  rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Minute}).Draw(t, "vacuum age"),
	}
	m.vacuumTo(t, l)
}

func (m *model) vacuumTo(t *rapid.T, l Limits) {
	m.flush(t)
	m.faults.Store(nil)
	before := m.bounds(t).First
	v, err := m.j.Vacuum(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	m.watch(t)
	m.wall.Store(m.j.Limits().MaxSize)
	if v.First < before || v.Last != uint64(len(m.records)) || v.After > m.wall.Load() || l.MaxSize != 0 && v.After > l.MaxSize {
		t.Fatalf("%+v after a vacuum to %+v, the journal began with %d and ends with %d", v, l, before, len(m.records))
	}
	for _, age := range []time.Duration{l.MaxAge, m.opt.MaxAge} {
		if age == 0 || v.First > v.Last {
			continue
		}
		// Whole batches go: the first one that is left has something younger.
		err := m.j.store.view(func(tx *txn) error {
			h, _, ok, err := oldest(tx)
			if ok && time.UnixMicro(h.maxTime).Before(m.clock.Now().Add(-age)) {
				t.Fatalf("after a vacuum to %v records to %v are left at %v", age, time.UnixMicro(h.maxTime), m.clock.Now())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// setLimits changes the limits. A lower one holds after the vacuum.
func (m *model) setLimits(t *rapid.T) {
	m.flush(t)
	m.faults.Store(nil)
	l := Limits{
		MaxSize: rapid.SampledFrom([]int64{MinMaxSize, 3 << 19, 2 << 20}).Draw(t, "max size"),
		MaxAge:  rapid.SampledFrom([]time.Duration{0, time.Hour, 3 * time.Hour}).Draw(t, "max age"),
	}
	m.wall.Store(max(m.wall.Load(), l.MaxSize))
	if err := m.j.SetLimits(context.Background(), l); err != nil {
		t.Fatal(err)
	}
	m.opt.MaxSize, m.opt.MaxAge = l.MaxSize, l.MaxAge
	if info, err := os.Stat(m.path); err != nil || info.Size() > l.MaxSize {
		m.vacuumTo(t, Limits{})
	} else {
		m.wall.Store(l.MaxSize)
	}
}

func (m *model) close(t *rapid.T) {
	for _, c := range m.cursors {
		c.c.Close()
	}
	m.cursors = nil
	m.faults.Store(nil)
	if err := m.j.Close(); err != nil {
		t.Fatal(err)
	}
	m.j = nil
	v, err := Verify(m.path, m.opt.Key)
	if err != nil {
		t.Fatal(err)
	}
	m.compareSums(t)
	if v.Records > 0 && v.Last != uint64(len(m.records)) || v.Records != 0 && v.First < m.first {
		t.Fatalf("the file holds %d to %d, want %d to %d", v.First, v.Last, m.first, len(m.records))
	}
}

// compareSums: every BW event that was ever recorded is in a sum or in the
// tail, once.
func (m *model) compareSums(t *rapid.T) {
	f, err := OpenFile(m.path, m.opt.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stored, err := f.Rollups(context.Background(), time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := stored.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for _, steps := range [][]Rollup{got.Minutes, got.Hours} {
		var want, sum stepSum
		for _, r := range m.records[:got.Last] {
			if bw, ok := parseBW(r.Wire); ok && r.Type == event.BW {
				want.merge(&bw)
			}
		}
		for _, r := range steps {
			sum.merge(&stepSum{0, r.Seconds, r.Read, r.Written, r.PeakRead, r.PeakWritten})
		}
		if sum != want {
			t.Fatalf("the sum of records 1 to %d is %+v, want %+v", got.Last, sum, want)
		}
	}
}

func parseBW(wire []byte) (s stepSum, ok bool) {
	n, _ := fmt.Sscanf(string(wire), "650 BW %d %d\r\n", &s.read, &s.written)
	return stepSum{0, 1, s.read, s.written, s.read, s.written}, n == 2
}

func (m *model) reopen(t *rapid.T) {
	m.close(t)
	m.open(t)
}

func (m *model) add(t *rapid.T, wires ...string) {
	var evs []event.Event
	for _, w := range wires {
		ev := event.NewRaw([]byte(w))
		if rapid.IntRange(0, 9).Draw(t, "live") == 0 {
			evs = append(evs, event.Live{Event: ev})
			continue
		}
		evs = append(evs, ev)
		m.records = append(m.records, Record{Seq: uint64(len(m.records) + 1), Session: m.session, Type: ev.Name, Wire: []byte(w)})
	}
	if err := m.j.Append(context.Background(), evs...); err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 2).Draw(t, "flush") == 0 {
		m.flush(t)
	}
}

func (m *model) flush(t *rapid.T) {
	if err := m.j.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (m *model) append(t *rapid.T) {
	var wires []string
	for range rapid.IntRange(1, 30).Draw(t, "n") {
		typ := rapid.SampledFrom(modelTypes).Draw(t, "type")
		wires = append(wires, fmt.Sprintf("650 %s %d %d\r\n", typ, len(m.records)+len(wires), len(wires)))
	}
	m.add(t, wires...)
}

func (m *model) appendBig(t *rapid.T) {
	var wires []string
	for range rapid.IntRange(1, 12).Draw(t, "n") {
		size := rapid.IntRange(1, 60<<10).Draw(t, "size")
		n := len(m.records) + len(wires)
		wires = append(wires, fmt.Sprintf("650 CIRC %d %s\r\n", n, noise(n, size)))
	}
	m.add(t, wires...)
}

// noise returns text that does not compress below a half.
func noise(seed, size int) string {
	x := uint64(seed)*2654435769 + 1
	var b strings.Builder
	for b.Len() < size {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()
}

func (m *model) beginSession(t *rapid.T) {
	id, continued, err := m.j.BeginSession(context.Background(), event.Source{Name: "tor", PID: int(m.session) + 1})
	if err != nil || continued || id != m.session+1 {
		t.Fatalf("session %d, continued %v, %v; want %d", id, continued, err, m.session+1)
	}
	m.session = id
}

func (m *model) failNext(t *rapid.T) {
	// Never two after each other: that is an outage, and TestOutageModel's.
	var kinds []failKind
	for _, k := range rapid.SliceOfN(rapid.SampledFrom([]failKind{succeed, failAbsent, failPresent}), 1, 3).Draw(t, "faults") {
		kinds = append(kinds, succeed, k)
	}
	m.faults.Store(&kinds)
}

func (m *model) newCursor(t *rapid.T) {
	if len(m.cursors) >= 6 {
		m.cursors[0].c.Close()
		m.cursors = m.cursors[1:]
	}
	m.flush(t)
	c := &modelCursor{types: drawTypes(t)}
	from := uint64(rapid.IntRange(0, len(m.records)+3).Draw(t, "from"))
	c.c = m.j.NewCursor(from, c.types)
	if c.next = from; from == 0 {
		c.next = uint64(len(m.records) + 1)
	}
	m.cursors = append(m.cursors, c)
}

func drawTypes(t *rapid.T) event.Set {
	if rapid.Bool().Draw(t, "all types") {
		return event.AllTypes()
	}
	return event.NewSet(rapid.SliceOfDistinct(rapid.SampledFrom(modelTypes), rapid.ID).Draw(t, "types")...)
}

func (m *model) pick(t *rapid.T) *modelCursor {
	if len(m.cursors) == 0 {
		t.Skip("no cursor")
	}
	return m.cursors[rapid.IntRange(0, len(m.cursors)-1).Draw(t, "cursor")]
}

// next takes one chunk from c and compares it. It reports whether there was
// anything.
func (m *model) next(t *rapid.T, c *modelCursor) bool {
	ch, err := c.c.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if ch.Gap != nil {
		// It may have passed over records of other types already.
		if ch.Gap.From < c.next || ch.Gap.From > m.skip(c) || ch.Gap.To < ch.Gap.From || ch.Gap.To > uint64(len(m.records)) {
			t.Fatalf("gap %+v for a cursor at %d", *ch.Gap, c.next)
		}
		c.next = ch.Gap.To + 1
	}
	for _, r := range ch.Records {
		if r.Seq == 0 {
			continue // live only
		}
		c.next = m.skip(c)
		if r.Seq != c.next {
			t.Fatalf("record %d, want %d", r.Seq, c.next)
		}
		m.compare(t, r)
		c.next++
	}
	return !ch.empty()
}

// skip returns the next number that c wants.
func (m *model) skip(c *modelCursor) uint64 {
	n := c.next
	for n <= uint64(len(m.records)) && !c.types.Has(m.records[n-1].Type) {
		n++
	}
	return n
}

func (m *model) compare(t *rapid.T, r Record) {
	want := m.records[r.Seq-1]
	if string(r.Wire) != string(want.Wire) || r.Type != want.Type || r.Session != want.Session {
		t.Fatalf("record %d of session %d is %.40q, want session %d, %.40q", r.Seq, r.Session, r.Wire, want.Session, want.Wire)
	}
}

func (m *model) readCursor(t *rapid.T) { m.next(t, m.pick(t)) }

func (m *model) drainCursor(t *rapid.T) {
	c := m.pick(t)
	m.flush(t)
	m.drain(t, c)
}

func (m *model) drain(t *rapid.T, c *modelCursor) {
	for m.next(t, c) {
	}
	if n := m.skip(c); n <= uint64(len(m.records)) {
		t.Fatalf("nothing more comes, but record %d is wanted", n)
	}
	c.next = max(c.next, uint64(len(m.records)+1))
}

func (m *model) setTypes(t *rapid.T) {
	c := m.pick(t)
	m.flush(t)
	m.drain(t, c)
	c.types = drawTypes(t)
	c.c.SetTypes(c.types)
}

func (m *model) readRange(t *rapid.T) {
	m.flush(t)
	r := Range{Types: drawTypes(t), Session: uint64(rapid.IntRange(0, int(m.session)).Draw(t, "session"))}
	r.From = uint64(rapid.IntRange(0, len(m.records)+1).Draw(t, "from"))
	r.To = uint64(rapid.IntRange(0, len(m.records)+1).Draw(t, "to"))
	var got, want []uint64
	before := m.bounds(t).First
	for rec, err := range Records(context.Background(), m.j, r) {
		var gap *Gap
		if errors.As(err, &gap) {
			if gap.To >= m.bounds(t).First {
				t.Fatalf("gap %+v, but the journal begins with %d", *gap, m.first)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		m.compare(t, rec)
		if rec.Seq < before {
			t.Fatalf("record %d, but the journal begins with %d", rec.Seq, before)
		}
		got = append(got, rec.Seq)
	}
	// A block that is sealed meanwhile may evict another one.
	after := m.bounds(t).First
	got = slices.DeleteFunc(got, func(seq uint64) bool { return seq < after })
	for i := range m.records {
		if rec := &m.records[i]; rec.Seq >= after && r.Match(rec) {
			want = append(want, rec.Seq)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("range %+v: %v, want %v", r, got, want)
	}
}

// bounds returns what the journal holds; if that is nothing, First is the
// number that comes next.
func (m *model) bounds(t *rapid.T) Bounds {
	b, err := m.j.Bounds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if b.Last == 0 {
		b.First = uint64(len(m.records) + 1)
	}
	m.first = b.First
	return b
}

func (m *model) check(t *rapid.T) {
	if info, err := os.Stat(m.path); err != nil || info.Size() > m.opt.MaxSize {
		t.Fatalf("the file has %d bytes, %v", info.Size(), err)
	}
	if n := m.over.Load(); n != 0 {
		t.Fatalf("at a write the file had %d bytes", n)
	}
	old := m.first
	m.flush(t)
	if b := m.bounds(t); b.First < old || b.Last != uint64(len(m.records)) && b.Last != 0 {
		t.Fatalf("bounds %+v after %d records, first was %d", b, len(m.records), old)
	}
}
