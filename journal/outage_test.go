package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"torjournal/tor/event"
)

// failFor is what fakeFile.fail must hold for an outage of that many tries
// after its beginning.
func failFor(tries int, kind failKind) []failKind {
	return slices.Repeat([]failKind{kind}, quickTries+tries)
}

// While the disk fails events are delivered in order, marked and without
// numbers; afterwards the journal says what is missing in it.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fakeFile{fail: failFor(3, failAbsent)}
		w, stop := startWriter(t, f, func(w *writer) { w.log = slog.New(slog.NewTextHandler(&log, nil)) })
		put(t, w, word("a"), liveWord("x"), word("b"))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		begin := "(650 JOURNAL UNJOURNALED SINCE=2000-01-01T00:00:00.010000Z ERROR=\"no space left on device\") (a) (x) (b)"
		if got := f.got(); got != begin {
			t.Fatalf("published %q,\nwant %q", got, begin)
		}
		put(t, w, word("c"), liveWord("y"))
		synctest.Wait()
		if got := f.got(); got != begin+" (c) (y)" {
			t.Fatalf("published %q: what comes is not delivered at once", got)
		}
		if err := flush(t, w); !errors.Is(err, ErrUnjournaled) {
			t.Errorf("Flush: %v, want ErrUnjournaled", err)
		}
		if w.writeError() == "" || w.since.Load() == 0 {
			t.Error("nobody can know of the outage")
		}
		time.Sleep(2 * time.Second)
		put(t, w, word("d"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		put(t, w, word("e"))
		if err := flush(t, w); !errors.Is(err, ErrUnjournaled) {
			t.Errorf("Flush after an event went missing: %v, want ErrUnjournaled", err)
		}
		if err := flush(t, w); err != nil || w.writeError() != "" || w.since.Load() != 0 {
			t.Errorf("afterwards %v, %q, %d", err, w.writeError(), w.since.Load())
		}
		stop()
		want := begin + " (c) (y) (d) 650 JOURNAL JOURNALED COUNT=2 TYPES=NOTICE SINCE=2000-01-01T00:00:00.010000Z ERROR=\"no space left on device\" e"
		if got := f.got(); got != want {
			t.Errorf("published %q,\nwant %q", got, want)
		}
		var numbers []uint64
		for _, r := range f.published {
			if r.Seq != 0 {
				numbers = append(numbers, r.Seq)
			}
		}
		if !slices.Equal(numbers, []uint64{3, 4}) { // a and b have 1 and 2 in the file
			t.Errorf("numbers %v, want 3 and 4", numbers)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d errors are logged, want 1:\n%s", n, &log)
		}
		if n := strings.Count(log.String(), "level=INFO"); n != 1 || !strings.Contains(log.String(), "missing=2") {
			t.Errorf("the log does not tell of the end:\n%s", &log)
		}
	})
}

