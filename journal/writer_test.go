package journal

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/tor/event"
)

// fakeFile is what the writer commits to in these tests: the sequence of
// batches that are in the file, and what goes wrong next.
type fakeFile struct {
	t *testing.T

	mu        sync.Mutex
	batches   []header   // guarded by mu
	tries     []header   // guarded by mu; batches of every commit, failed ones too
	fail      []failKind // guarded by mu; of the next commits
	published []Record   // guarded by mu
	durable   uint64     // guarded by mu; last number of a commit that returned nil
	gate      chan struct{}
	sealJobs  [][]header
}

type failKind int

const (
	succeed failKind = iota
	failAbsent
	failPresent // the error is returned, and the batch is in the file nevertheless
)

func (f *fakeFile) commit(c *change) (outcome, error) {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := succeed
	if len(f.fail) > 0 {
		kind, f.fail = f.fail[0], f.fail[1:]
	}
	if c.batch != nil {
		f.tries = append(f.tries, c.batch.hdr)
	}
	if kind != failAbsent && c.batch != nil {
		last := uint64(0)
		if n := len(f.batches); n > 0 {
			last = f.batches[n-1].last
		}
		switch h := c.batch.hdr; {
		case len(f.batches) > 0 && f.batches[len(f.batches)-1] == h:
		case h.first != last+1:
			f.t.Errorf("batch %d to %d follows %d", h.first, h.last, last)
		default:
			f.batches = append(f.batches, h)
		}
	}
	if kind != succeed {
		return outcome{}, errors.New("no space left on device")
	}
	if c.batch != nil {
		f.durable = c.batch.hdr.last
	}
	return outcome{sealed: c.seal != nil}, nil
}

func (f *fakeFile) reread() (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.batches); n > 0 {
		return f.batches[n-1].last, nil
	}
	return 0, nil
}

func (f *fakeFile) publish(recs []Record, _ []uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range recs {
		if r.Seq > f.durable {
			f.t.Errorf("record %d is published, but only %d are durable", r.Seq, f.durable)
		}
	}
	f.published = append(f.published, recs...)
}

// ahead takes what is delivered though it is not in the file.
func (f *fakeFile) ahead(recs []Record, _ []uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range recs {
		r.Seq = 0
		f.published = append(f.published, r)
	}
}

func (f *fakeFile) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.published {
		word := strings.TrimSuffix(string(r.Wire), "\r\n")
		if r.Seq == 0 {
			word = "(" + word + ")"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// startWriter runs a writer on f; stop ends it.
func startWriter(t *testing.T, f *fakeFile, change func(*writer)) (w *writer, stop func()) {
	t.Helper()
	f.t = t
	closing := make(chan struct{})
	w = &writer{
		q: newQueue(queueBytes, time.Now), log: slog.New(slog.DiscardHandler),
		batchMax: 1 << 20, storedMax: 1 << 20, tail: tail{sealAt: 1 << 20, lagAt: 1 << 20},
		sealed: make(chan sealResult, 1), done: make(chan struct{}), counts: newCounts(),
		enc: testEncoder(t), next: 1, retry: outageRetry, roomWait: roomWait,
	}
	w.env = writerEnv{
		commit: f.commit, reread: f.reread, publish: f.publish, ahead: f.ahead, now: time.Now, clock: w.q.clock,
		settled: func(uint64) {},
		expired: func() bool { return false }, evicted: func(uint64) {},
		seal: func(job sealJob) { f.sealJobs = append(f.sealJobs, job.batches) },
		pause: func(d time.Duration) bool {
			select {
			case <-time.After(d):
				return false
			case <-closing:
				return true
			}
		},
	}
	if change != nil {
		change(w)
	}
	go w.run()
	return w, func() {
		close(closing)
		w.q.close()
		<-w.done
	}
}

func word(s string) item {
	return item{wire: []byte(s + "\r\n"), typ: event.NOTICE, bit: bitOf(event.NOTICE)}
}

func liveWord(s string) item {
	it := word(s)
	it.live = true
	return it
}

func put(t *testing.T, w *writer, items ...item) {
	t.Helper()
	if err := w.q.put(t.Context(), items); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, w *writer) error {
	t.Helper()
	o := &op{done: make(chan struct{})}
	put(t, w, item{op: o})
	<-o.done
	return o.err
}

// Everything that arrives while a commit runs goes into the next one.
func TestWriterGroupsCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{gate: make(chan struct{})}
		w, stop := startWriter(t, f, nil)
		put(t, w, word("a"))
		synctest.Wait()
		for _, s := range []string{"b", "c", "d"} {
			put(t, w, word(s))
		}
		synctest.Wait()
		if got := f.got(); got != "" {
			t.Fatalf("published %q before the commit returned", got)
		}
		close(f.gate)
		if err := flush(t, w); err != nil {
			t.Fatal(err)
		}
		stop()
		if len(f.tries) != 2 || f.tries[1].first != 2 || f.tries[1].last != 4 {
			t.Errorf("commits %+v, want 1 and 2 to 4", f.tries)
		}
		if got := f.got(); got != "a b c d" {
			t.Errorf("published %q", got)
		}
	})
}

