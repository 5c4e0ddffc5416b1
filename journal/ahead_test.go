package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"torjournal/tor/event"
)

// several is a Reader that is decoded ahead.
type several struct {
	Reader
	n int
}

func (s several) Decoders() int { return s.n }

// spoilt is a Reader that gives up records, and damages a batch, as they would
// be found by who comes to them at some time.
type spoilt struct {
	Reader
	given  uint64 // records up to this one are gone
	broken uint64 // a batch that holds it is damaged; 0: none is
	fails  uint64 // fetching it is an error; 0: none is
}

var errSpoilt = errors.New("the disk is on fire")

func (s *spoilt) Fetch(ctx context.Context, seq uint64, r Range) (Stored, error) {
	from := seq
	if seq > 200 { // some were read before the ring took them
		seq = max(seq, s.given+1)
	}
	st, err := s.Reader.Fetch(ctx, seq, r)
	if err != nil {
		return st, err
	}
	if s.fails != 0 && st.Last >= s.fails {
		return Stored{}, errSpoilt
	}
	if from < seq {
		st.From = max(st.From, seq)
	}
	if st.First <= s.broken && s.broken <= st.Last && len(st.Data) > 0 {
		st.Data = bytes.Clone(st.Data)
		st.Data[len(st.Data)-1] ^= 1
	}
	return st, nil
}

// telling is a Maker that only looks at the records.
type telling func(*Record)

func (tell telling) Make(r *Record) (_ struct{}) {
	tell(r)
	return
}
func (telling) Again() {}

// notes are a Maker whose room is used again.
type notes struct{ made []*string }

func (n *notes) Make(r *Record) *string {
	s := fmt.Sprint(r.Seq, string(r.Wire))
	n.made = append(n.made, &s)
	return &s
}

func (n *notes) Again() {
	for _, s := range n.made {
		*s = "spoilt"
	}
	n.made = n.made[:0]
}

// toldBy writes down what a walk yields, up to most of it.
func toldBy(ctx context.Context, rd Reader, r Range, most int) (out []string) {
	for m, err := range Making(ctx, rd, r, func() Maker[*string] { return new(notes) }) {
		if len(out) == most {
			break
		}
		if err != nil {
			out = append(out, err.Error())
		} else {
			out = append(out, fmt.Sprint(m.Seq, m.Session, m.Time, m.Type, string(m.Wire), *m.As))
		}
	}
	return out
}

// A walk that is decoded ahead tells the same as one that is not, whatever is
// asked for, gone or damaged, and wherever it is ended.
func TestDecodedAheadIsTheSame(t *testing.T) {
	path := talked(t, nil)
	f := openFileTest(t, path, nil)
	all := readRange(t, f, Range{})
	last := uint64(len(all))
	for _, s := range []*spoilt{{}, {given: last / 2}, {broken: last * 2 / 3}, {fails: last * 3 / 4}} {
		s.Reader = f
		if got, want := toldBy(within(t), several{s, 2}, Range{}, len(all)+9), toldBy(within(t), s, Range{}, len(all)+9); !slices.Equal(got, want) || len(got) < len(all)/2 {
			t.Errorf("%+v: %d told, want %d", s, len(got), len(want))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		// What rapid draws is mostly small; these lie all over the journal.
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		number := func(name string) (n uint64) {
			if rnd.IntN(3) == 0 {
				n = 1 + rnd.Uint64N(last+10)
			}
			t.Logf("%s: %d", name, n)
			return n
		}
		s := &spoilt{Reader: f, given: number("given"), broken: number("broken"), fails: number("fails")}
		r := Range{From: number("from"), To: number("to")}
		if n := number("since"); n > 0 {
			r.Since = all[min(n, last)-1].Time
		}
		if n := number("until"); n > 0 {
			r.Until = all[min(n, last)-1].Time.Add(time.Microsecond)
		}
		r.Types = event.NewSet(rapid.SliceOfN(rapid.SampledFrom([]event.Type{event.CIRC, event.STREAM, event.BW, event.CIRC_BW, event.NOTICE}), 0, 3).Draw(t, "types")...)
		if rnd.IntN(4) == 0 {
			r.Circuit = fmt.Sprint(rapid.IntRange(1, 400).Draw(t, "circuit"))
		}
		most := []int{rnd.IntN(len(all)), 2 * len(all)}[rnd.IntN(2)]
		want := toldBy(context.Background(), s, r, most)
		got := toldBy(context.Background(), several{s, rapid.IntRange(2, 6).Draw(t, "decoders")}, r, most)
		if !slices.Equal(got, want) {
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			t.Fatalf("%d told, want %d; at %d %q, want %q", len(got), len(want), i, got[i:min(len(got), i+1)], want[i:min(len(want), i+1)])
		}
	})
}