// The batch in hand is committed as it was, in the file or not, and stands
// there once.
func TestOutagePending(t *testing.T) {
	for name, fails := range map[string][]failKind{
		"absent":           failFor(5, failAbsent),
		"present":          failFor(5, failPresent),
		"both":             {failAbsent, failPresent, failAbsent, failPresent},
		"the mark fails":   {failAbsent, failAbsent, succeed, failAbsent, failPresent},
		"present at first": {failPresent, failAbsent, failAbsent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeFile{fail: fails}
				w, stop := startWriter(t, f, nil)
				put(t, w, word("a"), word("b"))
				time.Sleep(time.Minute)
				put(t, w, word("c"))
				if err := flush(t, w); err != nil {
					t.Fatal(err)
				}
				stop()
				got := f.got()
				for _, s := range []string{"a", "b"} {
					if strings.Count(" "+got+" ", " ("+s+") ") != 1 {
						t.Errorf("published %q: %s not once", got, s)
					}
				}
				if !strings.Contains(got, " 650 JOURNAL JOURNALED COUNT=0 SINCE=") || !strings.HasSuffix(got, " c") {
					t.Errorf("published %q", got)
				}
				var last uint64
				for _, h := range f.batches {
					if h.first != last+1 {
						t.Errorf("batch %d to %d follows %d", h.first, h.last, last)
					}
					last = h.last
				}
				if last != 4 { // a, b, the mark, c
					t.Errorf("the file has %d records, want 4", last)
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

// A mark that cannot be written at once is followed by one that tells of what
// went missing since.
func TestOutageMarkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{fail: []failKind{failAbsent, failAbsent, succeed, failPresent, failAbsent}}
		w, stop := startWriter(t, f, nil)
		put(t, w, word("a"))
		time.Sleep(100 * time.Millisecond)
		put(t, w, word("b"), word("c"))
		time.Sleep(1500 * time.Millisecond) // the mark has failed once
		put(t, w, word("d"))
		time.Sleep(time.Minute)
		stop()
		got := f.got()
		first := strings.Index(got, " 650 JOURNAL JOURNALED COUNT=2 TYPES=NOTICE SINCE=2000-01-01T00:00:00.010000Z")
		second := strings.Index(got, " 650 JOURNAL JOURNALED COUNT=1 TYPES=NOTICE SINCE=2000-01-01T00:00:01.010000Z")
		if first < 0 || second < first {
			t.Errorf("published %q", got)
		}
	})
}

// Overload during an outage is told afterwards.
func TestOutageRecordsDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFile{fail: failFor(2, failAbsent)}
		w, stop := startWriter(t, f, nil)
		put(t, w, word("a"))
		time.Sleep(100 * time.Millisecond)
		w.q.mu.Lock()
		w.q.dropLocked(&item{typ: event.BW})
		w.q.mu.Unlock()
		put(t, w, word("b"))
		time.Sleep(time.Minute)
		stop()
		if got := f.got(); !strings.Contains(got, " 650 JOURNAL DROPPED TYPES=BW COUNT=1") {
			t.Errorf("published %q", got)
		}
	})
}

// Sessions that begin while the disk fails are those of the events that come
// then, hold nobody up, and are in the file afterwards.
func TestOutageSessions(t *testing.T) {
	var failing atomic.Bool
	j := openTest(t, "", Options{walPages: noLog, outageRetry: time.Millisecond, wrapCommit: whileFailing(&failing, failAbsent)})
	begin := func(pid int) {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: pid}); err != nil {
			t.Fatal(err)
		}
	}
	begin(1)
	appendAll(t, j, bw(1, 2)...)
	failing.Store(true)
	settle(t, j, bw(3, 2)...) // 3, 4: pending
	begin(2)
	settle(t, j, bw(5, 1)...) // missing
	begin(3)
	settle(t, j, bw(6, 1)...) // missing
	failing.Store(false)
	awaitEnd(t, j) // 5: the mark
	appendAfterOutage(t, j, bw(7, 1)...)
	ss, err := j.Sessions(within(t))
	if err != nil || len(ss) != 2 || ss[0].ID != 1 || ss[1].ID != 3 || ss[1].First != 5 || ss[1].Source.PID != 3 {
		t.Errorf("sessions %+v, %v", ss, err)
	}
	var got []string
	recs, _ := readAll(t, j, Range{})
	for _, r := range recs {
		got = append(got, fmt.Sprintf("%d:%d", r.Seq, r.Session))
	}
	if want := "1:1 2:1 3:1 4:1 5:3 6:3"; strings.Join(got, " ") != want {
		t.Errorf("numbers and sessions %v, want %s", got, want)
	}
}

// whileFailing makes commits fail while the switch says so.
func whileFailing(failing *atomic.Bool, kind failKind) func(commitFunc) commitFunc {
	return func(commit commitFunc) commitFunc {
		return func(c *change) (outcome, error) {
			if !failing.Load() {
				return commit(c)
			}
			if kind == failPresent {
				if _, err := commit(c); err != nil {
					return outcome{}, err
				}
			}
			return outcome{}, errors.New("fdatasync: input/output error")
		}
	}
}

