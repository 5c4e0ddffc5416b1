package journal

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"sync"
)

// A walk over many blocks costs mostly their decoding, and what is made of each
// record. Both can be done ahead of who walks, by several processors:
//
//	fetch ─▶ decode ─┐
//	      ─▶ decode ─┼─▶ the walk takes the blocks in the order of their fetching
//	      ─▶ …      ─┘
//
// One goroutine fetches, some decode, each a whole block in portions, and the
// walk goes from one block's portions to the next's. No more blocks are under way
// than one for each decoder, and the one that is walked; so memory is bounded. The
// first batch is decoded by the walk itself: who wants one record starts nothing.
// What ends early, the walk or its context, ends all, and the walk returns when
// they have ended.

// Parallel is a Reader whose records may be decoded ahead, by so many goroutines
// at once, and that may be used by several.
type Parallel interface {
	Reader
	Decoders() int
}

// maxDecoders bounds the blocks that are decoded ahead. Each may take 4 MiB of
// records, 80 bytes beside each, and what is made of them. = 4 × about 15 MiB.
const maxDecoders = 4

// Decoders returns how many decoders a program may have that does nothing else.
func Decoders() int { return min(runtime.GOMAXPROCS(0), maxDecoders) }

// portionRecords is how many records a decoder hands over at once.
const portionRecords = 256

// Made is a record and what was made of it.
type Made[T any] struct {
	Record
	As T
}

// Maker makes something of records, for one goroutine at a time.
type Maker[T any] interface {
	// Make makes it of one record, which is Make's to read and not to keep;
	// but what it makes may be of parts of its Wire.
	Make(*Record) T

	// Again says that nothing of what was made since it was called last is
	// used any more: what that took may be used again.
	Again()
}

// LineMaker is a Maker that is told how the lines of some records were put together,
// and makes the same of them as Make.
type LineMaker[T any] interface {
	Maker[T]
	MakeOf(*Record, *Line) T
}

// makerOf returns what makes something of a record that may have no Line.
func makerOf[T any](m Maker[T]) func(*Record, *Line) T {
	of, ok := m.(LineMaker[T])
	if !ok {
		return func(rec *Record, _ *Line) T { return m.Make(rec) }
	}
	return func(rec *Record, line *Line) T {
		if line == nil {
			return m.Make(rec)
		}
		return of.MakeOf(rec, line)
	}
}

// Making is Records with what a Maker makes of each record. There may be many
// of them: they work ahead of the walk, and on records that the walk does not
// come to any more. What is yielded, the Wire and what it was made to, is there
// until the walk goes on.
func Making[T any](ctx context.Context, rd Reader, r Range, maker func() Maker[T]) iter.Seq2[*Made[T], error] {
	return making(ctx, rd, r, maker, true)
}

// making is Making; again says whether wire forms that the walk has passed may be
// written over, and whether Makers look at a Line.
func making[T any](ctx context.Context, rd Reader, r Range, maker func() Maker[T], again bool) iter.Seq2[*Made[T], error] {
	return func(yield func(*Made[T], error) bool) {
		w := walk[T]{rd: rd, r: r, maker: maker, again: again, yield: yield, next: max(r.From, 1)}
		p, ok := rd.(Parallel)
		for w.more() {
			st, err := rd.Fetch(ctx, w.next, r)
			if !w.begin(st, err) || !w.each(st) {
				return
			}
			if n := Decoders(); ok && n > 1 && p.Decoders() > 1 && w.more() && len(st.Data) > 0 {
				if !w.ahead(ctx, min(n, p.Decoders())) {
					return
				}
			}
		}
	}
}

// walk is one walk over the records of a range.
type walk[T any] struct {
	rd    Reader
	r     Range
	maker func() Maker[T]
	again bool
	yield func(*Made[T], error) bool
	next  uint64 // number of the record to look at next
	made  Made[T]
	own   Maker[T]               // of what is not made ahead; nil: not needed so far
	of    func(*Record, *Line) T // own's
}

func (w *walk[T]) more() bool { return w.r.To == 0 || w.next <= w.r.To }

// begin takes an answer to a Fetch of the next number, and tells what is missing
// before it. It reports whether the walk goes on.
func (w *walk[T]) begin(st Stored, err error) bool {
	if errors.Is(err, io.EOF) {
		return false
	}
	if err != nil {
		w.yield(new(Made[T]), err)
		return false
	}
	// A range that names no first number begins with what there is.
	return st.From <= w.next || w.next == 1 && w.r.From == 0 || w.yield(new(Made[T]), &Gap{From: w.next, To: st.From - 1})
}

// rest is what of the range is not walked yet.
func (w *walk[T]) rest() Range {
	r := w.r
	r.From = w.next
	return r
}

// each walks the records of a batch. It reports whether the walk goes on.
func (w *walk[T]) each(st Stored) bool {
	if w.own == nil {
		w.own = w.maker()
		w.of = makerOf(w.own)
	}
	more := true
	err := st.each(w.rest(), w.again, nil, func(rec *Record, line *Line) bool {
		w.made.Record, w.made.As = *rec, w.of(rec, line)
		more = w.yield(&w.made, nil)
		w.own.Again()
		return more
	})
	if err != nil {
		w.yield(new(Made[T]), err)
		return false
	}
	w.next = st.Last + 1
	return more
}

