package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"torjournal/journal"
	"torjournal/tor/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// tape is a journal in memory whose records lie in batches as a test wants
// them. Its index skips batches by type and time, as a journal's does.
type tape struct {
	mu      sync.Mutex
	recs    []journal.Record // mu; record n at n-1, evicted ones too
	evicted uint64           // mu; records up to this number are gone
	cuts    []uint64         // mu; last numbers of the batches, ascending
	grown   chan struct{}    // mu; closed and replaced when something is added
	fetched int              // mu; calls of Fetch

	onFetch func(t *tape, call int) // called with mu held, before Fetch looks
}

// newTape returns a tape of n records, one a second, in batches of the given
// size; every tenth is a CIRC, the others are BW.
func newTape(n, size int) *tape {
	t := &tape{grown: make(chan struct{})}
	for i := 1; i <= n; i++ {
		t.push(i%10 == 0, i%size == 0 || i == n)
	}
	return t
}

func (t *tape) push(circ, cut bool) {
	seq := uint64(len(t.recs) + 1)
	typ := event.BW
	if circ {
		typ = event.CIRC
	}
	t.recs = append(t.recs, journal.Record{Seq: seq, Session: 1, Time: at(int(seq)), Type: typ})
	if cut {
		t.cuts = append(t.cuts, seq)
	}
}

// add appends one record as a batch of its own and wakes who waits.
func (t *tape) add(circ bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.push(circ, true)
	close(t.grown)
	t.grown = make(chan struct{})
}

// evict removes the batches up to the one that holds seq.
func (t *tape) evict(seq uint64) {
	i, _ := slices.BinarySearch(t.cuts, seq)
	t.evicted, t.cuts = t.cuts[i], t.cuts[i+1:]
}

// seal makes one batch of all batches that begin before seq.
func (t *tape) seal(seq uint64) {
	i, _ := slices.BinarySearch(t.cuts, seq)
	t.cuts = t.cuts[i:]
}

func (t *tape) Fetch(ctx context.Context, seq uint64, r journal.Range) (journal.Stored, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fetched++
	if t.onFetch != nil {
		t.onFetch(t, t.fetched)
	}
	r.From, r.To = 0, 0 // an index does not know single numbers
	first := t.evicted + 1
	for _, last := range t.cuts {
		if last >= seq && slices.ContainsFunc(t.recs[first-1:last], func(rec journal.Record) bool { return r.Match(&rec) }) {
			return journal.Stored{From: max(seq, t.evicted+1), First: first, Last: last}, ctx.Err()
		}
		first = last + 1
	}
	return journal.Stored{}, io.EOF
}

// each is Stored.Each for what Fetch returned.
func (t *tape) each(st journal.Stored, r journal.Range, visit func(*journal.Record) bool) error {
	t.mu.Lock()
	recs := slices.Clone(t.recs[st.First-1 : st.Last])
	t.mu.Unlock()
	for i := range recs {
		if r.Match(&recs[i]) && !visit(&recs[i]) {
			return nil
		}
	}
	return nil
}

// last returns the newest number.
func (t *tape) last() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return uint64(len(t.recs))
}