// settle appends events and waits until they are published, journaled or not.
func settle(t testing.TB, j *Journal, evs ...event.Event) {
	t.Helper()
	ctx := within(t)
	if err := j.Append(ctx, evs...); err != nil {
		t.Fatal(err)
	}
	select {
	case <-j.Settled(time.Now()):
	case <-ctx.Done():
		t.Fatal("events are not published")
	}
}

// awaitEnd waits until the journal is written again.
func awaitEnd(t testing.TB, j *Journal) {
	t.Helper()
	ctx := within(t)
	for !j.Stats().Outage.IsZero() {
		if ctx.Err() != nil {
			t.Fatal("the outage does not end")
		}
		time.Sleep(time.Millisecond)
	}
}

// appendAfterOutage is appendAll where events have gone missing before.
func appendAfterOutage(t testing.TB, j *Journal, evs ...event.Event) {
	t.Helper()
	if err := j.Flush(within(t)); err != nil && !errors.Is(err, ErrUnjournaled) {
		t.Fatal(err)
	}
	appendAll(t, j, evs...)
}

// Cursors that are behind, on their way or live when the outage begins and ends
// get everything once: the pending batch live or from the file, never both.
func TestOutageBehind(t *testing.T) {
	for _, kind := range []failKind{failAbsent, failPresent} {
		for _, window := range []int{1, 1 << 20} {
			t.Run(fmt.Sprintf("%v window %d", kind, window), func(t *testing.T) {
				var failing atomic.Bool
				j := openTest(t, "", Options{walPages: noLog, windowBytes: window, outageRetry: time.Millisecond, wrapCommit: whileFailing(&failing, kind)})
				live, stays := j.NewCursor(0, event.AllTypes()), j.NewCursor(0, event.AllTypes())
				defer live.Close()
				defer stays.Close()
				var pending []event.Event // several chunks and nodes
				for i := range 200 {
					pending = append(pending, raw("650 BW 6 %d %s", i, strings.Repeat("x", 500)))
				}
				appendAll(t, j, bw(1, 5)...)
				drain(t, live)
				failing.Store(true)
				settle(t, j, pending...) // 6 to 205
				half, err := live.Next(within(t))
				if err != nil || len(half.Records) == 0 || len(half.Records) >= 200 {
					t.Fatalf("%d records, %v", len(half.Records), err)
				}
				got := append([]string(nil), wires(half.Records)...)
				for i := range 5 {
					settle(t, j, bw(1000+i, 1)...)
				}
				failing.Store(false)
				awaitEnd(t, j)
				appendAfterOutage(t, j, bw(2000, 1)...)

				recs, gaps, lost := drain(t, live)
				got = append(got, wires(recs)...)
				got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "JOURNAL") })
				var want []string
				for _, e := range slices.Concat(pending, bw(1000, 5), bw(2000, 1)) {
					want = append(want, string(e.Format()))
				}
				if missing := int(lost[event.BW]); len(gaps) > 0 || len(got)+missing != len(want) || window > 1 && missing > 0 {
					t.Errorf("live: %d events, %d lost, gaps %v; want %d", len(got), missing, gaps, len(want))
				}
				if !inOrder(got, want) {
					t.Errorf("live: not in order, once each: %q", got)
				}

				late := j.NewCursor(1, event.AllTypes())
				defer late.Close()
				for name, c := range map[string]*Cursor{"stays": stays, "late": late} {
					recs, gaps, _ := drain(t, c)
					recs = slices.DeleteFunc(recs, func(r Record) bool { return r.Seq == 0 })
					if !slices.Equal(numbers(recs), span(1, 207)) || len(gaps) > 0 {
						t.Errorf("%s: numbers %v, gaps %v", name, numbers(recs), gaps)
					}
				}
			})
		}
	}
}