// job is a batch that is decoded ahead.
type job[T any] struct {
	// immutable
	st     Stored
	r      Range // what of it is wanted
	failed error // of the Fetch: there is nothing to decode

	out chan *portion[T] // closed by the decoder
	bad error            // of the decoding; set before out is closed
}

// portion is some records that a decoder hands over at once.
type portion[T any] struct {
	made  []Made[T]
	maker Maker[T]               // of these
	of    func(*Record, *Line) T // maker's
	wires [][]byte               // buffers of wire forms: those in which the last records are some of these, and free ones
}

// portions bounds what a decoder has done before somebody takes it: a block of the
// most records, so that no decoder waits within a usual one.
const portions = blockEvents/portionRecords + 1

// ahead walks on with n decoders, to the end of what there is now. It reports
// whether the walk goes on then.
func (w *walk[T]) ahead(ctx context.Context, n int) bool {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	order := make(chan *job[T], n) // fetched, in order; one more is being walked
	work := make(chan *job[T])
	spare := make(chan *portion[T], portions)
	all.Go(func() {
		defer close(order)
		defer close(work)
		w.fetch(ctx, w.rest(), order, work)
	})
	for range n {
		all.Go(func() {
			for j := range work {
				j.decode(ctx, w.maker, w.again, spare)
			}
		})
	}
	for j := range order {
		if errors.Is(j.failed, io.EOF) {
			return true // by now there may be more
		}
		if !w.begin(j.st, j.failed) || !w.take(ctx, j, spare) {
			return false
		}
	}
	// The fetching ends only with the range, an answer that was taken above, or ctx.
	if err := ctx.Err(); err != nil && w.more() {
		w.yield(new(Made[T]), err)
		return false
	}
	return true
}

// fetch asks for one batch after the other and hands them on.
func (w *walk[T]) fetch(ctx context.Context, r Range, order, work chan<- *job[T]) {
	for next := r.From; r.To == 0 || next <= r.To; {
		st, err := w.rd.Fetch(ctx, next, w.r)
		j := &job[T]{st: st, r: r, failed: err, out: make(chan *portion[T], portions)}
		j.r.From = next
		select {
		case order <- j:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case work <- j:
		case <-ctx.Done():
			return
		}
		next = st.Last + 1
	}
}

// decode makes portions of a batch.
func (j *job[T]) decode(ctx context.Context, maker func() Maker[T], again bool, spare <-chan *portion[T]) {
	defer close(j.out)
	var part *portion[T]
	var wires wireRoom
	begin := func() {
		if part != nil {
			return
		}
		select {
		case part = <-spare:
			wires.free, part.wires = append(wires.free, part.wires...), part.wires[:0]
		default:
			m := maker()
			part = &portion[T]{made: make([]Made[T], 0, portionRecords), maker: m, of: makerOf(m)}
		}
	}
	send := func() bool {
		select {
		case j.out <- part:
			part = nil
			return true
		case <-ctx.Done():
			return false
		}
	}
	var room func(n int) []byte
	if again {
		room = func(n int) []byte {
			begin()
			part.wires = wires.full(part.wires)
			return wires.next(n)
		}
	}
	err := j.st.each(j.r, again, room, func(rec *Record, line *Line) bool {
		begin()
		n := len(part.made)
		part.made = part.made[:n+1]
		part.made[n].Record, part.made[n].As = *rec, part.of(rec, line)
		return len(part.made) < portionRecords || send()
	})
	if wires.some() {
		begin()
		part.wires = append(wires.full(part.wires), wires.free...)
	}
	if part != nil && !send() {
		return
	}
	j.bad = err
}

// wireRoom is where a decoder puts wire forms: into one buffer after the other.
// One that is full goes with the portion that has its last records, or a later
// one: once that was walked, so were all that have some of them.
type wireRoom struct {
	now  []byte
	free [][]byte
}

// A buffer has wiresLeast at least, so that it serves for a usual portion again,
// and is not used again if it has more than wiresKept, as one event may need.
const (
	wiresLeast = 32 << 10
	wiresKept  = 256 << 10
)

// full appends the buffer that is full.
func (w *wireRoom) full(to [][]byte) [][]byte {
	if n := len(w.now); n > 0 && n <= wiresKept {
		to = append(to, w.now)
	}
	w.now = nil
	return to
}

// next returns a buffer of at least n bytes.
func (w *wireRoom) next(n int) []byte {
	if last := len(w.free) - 1; last >= 0 {
		w.now, w.free = w.free[last], w.free[:last]
	}
	if len(w.now) < n {
		w.now = make([]byte, max(n, wiresLeast))
	}
	return w.now
}

func (w *wireRoom) some() bool { return w.now != nil || len(w.free) > 0 }

// take walks what was decoded of a batch.
func (w *walk[T]) take(ctx context.Context, j *job[T], spare chan<- *portion[T]) bool {
	for {
		var part *portion[T]
		ok := false
		select {
		case part, ok = <-j.out:
		case <-ctx.Done():
			w.yield(new(Made[T]), ctx.Err())
			return false
		}
		if !ok {
			break
		}
		for i := range part.made {
			if !w.yield(&part.made[i], nil) {
				return false
			}
		}
		clear(part.made)
		part.made = part.made[:0]
		part.maker.Again()
		select {
		case spare <- part:
		default:
		}
	}
	err := j.bad
	if err == nil {
		err = ctx.Err() // then it may not be whole
	}
	if err != nil {
		w.yield(new(Made[T]), err)
		return false
	}
	w.next = j.st.Last + 1
	return true
}