// What Records yields is there for as long as somebody keeps it.
func TestRecordsMayBeKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog, sealBytes: 256 << 10})
	for part := range slices.Chunk(talk(100_000), 1000) {
		appendAll(t, j, part...)
	}
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	closeTest(t, j)
	f := openFileTest(t, path, nil)
	var kept, then []Record
	for rec, err := range Records(t.Context(), several{f, 2}, Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, rec)
		rec.Wire = bytes.Clone(rec.Wire)
		then = append(then, rec)
	}
	for i := range kept {
		if !bytes.Equal(kept[i].Wire, then[i].Wire) {
			t.Fatalf("record %d of %d was %q and is %q", kept[i].Seq, len(kept), then[i].Wire, kept[i].Wire)
		}
	}
}

// Who ends his context gets an error, and never a part for the whole.
func TestDecodingAheadEndsWithItsContext(t *testing.T) {
	f := openFileTest(t, talked(t, nil), nil)
	n := len(readRange(t, f, Range{}))
	for _, at := range []int{1, n / 3, n / 2, n - 200} {
		ctx, cancel := context.WithCancel(within(t))
		got, err := 0, error(nil)
		for _, err = range Records(ctx, several{f, 3}, Range{To: uint64(n)}) {
			if err != nil {
				break
			}
			if got++; got == at {
				cancel()
			}
		}
		cancel()
		if err == nil && got != n || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("ended after %d: %d of %d records, %v", at, got, n, err)
		}
	}
}

// Also where that comes while the last block is decoded, and who walks is busy.
func TestDecodingTheLastBlockEndsWithItsContext(t *testing.T) {
	f := openFileTest(t, talked(t, nil), nil)
	var begins []uint64
	for next := uint64(1); ; {
		st, err := f.Fetch(within(t), next, Range{})
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		begins, next = append(begins, st.First), st.Last+1
	}
	k := len(begins)
	b, err := f.Bounds(within(t))
	if err != nil {
		t.Fatal(err)
	}
	r := Range{From: begins[k-3], To: b.Last} // the first of these is not decoded ahead
	want := int(r.To - r.From + 1)
	for range 100 {
		ctx, cancel := context.WithCancel(within(t))
		last := make(chan struct{})
		got, err := 0, error(nil)
		tell := telling(func(rec *Record) {
			if rec.Seq == r.To {
				cancel()
				close(last)
			}
		})
		for m, e := range Making(ctx, several{f, 3}, r, func() Maker[struct{}] { return tell }) {
			if err = e; err != nil {
				break
			}
			if got++; m.Seq == begins[k-2] {
				<-last
			}
		}
		cancel()
		if err == nil && got != want || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("%d of %d records, %v", got, want, err)
		}
	}
}

// Lines lie in room that is used again, but not before the walk has passed them:
// blocks have more portions than there are buffers, and more buffers than one.
func TestDecodedAheadStandsUntilItIsPassed(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog, MaxSize: 32 << 20, sealBytes: 512 << 10})
	for part := range slices.Chunk(talk(scaled(60_000, 20_000)), 1000) {
		appendAll(t, j, part...)
		waitForSealer(t, j)
	}
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	all := readRange(t, j, Range{})
	for _, types := range []event.Set{{}, event.NewSet(event.CIRC), event.NewSet(event.STREAM, event.BW)} {
		r := Range{Types: types}
		var want []Record
		for _, rec := range all {
			if r.Match(&rec) {
				want = append(want, rec)
			}
		}
		n := 0
		for m, err := range Making(within(t), several{j, 3}, r, func() Maker[*string] { return new(notes) }) {
			if err != nil {
				t.Fatal(err)
			}
			if n == len(want) || m.Seq != want[n].Seq || !bytes.Equal(m.Wire, want[n].Wire) || *m.As != fmt.Sprint(m.Seq, string(m.Wire)) {
				t.Fatalf("record %d is %q, and %q was made of it; want %q", m.Seq, m.Wire, *m.As, want[min(n, len(want)-1)].Wire)
			}
			n++
		}
		if n != len(want) {
			t.Errorf("%d records, want %d", n, len(want))
		}
	}
}