// A recorder that dies during an outage leaves a journal that opens and goes
// on, with the batch that was in hand or without it, and tells what was noted to
// be missing.
func TestOutageCrash(t *testing.T) {
	for kind, last := range map[failKind]uint64{failAbsent: 5, failPresent: 8} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			var failing atomic.Bool
			j := openTest(t, "", Options{walPages: noLog, outageRetry: time.Hour, wrapCommit: whileFailing(&failing, kind)})
			appendAll(t, j, bw(1, 5)...)
			failing.Store(true)
			settle(t, j, bw(6, 3)...)
			settle(t, j, bw(9, 3)...)
			image, err := os.ReadFile(j.store.path)
			if err != nil {
				t.Fatal(err)
			}
			failing.Store(false) // for Close

			path := filepath.Join(t.TempDir(), "image.db")
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			after := openTest(t, path, Options{walPages: noLog})
			if b, err := after.Bounds(within(t)); err != nil || b.Last != last+1 {
				t.Errorf("bounds %+v, %v, want up to %d", b, err, last+1)
			}
			appendAll(t, after, bw(100, 2)...)
			recs, gaps := readAll(t, after, Range{})
			if !slices.Equal(numbers(recs), span(1, last+3)) || len(gaps) > 0 {
				t.Errorf("numbers %v, gaps %v", numbers(recs), gaps)
			}
			if n, ok := markCount(recs[last]); !ok || n != 8-last {
				t.Errorf("record %d is %q, want a mark of %d", last+1, recs[last].Wire, 8-last)
			}
		})
	}
}

// A vacuum in an outage says what has to be done first, and works afterwards.
func TestVacuumInAnOutage(t *testing.T) {
	var failing atomic.Bool
	j := openTest(t, "", Options{outageRetry: time.Millisecond, wrapCommit: whileFailing(&failing, failAbsent)})
	appendAll(t, j, bw(1, 5)...)
	failing.Store(true)
	settle(t, j, bw(6, 3)...)
	if _, err := j.Vacuum(within(t), Limits{}); !errors.Is(err, ErrUnjournaled) || !strings.Contains(err.Error(), "make room on its disk, and vacuum when it is written again") {
		t.Errorf("in an outage: %v", err)
	}
	failing.Store(false)
	awaitEnd(t, j)
	if v, err := j.Vacuum(within(t), Limits{}); err != nil || v.Last < 6 {
		t.Errorf("afterwards: %+v, %v", v, err)
	}
}

// inOrder reports whether got is want with some left out.
func inOrder(got, want []string) bool {
	for _, s := range got {
		i := slices.Index(want, s)
		if i < 0 {
			return false
		}
		want = want[i+1:]
	}
	return true
}

// However long the outage, memory holds the window and one pending change.
func TestOutageMemory(t *testing.T) {
	var failing atomic.Bool
	j := openTest(t, "", Options{walPages: noLog, windowBytes: 64 << 10, outageRetry: time.Millisecond, wrapCommit: whileFailing(&failing, failAbsent)})
	asleep := j.NewCursor(0, event.AllTypes())
	defer asleep.Close()
	failing.Store(true)
	const rounds, each = 100, 50
	for i := range rounds {
		var evs []event.Event
		for k := range each {
			evs = append(evs, raw("650 MADE_UP_%d %s", i*each+k, strings.Repeat("x", 200)))
		}
		settle(t, j, evs...)
		j.win.mu.RLock()
		held, names := j.win.bytes, len(j.win.live)
		j.win.mu.RUnlock()
		if held > 64<<10+each*(recordCost+240) || names > 2*otherNames {
			t.Fatalf("the window holds %d bytes, %d names are counted", held, names)
		}
	}
	failing.Store(false)
	awaitEnd(t, j)
	recs, _, lost := drain(t, asleep)
	var told, marked uint64
	for _, n := range lost {
		told += n
	}
	for _, r := range recs {
		if r.Type != event.JOURNAL {
			told++
		}
		if n, ok := markCount(r); ok {
			marked += n
		}
	}
	if all := uint64(rounds*each) + 1; told != all { // and UNJOURNALED, which is among the lost
		t.Errorf("%d events are delivered or told to be lost, want %d", told, all)
	}
	if pending := uint64(each); marked != rounds*each-pending {
		t.Errorf("%d are marked as missing, want %d", marked, rounds*each-pending)
	}
	j.Flush(within(t)) // ErrUnjournaled, as it must be
}