func (t *tape) Wait(ctx context.Context, seq uint64) error {
	for {
		t.mu.Lock()
		grown := t.grown
		t.mu.Unlock()
		if t.last() >= seq {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (t *tape) Bounds(context.Context) (journal.Bounds, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.recs) == 0 {
		return journal.Bounds{}, nil
	}
	return journal.Bounds{First: t.evicted + 1, Last: uint64(len(t.recs))}, nil
}

func (t *tape) Sessions(context.Context) ([]journal.Session, error) {
	return []journal.Session{{ID: 1, First: 1}}, nil
}

// heard is what Play told, as text: numbers, and gaps in brackets.
type heard struct {
	mu    sync.Mutex
	words []string // mu
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.words = append(h.words, fmt.Sprintf(format, args...))
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.words, " ")
}

func (h *heard) emit(r journal.Record) error { h.add("%d", r.Seq); return nil }
func (h *heard) gap(g journal.Gap) error     { h.add("[%d-%d]", g.From, g.To); return nil }

func play(t *testing.T, tp *tape, opt Options) string {
	t.Helper()
	opt.each = tp.each
	var h heard
	if err := Play(t.Context(), tp, opt, h.emit, h.gap); err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func at(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }

func numbers(from, to, step int) string {
	var w []string
	for i := from; step > 0 && i <= to || step < 0 && i >= to; i += step {
		w = append(w, fmt.Sprint(i))
	}
	return strings.Join(w, " ")
}

func TestPlay(t *testing.T) {
	circ := event.NewSet(event.CIRC)
	odd := func(r *journal.Record) bool { return r.Seq%2 == 1 }
	f := func(name string, opt Options, want string) {
		t.Helper()
		for _, size := range []int{1, 3, 10, 64, 100} {
			if got := play(t, newTape(100, size), opt); got != want {
				t.Errorf("%s, batches of %d:\n\tgot  %s\n\twant %s", name, size, got, want)
			}
		}
	}
	f("all", Options{}, numbers(1, 100, 1))
	f("types", Options{Range: journal.Range{Types: circ}}, numbers(10, 100, 10))
	f("numbers", Options{Range: journal.Range{From: 5, To: 8}}, "5 6 7 8")
	f("times", Options{Range: journal.Range{Since: at(5), Until: at(8)}}, "5 6 7")
	f("kept", Options{Range: journal.Range{To: 6}, Keep: odd}, "1 3 5")
	f("nothing", Options{Range: journal.Range{Since: at(200)}}, "")
	f("nothing by number", Options{Range: journal.Range{From: 200}}, "")

	f("last", Options{Last: 3}, "98 99 100")
	f("last of a type", Options{Last: 3, Range: journal.Range{Types: circ}}, "80 90 100")
	f("last before a time", Options{Last: 2, Range: journal.Range{Until: at(51), Types: circ}}, "40 50")
	f("last kept", Options{Last: 2, Range: journal.Range{Until: at(51)}, Keep: odd}, "47 49")
	f("fewer than asked for", Options{Last: 30, Range: journal.Range{Types: circ}}, numbers(10, 100, 10))
	f("fewer since", Options{Last: 30, Range: journal.Range{Since: at(97)}}, "97 98 99 100")
	f("as many as there are", Options{Last: 4, Range: journal.Range{Since: at(97)}}, "97 98 99 100")
	f("last of nothing", Options{Last: 3, Range: journal.Range{Since: at(200)}}, "")

	f("reverse", Options{Reverse: true}, numbers(100, 1, -1))
	f("reverse types", Options{Reverse: true, Range: journal.Range{Types: circ}}, numbers(100, 10, -10))
	f("reverse last", Options{Reverse: true, Last: 3}, "100 99 98")
	f("reverse range", Options{Reverse: true, Range: journal.Range{Since: at(5), Until: at(8)}}, "7 6 5")
	f("reverse numbers", Options{Reverse: true, Range: journal.Range{From: 5, To: 8}}, "8 7 6 5")
}

func TestPlayEmpty(t *testing.T) {
	for _, opt := range []Options{{}, {Last: 3}, {Reverse: true}} {
		var h heard
		if err := Play(t.Context(), &tape{}, opt, h.emit, h.gap); err != nil || h.String() != "" {
			t.Errorf("%+v: %q, %v", opt, h.String(), err)
		}
	}
}

func TestPlayRefuses(t *testing.T) {
	for _, opt := range []Options{{Speed: -1}, {Reverse: true, Follow: true}, {Reverse: true, Speed: 1}, {Last: -1}} {
		if err := Play(t.Context(), newTape(1, 1), opt, nil, nil); err == nil {
			t.Errorf("%+v is no error", opt)
		}
	}
}

// Batches are sealed into larger ones and evicted while they are read.
func TestPlayWhileBatchesChange(t *testing.T) {
	tp := newTape(100, 2)
	tp.onFetch = func(tp *tape, call int) {
		if call == 10 {
			tp.seal(100)
		}
	}
	if got := play(t, tp, Options{}); got != numbers(1, 100, 1) {
		t.Errorf("sealed meanwhile: %s", got)
	}
	tp = newTape(100, 2)
	tp.onFetch = func(tp *tape, call int) {
		if call == 10 {
			tp.seal(100)
		}
	}
	if got := play(t, tp, Options{Reverse: true}); got != numbers(100, 1, -1) {
		t.Errorf("sealed meanwhile, backward: %s", got)
	}
	tp = newTape(20, 2)
	tp.onFetch = func(tp *tape, call int) {
		if call == 4 {
			tp.evict(12)
		}
	}
	if got, want := play(t, tp, Options{}), numbers(1, 6, 1)+" [7-12] "+numbers(13, 20, 1); got != want {
		t.Errorf("evicted meanwhile: %s, want %s", got, want)
	}
}

func TestGapAtTheBeginning(t *testing.T) {
	f := func(r journal.Range, want string) {
		t.Helper()
		tp := newTape(20, 2)
		tp.evict(10)
		if got := play(t, tp, Options{Range: r}); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
	f(journal.Range{}, numbers(11, 20, 1)) // it begins with what there is
	f(journal.Range{Since: at(5)}, numbers(11, 20, 1))
	f(journal.Range{From: 9}, "[9-10] "+numbers(11, 20, 1))
	f(journal.Range{From: 5, To: 7}, "[5-7]")
}

func TestErrorsEndIt(t *testing.T) {
	stop := errors.New("enough")
	tp := newTape(20, 5)
	tp.evict(5)
	opt := Options{Range: journal.Range{From: 2}, each: tp.each}
	n := 0
	err := Play(t.Context(), tp, opt, func(journal.Record) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	}, func(journal.Gap) error { return nil })
	if err != stop || n != 3 {
		t.Errorf("emit: %v after %d", err, n)
	}
	if err := Play(t.Context(), tp, opt, nil, func(journal.Gap) error { return stop }); err != stop {
		t.Errorf("gap: %v", err)
	}
}

// Records that come while it reads, also such as the range does not select.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, last := range []int{0, 2} {
			tp := newTape(20, 7)
			ctx, cancel := context.WithCancel(t.Context())
			opt := Options{Follow: true, Last: last, Range: journal.Range{Types: event.NewSet(event.CIRC)}, each: tp.each}
			var h heard
			done := make(chan error)
			go func() { done <- Play(ctx, tp, opt, h.emit, h.gap) }()
			for i := 21; i <= 60; i++ {
				synctest.Wait()
				tp.add(i%10 == 0)
			}
			synctest.Wait()
			if got, want := h.String(), numbers(10, 60, 10); got != want {
				t.Errorf("followed %s, want %s", got, want)
			}
			if tp.fetched > 160 {
				t.Errorf("%d fetches for 40 wake-ups", tp.fetched)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

// Each random interleaving of reading with growth and sealing tells all, once.
func TestFollowNeverSkipsNorRepeats(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const end = 120
		tp := newTape(1+rnd.IntN(40), 1+rnd.IntN(9))
		tp.onFetch = func(tp *tape, call int) {
			for range rnd.IntN(3) {
				if len(tp.recs) < end {
					tp.push(rnd.IntN(3) == 0, true)
				}
			}
			if rnd.IntN(5) == 0 {
				tp.seal(uint64(1 + rnd.IntN(len(tp.recs))))
			}
		}
		// What comes without a Fetch comes while it waits.
		ctx, cancel := context.WithCancel(t.Context())
		grower := make(chan struct{})
		go func() {
			defer close(grower)
			for {
				if tp.last() >= end || ctx.Err() != nil {
					return
				}
				tp.add(false)
			}
		}()
		var h heard
		opt := Options{Follow: true, Range: journal.Range{To: end}, each: tp.each}
		err := Play(ctx, tp, opt, h.emit, h.gap)
		cancel()
		<-grower
		if got, want := h.String(), numbers(1, end, 1); err != nil || got != want {
			t.Fatalf("seed %d: %v\n\tgot  %s\n\twant %s", seed, err, got, want)
		}
	}
}

func TestFollowEndsAtUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := newTape(5, 2)
		now := at(5)
		began := time.Now()
		opt := Options{
			Follow: true, Range: journal.Range{Until: at(8)}, each: tp.each,
			now: func() time.Time { return now.Add(time.Since(began)) },
		}
		var h heard
		done := make(chan error)
		go func() { done <- Play(t.Context(), tp, opt, h.emit, h.gap) }()
		for range 3 {
			time.Sleep(time.Second)
			tp.add(false)
		}
		if err := <-done; err != nil || h.String() != numbers(1, 7, 1) {
			t.Errorf("%s, %v", &h, err)
		}
		if d := time.Since(began); d != 3*time.Second+commitLag {
			t.Errorf("it ended after %v", d)
		}
	})
}

// A rare type is found from the end without decoding what lies between.
func TestLastReadsLittle(t *testing.T) {
	tp := newTape(100_000, 100)
	for i := range tp.recs {
		tp.recs[i].Type = event.BW
	}
	for _, seq := range []uint64{10, 20_000, 50_000} {
		tp.recs[seq-1].Type = event.GUARD
	}
	if got := play(t, tp, Options{Last: 2, Range: journal.Range{Types: event.NewSet(event.GUARD)}}); got != "20000 50000" {
		t.Errorf("played %s", got)
	}
	if tp.fetched > 100 {
		t.Errorf("%d fetches for two records in 1,000 batches", tp.fetched)
	}
}