// What is recorded while the end is read is read too, as without decoders.
func TestDecodingAheadGoesOnWithWhatComes(t *testing.T) {
	j := openTest(t, "", Options{walPages: noLog, MaxSize: 32 << 20, sealBytes: 8 << 10})
	for part := range slices.Chunk(talk(2000), 50) {
		appendAll(t, j, part...)
		waitForSealer(t, j)
	}
	n, more := 0, 0
	for m, err := range Records(within(t), several{j, 2}, Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if int(m.Seq) != n {
			t.Fatalf("record %d came as number %d", m.Seq, n)
		}
		b, err := j.Bounds(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Seq == b.Last && more < 3 {
			more++
			appendAll(t, j, raw("650 BW %d 7", more))
		}
	}
	if b, err := j.Bounds(within(t)); err != nil || uint64(n) != b.Last || more != 3 {
		t.Errorf("%d records of %d, %d came meanwhile, %v", n, b.Last, more, err)
	}
}

// heldBack is a Reader whose batches come when they are let go.
type heldBack struct {
	Reader
	asked chan uint64
	let   chan struct{}
}

func (h *heldBack) Fetch(ctx context.Context, seq uint64, r Range) (Stored, error) {
	select {
	case h.asked <- seq:
	case <-ctx.Done():
		return Stored{}, ctx.Err()
	}
	select {
	case <-h.let:
		return h.Reader.Fetch(ctx, seq, r)
	case <-ctx.Done():
		return Stored{}, ctx.Err()
	}
}

// A walk that ends in its first batch asks for no other; one that ends later
// waits for nobody but those that it ends.
func TestDecodingAheadBeginsWithTheSecondBatch(t *testing.T) {
	h := &heldBack{openFileTest(t, talked(t, nil), nil), make(chan uint64, 100), make(chan struct{}, 1)}
	h.let <- struct{}{} // one batch
	for rec, err := range Records(within(t), several{h, 2}, Range{}) {
		if err != nil || rec.Seq != 1 {
			t.Fatal(rec, err)
		}
		break
	}
	if len(h.asked) != 1 {
		t.Errorf("%d batches were asked for", len(h.asked))
	}
	h.let <- struct{}{}
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	go func() {
		<-h.asked
		<-h.asked
		<-h.asked // the second one of this walk is under way
		cancel()
	}()
	var err error
	for _, err = range Records(ctx, several{h, 2}, Range{}) {
		if err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// No walk has more than so many batches in memory.
func TestDecodingAheadIsBounded(t *testing.T) {
	f := openFileTest(t, talked(t, nil), nil)
	h := &heldBack{f, make(chan uint64, 1000), make(chan struct{}, 1000)}
	for range 1000 {
		h.let <- struct{}{}
	}
	const n = 2
	batches := 0 // that the walk has come to
	ends := map[uint64]bool{}
	for next := uint64(1); ; {
		st, err := f.Fetch(within(t), next, Range{})
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		ends[st.Last], next = true, st.Last+1
	}
	if len(ends) < 10 {
		t.Fatalf("%d batches: the test tests nothing", len(ends))
	}
	for rec, err := range Records(within(t), several{h, n}, Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		// Beside the one that is walked and one for each decoder one is fetched.
		if asked := len(h.asked); asked > batches+1+n+1+1 {
			t.Fatalf("%d batches were asked for while record %d of batch %d was walked", asked, rec.Seq, batches+1)
		}
		if ends[rec.Seq] {
			batches++
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	recs := corpusRecords(b)
	path := b.TempDir() + "/journal.db"
	j := openTest(b, path, Options{})
	for part := range slices.Chunk(slices.Repeat(recs, max(1, 200_000/len(recs))), 1000) {
		var past []Arrival
		for i := range part {
			past = append(past, Arrival{Time: part[i].Time, Wire: part[i].Wire})
		}
		if err := j.Import(within(b), past); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Pack(within(b)); err != nil {
		b.Fatal(err)
	}
	closeTest(b, j)
	f := openFileTest(b, path, nil)
	for _, c := range []struct {
		name string
		rd   Reader
	}{{"serial", f}, {"ahead", several{f, 2}}} {
		b.Run(c.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				for _, err := range Records(b.Context(), c.rd, Range{}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