// markCount returns COUNT of a JOURNALED event.
func markCount(r Record) (uint64, bool) {
	ev, err := event.Parse(r.Wire)
	own, ok := ev.(*event.Journal)
	if err != nil || !ok || own.What != event.WhatJournaled {
		return 0, false
	}
	count, _ := own.Keywords.Get("COUNT")
	n, err := strconv.ParseUint(count, 10, 64)
	return n, err == nil
}

// Whatever sequence of appends and failures, read by whatever cursors: every
// subscriber's stream is in order, once each and complete but for what it is
// told it lost; and the file's records together with its marks account for
// every event. rapid prints the command that repeats a failure.
func TestOutageModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "journal-outage-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &outageModel{}
		m.j, err = Open(filepath.Join(dir, "journal.db"), Options{
			parkLimits:  parkOften,
			Key:         rapid.SampledFrom([]*Key{nil, modelKey}).Draw(t, "key"),
			sealBytes:   rapid.SampledFrom([]int{1 << 10, 16 << 10}).Draw(t, "seal"),
			windowBytes: rapid.SampledFrom([]int{1, 4 << 10, windowBytes}).Draw(t, "window"),
			outageRetry: time.Millisecond,
			wrapCommit:  m.faulty,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer m.j.Close()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"break":  func(t *rapid.T) { m.mode.Store(rapid.Int32Range(1, 3).Draw(t, "mode")) },
			"heal":   func(t *rapid.T) { m.mode.Store(0); m.awaitEnd(t) },
			"cursor": m.newCursor,
			"read":   m.readCursor,
			"range":  m.readRange,
		})
		m.mode.Store(0)
		m.awaitEnd(t)
		m.account(t)
	})
}

type outageModel struct {
	j    *Journal
	mode atomic.Int32 // of commits: 0 succeed, 1 fail unwritten, 2 fail written, 3 one after the other
	n    atomic.Int32 // of commits that have failed

	appended int // events, each with its number in its wire form
	recorded int // of them, not live-only
	cursors  []*outageCursor
}

type outageCursor struct {
	c     *Cursor
	from  int    // events before this one are not expected
	exact bool   // began at the end: all that came since is expected
	last  int    // event that it had last
	seq   uint64 // number that it had last
	had   int
	lost  int
}

func (m *outageModel) faulty(commit commitFunc) commitFunc {
	return func(c *change) (outcome, error) {
		mode := m.mode.Load()
		if mode == 0 {
			return commit(c)
		}
		if n := m.n.Add(1); mode == 2 || mode == 3 && n%3 == 0 {
			if _, err := commit(c); err != nil {
				return outcome{}, err
			}
		} else if mode == 3 && n%3 == 1 {
			return commit(c)
		}
		return outcome{}, errors.New("input/output error")
	}
}

func (m *outageModel) append(t *rapid.T) {
	var evs []event.Event
	for range rapid.IntRange(1, 200).Draw(t, "n") {
		ev := event.Event(raw("650 BW %d 0", m.appended))
		m.appended++
		if rapid.IntRange(0, 9).Draw(t, "live") == 0 {
			ev = event.Live{Event: ev}
		} else {
			m.recorded++
		}
		evs = append(evs, ev)
	}
	if err := m.j.Append(context.Background(), evs...); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "settle") {
		<-m.j.Settled(time.Now())
	}
}