// Live-only events keep their place among the recorded ones, wait for the
// commits before them, and cause none.
func TestWriterLiveOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{gate: make(chan struct{}, 1)}
		w, stop := startWriter(t, f, nil)
		put(t, w, liveWord("x"))
		synctest.Wait()
		if got := f.got(); got != "(x)" {
			t.Fatalf("published %q, want (x) without a commit", got)
		}
		put(t, w, liveWord("y"), word("a"), liveWord("z"), word("b"))
		synctest.Wait()
		if got := f.got(); got != "(x)" {
			t.Fatalf("published %q before the commit", got)
		}
		f.gate <- struct{}{}
		_ = flush(t, w)
		stop()
		if got := f.got(); got != "(x) (y) a (z) b" {
			t.Errorf("published %q", got)
		}
		if len(f.tries) != 1 || f.tries[0].count() != 2 {
			t.Errorf("commits %+v, want one of 2 records", f.tries)
		}
	})
}

// A failed commit is repeated as it was, whether or not it is in the file:
// nothing is lost, doubled or renumbered, and nothing is published before.
func TestWriterRepeatsFailedCommit(t *testing.T) {
	for name, fails := range map[string][]failKind{
		"absent":         {failAbsent},
		"present":        {failPresent},
		"both":           {failAbsent, succeed, failPresent},
		"after the next": {succeed, failPresent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeFile{fail: fails}
				w, stop := startWriter(t, f, nil)
				put(t, w, word("a"), word("b"))
				synctest.Wait()
				if fails[0] != succeed && (f.got() != "" || w.writeError() == "") {
					t.Errorf("published %q, error %q after a commit that failed", f.got(), w.writeError())
				}
				put(t, w, word("c"))
				if err := flush(t, w); err != nil {
					t.Fatal(err)
				}
				if w.writeError() != "" {
					t.Errorf("error %q though commits succeed again", w.writeError())
				}
				stop()
				if got := f.got(); got != "a b c" {
					t.Errorf("published %q", got)
				}
				for i, h := range f.tries[1:] {
					if prev := f.tries[i]; h.first == prev.first && h != prev {
						t.Errorf("%+v was tried again as %+v", prev, h)
					}
				}
			})
		})
	}
}

// A journal that closes while its disk fails says what is lost and ends.
func TestWriterGivesUpWhenClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{fail: slices.Repeat([]failKind{failAbsent}, 1000)}
		w, stop := startWriter(t, f, nil)
		put(t, w, word("a"))
		time.Sleep(3 * time.Second)
		put(t, w, word("b"), word("c"), liveWord("x"))
		o := &op{done: make(chan struct{})}
		put(t, w, item{op: o})
		stop()
		<-o.done
		if !errors.Is(o.err, ErrUnjournaled) || w.err == nil || !strings.Contains(w.err.Error(), "3 events are lost") {
			t.Errorf("errors %v and %v", o.err, w.err)
		}
	})
}

func TestWriterCommitDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{}
		w, stop := startWriter(t, f, func(w *writer) { w.delay = time.Second })
		put(t, w, word("a"))
		time.Sleep(500 * time.Millisecond)
		put(t, w, word("b"))
		time.Sleep(499 * time.Millisecond)
		synctest.Wait()
		if got := f.got(); got != "" {
			t.Fatalf("published %q before the delay was over", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := f.got(); got != "a b" || len(f.tries) != 1 {
			t.Fatalf("published %q in %d commits, want a b in one", got, len(f.tries))
		}
		put(t, w, word("c"))
		begin := time.Now()
		if err := flush(t, w); err != nil || time.Since(begin) != 0 {
			t.Errorf("Flush: %v after %v, want at once", err, time.Since(begin))
		}
		put(t, w, word("d"))
		stop()
		if got := f.got(); got != "a b c d" {
			t.Errorf("published %q, Close must not lose what waits", got)
		}
	})
}

// A batch belongs to one session: beginning one is a commit of its own in the
// order of the queue.
func TestWriterSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{gate: make(chan struct{})}
		w, stop := startWriter(t, f, nil)
		began := time.Now()
		tor := event.Source{Name: "tor", PID: 7, Started: began}
		begin := func(src event.Source) *op { return &op{source: &src, done: make(chan struct{})} }
		first, same, other := begin(tor), begin(tor), begin(event.Source{Name: "tor", PID: 8})
		jitter := tor
		jitter.Started = began.Add(2 * time.Second)
		again := begin(jitter)
		put(t, w, word("a"), item{op: first}, word("b"), item{op: same}, word("c"), item{op: again}, item{op: other}, word("d"))
		close(f.gate)
		_ = flush(t, w)
		stop()
		var got []uint64
		for _, r := range f.published {
			got = append(got, r.Session)
		}
		if want := []uint64{0, 1, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("sessions %v, want %v", got, want)
		}
		for i, o := range []*op{first, same, again, other} {
			if want := i == 1 || i == 2; o.continued != want || o.err != nil {
				t.Errorf("session %d: continued %v, %v; want %v", i, o.continued, o.err, want)
			}
		}
	})
}

// What is dropped under overload stands in the journal itself, behind what
// came before it.
func TestWriterRecordsDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{gate: make(chan struct{})}
		w, stop := startWriter(t, f, func(w *writer) { w.q.limit = 3 * (itemCost + 10) })
		put(t, w, word("held"))
		synctest.Wait()
		put(t, w, word("a"), word("b"), liveWord("x"))
		put(t, w, word("c"), word("d"), word("e")) // waits 30 s; x goes, c fits, d and e do not
		if waited := len(w.q.waiting); waited != 0 {
			t.Fatalf("%d wait", waited)
		}
		close(f.gate)
		_ = flush(t, w)
		stop()
		want := "held a b c 650 JOURNAL DROPPED TYPES=NOTICE COUNT=3"
		if got := f.got(); got != want {
			t.Errorf("published %q, want %q", got, want)
		}
	})
}

// An event that can never fit is said to be missing instead of blocking all
// that follow.
func TestWriterEventTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{}
		w, stop := startWriter(t, f, func(w *writer) { w.storedMax, w.batchMax = 2000, 2500 })
		noise := make([]byte, 3000)
		x := uint32(1)
		for i := range noise {
			x = x*1664525 + 1013904223
			noise[i] = byte(x >> 24)
		}
		big := word("big")
		big.wire = noise
		put(t, w, word("a"), big, word("b"))
		_ = flush(t, w)
		stop()
		want := "a 650 JOURNAL DROPPED TYPES=NOTICE COUNT=1 b"
		if got := f.got(); got != want {
			t.Errorf("published %q, want %q", got, want)
		}
	})
}

func TestWriterAppendAfterCloseIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := startWriter(t, &fakeFile{}, nil)
		stop()
		if err := w.q.put(context.Background(), []item{word("late")}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
}