func (m *outageModel) awaitEnd(t *rapid.T) {
	<-m.j.Settled(time.Now())
	begin := time.Now()
	for !m.j.Stats().Outage.IsZero() {
		if time.Since(begin) > patience {
			t.Fatal("the outage does not end")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (m *outageModel) newCursor(t *rapid.T) {
	<-m.j.Settled(time.Now())
	c := &outageCursor{from: m.appended, exact: true, last: -1}
	from := uint64(rapid.IntRange(0, 1).Draw(t, "from"))
	if from == 1 {
		c.from, c.exact = 0, false
	}
	c.c = m.j.NewCursor(from, event.AllTypes())
	m.cursors = append(m.cursors, c)
}

func (m *outageModel) readCursor(t *rapid.T) {
	if len(m.cursors) == 0 {
		t.Skip("no cursor")
	}
	c := m.cursors[rapid.IntRange(0, len(m.cursors)-1).Draw(t, "cursor")]
	for range rapid.IntRange(1, 5).Draw(t, "chunks") {
		m.next(t, c)
	}
}

// next takes one chunk and reports whether there was anything.
func (m *outageModel) next(t *rapid.T, c *outageCursor) bool {
	ch, err := c.c.Next(context.Background())
	if err != nil || ch.Gap != nil {
		t.Fatalf("gap %v, %v", ch.Gap, err)
	}
	c.lost += int(ch.Lost[event.BW])
	for _, r := range ch.Records {
		if r.Seq != 0 && r.Seq <= c.seq {
			t.Fatalf("record %d after %d", r.Seq, c.seq)
		}
		c.seq = max(c.seq, r.Seq)
		if r.Type != event.BW {
			continue
		}
		id := eventID(t, r)
		if id <= c.last {
			t.Fatalf("event %d after %d", id, c.last)
		}
		c.last = id
		c.had++
	}
	return !ch.empty()
}

func eventID(t *rapid.T, r Record) int {
	id, err := strconv.Atoi(strings.Fields(string(r.Wire))[2])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// readRange checks that what the file gives away is contiguous and in order.
func (m *outageModel) readRange(t *rapid.T) { m.file(t) }

func (m *outageModel) file(t *rapid.T) (ids []int, missing uint64) {
	var seq uint64
	last := -1
	for r, err := range Records(context.Background(), m.j, Range{}) {
		if err != nil || r.Seq != seq+1 {
			t.Fatalf("record %d after %d, %v", r.Seq, seq, err)
		}
		seq = r.Seq
		if n, ok := markCount(r); ok {
			missing += n
		}
		if r.Type != event.BW {
			continue
		}
		if id := eventID(t, r); id <= last {
			t.Fatalf("event %d after %d in the file", id, last)
		} else {
			last = id
			ids = append(ids, id)
		}
	}
	return ids, missing
}

func (m *outageModel) account(t *rapid.T) {
	ids, missing := m.file(t)
	if uint64(len(ids))+missing != uint64(m.recorded) {
		t.Fatalf("the file has %d events and says that %d are missing; recorded were %d", len(ids), missing, m.recorded)
	}
	for _, c := range m.cursors {
		for m.next(t, c) {
		}
		if want := m.appended - c.from; c.exact && c.had+c.lost != want {
			t.Fatalf("a live cursor had %d events and lost %d, want %d", c.had, c.lost, want)
		}
		if !c.exact && c.had+c.lost < len(ids) {
			t.Fatalf("a cursor from the beginning had %d events and lost %d, the file has %d", c.had, c.lost, len(ids))
		}
		c.c.Close()
	}
	if err := m.j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(m.j.store.path, m.j.opt.Key); err != nil {
		t.Fatal(err)
	}
}
