package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/tor/event"
)

// loggedJournal opens a journal that has a log, with records from 1 to some n in its
// buckets.
func loggedJournal(t *testing.T, opt Options) *Journal {
	t.Helper()
	j := openTest(t, "", opt)
	for n := 1; !hasLog(t, j); n++ {
		appendAll(t, j, bw(n, 1)...)
	}
	if err := j.inWriter(within(t), func(w *writer) error { return w.settleLog() }); err != nil {
		t.Fatal(err)
	}
	return j
}

func hasLog(t *testing.T, j *Journal) (has bool) {
	t.Helper()
	if err := j.inWriter(within(t), func(w *writer) error { has = w.wal.region.pages > 0; return nil }); err != nil {
		t.Fatal(err)
	}
	return has
}

// inLog returns how many records and pages the log holds.
func inLog(t *testing.T, j *Journal) (records, pages int) {
	t.Helper()
	if err := j.inWriter(within(t), func(w *writer) error {
		for _, p := range w.wal.pages {
			records += int(p.hdr.count())
		}
		pages = len(w.wal.pages)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return records, pages
}

// image returns what the file has between two turns: what a killed recorder
// leaves.
func image(t testing.TB, j *Journal) (content []byte) {
	t.Helper()
	if err := j.inWriter(within(t), func(*writer) (err error) {
		content, err = os.ReadFile(j.store.path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return content
}

func fileOf(t testing.TB, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a killed recorder has left in the log is there for whoever opens the
// file, whatever is asked, and for what makes another file of it.
func TestLogOfAKilledRecorder(t *testing.T) { plainAndEncrypted(t, testLogOfAKilledRecorder) }

func testLogOfAKilledRecorder(t *testing.T, key *Key) {
	j := loggedJournal(t, Options{Key: key})
	if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		appendAll(t, j, bw(100*i, 1+i%3)...)
		if i%7 == 0 {
			appendAll(t, j, raw("650 CIRC %d LAUNCHED", i), event.Live{Event: raw("650 BW 0 0")}, raw("650 UNHEARD_OF %s", noise(i, 3000)))
		}
	}
	n, pages := inLog(t, j)
	if pages < 20 {
		t.Fatalf("%d records in %d pages: the test tests nothing", n, pages)
	}
	want, gaps := readAll(t, j, Range{})
	if gaps != nil || !equalNumbers(want, len(want)) {
		t.Fatalf("records %v", numbers(want))
	}
	last := want[len(want)-1]
	killed := image(t, j)

	path := fileOf(t, killed)
	if v, err := Verify(path, key); err != nil || v.Last != last.Seq || v.Records != last.Seq {
		t.Errorf("Verify: %+v, %v", v, err)
	}
	f := openFileTest(t, path, key)
	if b, err := f.Bounds(within(t)); err != nil || b.First != 1 || b.Last != last.Seq || !b.LastTime.Equal(last.Time) {
		t.Errorf("Bounds: %+v, %v; the last record is %d at %v", b, err, last.Seq, last.Time)
	}
	for _, r := range []Range{{}, {From: last.Seq}, {From: 3, To: last.Seq - 2}, {Types: event.NewSet(event.CIRC)}, {Session: 1}, {Since: want[len(want)-5].Time}} {
		var expected []Record
		for i := range want {
			if r.Match(&want[i]) {
				expected = append(expected, want[i])
			}
		}
		for name, rd := range map[string]Reader{"file": f, "journal": j} {
			if got, _ := readAll(t, rd, r); !sameRecords(got, expected) {
				t.Errorf("%s: range %+v: %v, want %v", name, r, numbers(got), numbers(expected))
			}
		}
	}
	if seq, err := f.SeekTime(within(t), last.Time); err != nil || seq > last.Seq {
		t.Errorf("SeekTime: %d, %v", seq, err)
	}
	for name, do := range map[string]func(path string) (string, error){
		"opened":  func(path string) (string, error) { return path, nil },
		"vacuum":  func(path string) (string, error) { _, err := Vacuum(within(t), path, key, Limits{}); return path, err },
		"migrate": func(path string) (string, error) { _, err := Migrate(path); return path, err },
		"salvage": func(path string) (string, error) {
			to := filepath.Join(t.TempDir(), "saved.db")
			s, err := Salvage(within(t), path, to, SalvageOptions{Key: key})
			if err == nil && (len(s.Missing) > 0 || s.Records != last.Seq) {
				err = fmt.Errorf("salvaged %+v", s)
			}
			return to, err
		},
	} {
		path, err := do(fileOf(t, killed))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		j := openTest(t, path, Options{Key: key})
		c := j.NewCursor(1, event.AllTypes())
		if got, gaps, _ := drain(t, c); gaps != nil || !sameRecords(got, want) {
			t.Errorf("%s: a cursor gets %v, gaps %v", name, numbers(got), gaps)
		}
		appendAll(t, j, bw(7, 2)...)
		if got, _, _ := drain(t, c); !slices.Equal(numbers(got), span(last.Seq+1, last.Seq+2)) {
			t.Errorf("%s: what comes then has the numbers %v", name, numbers(got))
		}
		c.Close()
		if v := closeTest(t, j); v.Records != last.Seq+2 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// Bits that flip in the log are found: a reader gets all there is, or an error.
func TestLogDamaged(t *testing.T) { plainAndEncrypted(t, testLogDamaged) }

func testLogDamaged(t *testing.T, key *Key) {
	j := loggedJournal(t, Options{Key: key, walPages: leastWAL})
	for i := 0; ; i++ { // once round, so that pages of before are there
		appendAll(t, j, bw(i, 1+i%3)...)
		if _, pages := inLog(t, j); i > 2*leastWAL && pages == 3 {
			break
		}
	}
	want, _ := readAll(t, j, Range{})
	intact := image(t, j)
	region, err := findLog(bytes.NewReader(intact))
	if err != nil {
		t.Fatal(err)
	}
	var refused, read int
	path := filepath.Join(t.TempDir(), "journal.db")
	for at := 0; at < region.pages*region.pageSize; at += scaled(7, 41) {
		if at%region.pageSize >= sectorSize && at%97 != 0 {
			continue // what fills the page
		}
		bad := bytes.Clone(intact)
		bad[int(region.off)+at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := recordsIn(within(t), path, key)
		var d *DamageError
		switch _, verr := Verify(path, key); {
		case err == nil && !sameRecords(got, want):
			t.Fatalf("byte %d of page %d: %d records of %d, and no error", at%region.pageSize, at/region.pageSize, len(got), len(want))
		case err == nil:
			read++
		case !errors.As(err, &d) || verr == nil:
			t.Fatalf("byte %d of page %d: %v; Verify says %v", at%region.pageSize, at/region.pageSize, err, verr)
		default:
			refused++
		}
	}
	if refused < 200/scaled(7, 41) || read < 100 {
		t.Errorf("%d files were refused, %d read", refused, read)
	}
	// A page in the middle that is lost.
	for i := range region.pages {
		bad := bytes.Clone(intact)
		clear(bad[region.at(i):][:region.pageSize])
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		// What the newest page held nobody can know.
		if got, err := recordsIn(within(t), path, key); err == nil && len(got) < len(want) && !isNewest(intact, region, i, want, key) {
			t.Errorf("page %d: %d records of %d, and no error", i, len(got), len(want))
		}
	}
}

// Pages of the log that a disk has put in each other's place are found.
func TestLogSwapped(t *testing.T) { plainAndEncrypted(t, testLogSwapped) }

func testLogSwapped(t *testing.T, key *Key) {
	j := loggedJournal(t, Options{Key: key, walPages: leastWAL})
	for n, turn := range []int{1, 2, 4} {
		var evs []event.Event
		for i := range turn {
			evs = append(evs, raw("650 CIRC %d %s", i, noise(i, 3000)))
		}
		if appendAll(t, j, evs...); n == 0 {
			appendAll(t, j, bw(1, 1)...)
		}
	}
	want, _ := readAll(t, j, Range{})
	if records, pages := inLog(t, j); pages < 8 {
		t.Fatalf("%d records in %d pages: the test tests nothing", records, pages)
	}
	intact := image(t, j)
	region, err := findLog(bytes.NewReader(intact))
	if err != nil {
		t.Fatal(err)
	}
	path, refused := filepath.Join(t.TempDir(), "journal.db"), 0
	for a := range region.pages {
		for b := range a {
			bad := bytes.Clone(intact)
			copy(bad[region.at(a):][:region.pageSize], intact[region.at(b):][:region.pageSize])
			copy(bad[region.at(b):][:region.pageSize], intact[region.at(a):][:region.pageSize])
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := recordsIn(within(t), path, key)
			if err == nil && len(got) != len(want) {
				t.Errorf("pages %d and %d: %d records of %d, and no error", a, b, len(got), len(want))
			}
			if err != nil {
				refused++
			}
		}
	}
	if refused < 50 {
		t.Errorf("%d files were refused", refused)
	}
}

// What a recorder that was killed has left is written again, as it is, before
// anything else is: its sync may have failed, and then the pages are in memory only.
// What it did not finish becomes zeros.
func TestLogLeftIsWrittenAgain(t *testing.T) { plainAndEncrypted(t, testLogLeftIsWrittenAgain) }

func testLogLeftIsWrittenAgain(t *testing.T, key *Key) {
	j := loggedJournal(t, Options{Key: key, walPages: 9})
	for range 3 {
		appendAll(t, j, bw(1, 1)...)
	}
	left := image(t, j)
	next := nextPage(t, j)
	region, err := findLog(bytes.NewReader(left))
	if err != nil {
		t.Fatal(err)
	}
	opt, err := Options{Key: key}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for name, torn := range map[string]int{"clean": 0, "a page": 1, "another page of a turn": 2} {
		content := bytes.Clone(left)
		if torn > 0 {
			content[region.at(next+torn-1)] = 1
		}
		s, err := openStore(fileOf(t, content), opt, false)
		if err != nil {
			t.Fatal(err)
		}
		written := bytes.Repeat([]byte{0xee}, len(content))
		s.beforeLog = func(b []byte, off int64) error { copy(written[off:], b); return nil }
		if err := s.ready(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			at := region.at(next + region.pages - 3 + i)
			if !bytes.Equal(written[at:][:region.pageSize], left[at:][:region.pageSize]) {
				t.Errorf("%s: page %d of the log is not written again as it was", name, i)
			}
		}
		for i := range walAhead {
			if at := region.at(next + i); !isZero(written[at:][:region.pageSize]) {
				t.Errorf("%s: page %d behind the log was not made zeros", name, i)
			}
		}
		s.beforeLog = func([]byte, int64) error { t.Errorf("%s: it is written once more", name); return nil }
		if err := errors.Join(s.ready(), s.close()); err != nil {
			t.Error(err)
		}
	}
}

// nextPage returns the number of the page that the log is written to next.
func nextPage(t *testing.T, j *Journal) (next int) {
	t.Helper()
	if err := j.inWriter(within(t), func(w *writer) error { next = w.wal.next; return nil }); err != nil {
		t.Fatal(err)
	}
	return next
}

// A disk that fails when a log that was left is opened holds nobody up either.
func TestLogLeftOnAFailingDisk(t *testing.T) {
	j := loggedJournal(t, Options{})
	appendAll(t, j, bw(1, 2)...)
	want, _ := readAll(t, j, Range{})
	left := image(t, j)
	region, err := findLog(bytes.NewReader(left))
	if err != nil {
		t.Fatal(err)
	}
	left[region.at(nextPage(t, j))] = 1
	j, err = Open(fileOf(t, left), Options{openFile: func(path string, _ int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(path, os.O_RDONLY, mode) // each write fails
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := j.NewCursor(1, event.AllTypes())
	settle(t, j, bw(2, 2)...)
	got, _, _ := drain(t, c)
	if len(got) != len(want)+3 || !sameRecords(got[:len(want)], want) || got[len(got)-1].Seq != 0 {
		t.Errorf("%v, want %v, and three without numbers", numbers(got), numbers(want))
	}
	c.Close()
	if err := j.Close(); err == nil {
		t.Error("nobody is told that events are lost")
	}
}

// recordsIn returns the records of a file.
func recordsIn(ctx context.Context, path string, key *Key) (out []Record, err error) {
	f, err := OpenFile(path, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for r, err := range Records(ctx, f, Range{}) {
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

// isNewest reports whether page i of the log has the last of the records.
func isNewest(content []byte, r walRegion, i int, all []Record, key *Key) bool {
	var p walPage
	cipher, err := fileCipherOf(content, key)
	if err != nil {
		return false
	}
	p.parse(content[r.at(i):][:r.pageSize], func(data []byte) ([]byte, error) { return cipher.decrypt(nil, kindBatch, nil, data) })
	return p.state == wholePage && p.hdr.last == uint64(len(all))
}

func fileCipherOf(content []byte, key *Key) (c *fileCipher, err error) {
	if key == nil {
		return nil, nil
	}
	i := bytes.Index(content, []byte("tjck"))
	if i < 0 {
		return nil, io.EOF
	}
	return key.forEntry(content[i : i+44])
}

// Power fails while a turn of several pages is written: whatever sectors of it
// are on the disk, all that was given away is there, nothing is damaged, and of
// what comes then nothing is mixed with what is left.
func TestLogTorn(t *testing.T) { plainAndEncrypted(t, testLogTorn) }

func testLogTorn(t *testing.T, key *Key) {
	r := seeded(t)
	for range scaled(6, 3) {
		j := loggedJournal(t, Options{Key: key, walPages: 12})
		for range r.IntN(30) {
			appendAll(t, j, bw(1, 1+r.IntN(4))...)
		}
		base, n := image(t, j), uint64(0)
		var writes []write
		if err := j.inWriter(within(t), func(w *writer) error {
			n = w.next - 1
			j.store.beforeLog = func(b []byte, off int64) error {
				writes = append(writes, write{off: off, data: bytes.Clone(b)})
				return nil
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var turn []event.Event
		for i := range 1 + r.IntN(4) {
			turn = append(turn, raw("650 CIRC %d %s", i, noise(i, 1+r.IntN(3500))))
		}
		if err := j.Append(within(t), turn...); err != nil {
			t.Fatal(err)
		}
		if err := j.inWriter(within(t), func(*writer) error { j.store.beforeLog = nil; return nil }); err != nil {
			t.Fatal(err)
		}
		all, _ := readAll(t, j, Range{})
		if closeTest(t, j); len(writes) == 0 {
			continue // a transaction has taken it
		}
		for range scaled(10, 4) {
			torn := applyWrites(bytes.Clone(base), writes, rand.New(rand.NewPCG(r.Uint64(), 1)))
			path := fileOf(t, torn)
			v, err := Verify(path, key)
			if err != nil || v.Last < n {
				t.Fatalf("%d of %d records, %v", v.Last, n, err)
			}
			got, err := recordsIn(within(t), path, key)
			if err != nil || uint64(len(got)) != v.Last || !sameRecords(got, all[:len(got)]) {
				t.Fatalf("%d records, %d verified, %v", len(got), v.Last, err)
			}
			j := openTest(t, path, Options{Key: key})
			for i := range uint64(6) {
				appendAll(t, j, bw(int(i), 1)...)
				again := fileOf(t, image(t, j))
				if got, err := recordsIn(within(t), again, key); err != nil || uint64(len(got)) != v.Last+i+1 {
					t.Fatalf("after %d events more: %d records, there were %d; %v", i+1, len(got), v.Last, err)
				}
				if _, err := Verify(again, key); err != nil {
					t.Fatal(err)
				}
			}
			closeTest(t, j)
		}
	}
}

// A log that a transaction has taken is none, however much of it is left.
func TestLogOfBefore(t *testing.T) {
	j := loggedJournal(t, Options{})
	for i := range 3 * walPages {
		appendAll(t, j, bw(i, 1)...)
	}
	want, _ := readAll(t, j, Range{})
	closeTest(t, j)
	path := j.store.path
	got, err := recordsIn(within(t), path, nil)
	if err != nil || !sameRecords(got, want) {
		t.Fatalf("%d records of %d, %v", len(got), len(want), err)
	}
	j = openTest(t, path, Options{})
	if n, _ := inLog(t, j); n != 0 || !hasLog(t, j) {
		t.Errorf("%d records are in the log of a journal that was closed", n)
	}
	appendAll(t, j, bw(1, 1)...)
	if n, _ := inLog(t, j); n != 1 {
		t.Errorf("%d records are in the log", n)
	}
	if _, err := j.Vacuum(within(t), Limits{}); err != nil {
		t.Fatal(err)
	}
	if hasLog(t, j) {
		t.Error("the new file has the log of the old one")
	}
	appendAll(t, j, bw(2, 1)...)
	if got, gaps := readAll(t, j, Range{}); gaps != nil || len(got) != len(want)+2 {
		t.Errorf("%d records, gaps %v", len(got), gaps)
	}
}

// A log that cannot be written holds nobody up: events are committed without
// it, and later it is tried again.
func TestLogFails(t *testing.T) {
	var fails atomic.Bool
	var tried atomic.Int64
	j := loggedJournal(t, Options{wrapLog: func(log logFunc) logFunc {
		return func(turn logTurn) error {
			tried.Add(1)
			if fails.Load() {
				return errors.New("input/output error")
			}
			return log(turn)
		}
	}})
	appendAll(t, j, bw(1, 1)...)
	if n, _ := inLog(t, j); n != 1 {
		t.Fatalf("%d records are in the log", n)
	}
	fails.Store(true)
	tried.Store(0)
	for i := range walRest {
		appendAll(t, j, bw(i, 1)...)
	}
	if n, _ := inLog(t, j); n != 0 || tried.Load() != 1 {
		t.Errorf("%d records are in a log that was tried %d times", n, tried.Load())
	}
	fails.Store(false)
	for i := range 2 {
		appendAll(t, j, bw(i, 1)...)
	}
	if n, _ := inLog(t, j); n == 0 {
		t.Error("the log is not tried again")
	}
	if st := j.Stats(); st.WriteError != "" || !st.Outage.IsZero() {
		t.Errorf("%+v", st)
	}
}

// When the file cannot be written at the end, what is in the log stays there,
// and nobody is told that it is lost.
func TestLogStaysWhenTheFileCannotBeWritten(t *testing.T) {
	var failing atomic.Bool
	j := loggedJournal(t, Options{wrapCommit: whileFailing(&failing, failAbsent)})
	appendAll(t, j, bw(1, 3)...)
	want, _ := readAll(t, j, Range{})
	failing.Store(true)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openTest(t, j.store.path, Options{})
	if n, _ := inLog(t, j); n != 3 {
		t.Errorf("%d records are in the log", n)
	}
	if got, gaps := readAll(t, j, Range{}); gaps != nil || !sameRecords(got, want) {
		t.Errorf("%v, want %v", numbers(got), numbers(want))
	}
}

// An outage that begins with a full log loses nothing of it, and numbers go on.
func TestOutageBehindTheLog(t *testing.T) {
	var failing atomic.Bool
	fail := whileFailing(&failing, failAbsent)
	j := loggedJournal(t, Options{outageRetry: time.Millisecond, wrapCommit: fail, wrapLog: func(log logFunc) logFunc {
		return func(turn logTurn) error {
			if failing.Load() {
				return errors.New("input/output error")
			}
			return log(turn)
		}
	}})
	appendAll(t, j, bw(1, 3)...)
	before, _ := readAll(t, j, Range{})
	failing.Store(true)
	settle(t, j, bw(4, 2)...)
	settle(t, j, bw(6, 2)...)
	if got, gaps := readAll(t, j, Range{}); gaps != nil || !sameRecords(got, before) {
		t.Errorf("in the outage: %v, want %v", numbers(got), numbers(before))
	}
	failing.Store(false)
	awaitEnd(t, j)
	after, gaps := readAll(t, j, Range{})
	if gaps != nil || !equalNumbers(after, len(before)+3) {
		t.Fatalf("after it: %v, gaps %v", numbers(after), gaps)
	}
	if counts, _ := marks(after); !slices.Equal(counts, []uint64{2}) {
		t.Errorf("missing %v, want 2", counts)
	}
}

// What stays in the log belongs to the time before the note of an outage.
func TestNoteBehindTheLog(t *testing.T) {
	j := loggedJournal(t, Options{})
	appendAll(t, j, bw(1, 2)...)
	noted := fileOf(t, image(t, j))
	opt, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	st, err := openStore(noted, opt, false)
	if err != nil {
		t.Fatal(err)
	}
	st.note = &lossNote{Rest: losses{Missing: tally{event.BW: 4}, Since: time.Now().UnixMicro()}, Cause: "no space left on device"}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	want, _ := readAll(t, j, Range{})
	j = openTest(t, noted, Options{})
	got, gaps := readAll(t, j, Range{})
	if gaps != nil || len(got) != len(want)+1 || !sameRecords(got[:len(want)], want) {
		t.Fatalf("%v, gaps %v, want %d and a mark", numbers(got), gaps, len(want))
	}
	if counts, _ := marks(got); !slices.Equal(counts, []uint64{4}) {
		t.Errorf("missing %v, want 4", counts)
	}
}

// A ring that is full has a log like another one.
func TestLogInAFullRing(t *testing.T) {
	j := openTest(t, "", Options{MaxSize: MinMaxSize, walPages: noLog})
	fill(t, j, 3<<20)
	closeTest(t, j)
	j = openTest(t, j.store.path, Options{MaxSize: MinMaxSize})
	for i := 0; !hasLog(t, j); i++ {
		appendAll(t, j, bw(i, 1)...)
	}
	for i := range 100 {
		appendAll(t, j, bw(i, 1)...)
		if size := j.Stats().Size; size > MinMaxSize {
			t.Fatalf("the file has %d bytes", size)
		}
	}
	fill(t, j, 3<<20)
	appendAll(t, j, bw(1, 1)...)
	if b, err := j.Bounds(within(t)); err != nil || b.First < 2 {
		t.Errorf("%+v, %v", b, err)
	}
}

// Large turns go past the log.
func TestLargeTurnsAreNotLogged(t *testing.T) {
	j := loggedJournal(t, Options{})
	appendAll(t, j, bw(1, 1)...)
	appendAll(t, j, raw("650 CIRC %s", noise(1, 5000))) // more than a page
	if n, _ := inLog(t, j); n != 0 {
		t.Errorf("%d records are in the log", n)
	}
	appendAll(t, j, bw(1, 1)...)
	appendAll(t, j, raw("650 CIRC %s", noise(1, joinedMost+1)))
	if n, _ := inLog(t, j); n != 0 {
		t.Errorf("%d records are in the log", n)
	}
	if recs, gaps := readAll(t, j, Range{}); gaps != nil || !equalNumbers(recs, len(recs)) {
		t.Errorf("%v, gaps %v", numbers(recs), gaps)
	}
}

// Whoever reads while a transaction takes what is in the log, again and again, gets
// all that has been given away, each once.
func TestLogBesideReaders(t *testing.T) {
	j := openTest(t, "", Options{walPages: 9, windowBytes: 1})
	appendAll(t, j, bw(1, 1)...)
	var done atomic.Bool
	var wg sync.WaitGroup
	beside := func(read func() error) {
		wg.Go(func() {
			for !done.Load() {
				if err := read(); err != nil {
					t.Error(err)
					done.Store(true)
				}
			}
		})
	}
	ctx := within(t)
	beside(func() error {
		last := j.win.published()
		b, err := j.Bounds(ctx)
		if err == nil && (b.First != 1 || b.Last < last) {
			err = fmt.Errorf("%d records were given away, the bounds are %+v", last, b)
		}
		return err
	})
	beside(func() error {
		last := j.win.published()
		got, err := j.store.reread()
		if err == nil && got < last {
			err = fmt.Errorf("%d records were given away, there are %d", last, got)
		}
		return err
	})
	beside(func() error {
		r := Range{To: j.win.published()}
		r.From = max(1, r.To-min(r.To, 8))
		var got []Record
		for rec, err := range Records(ctx, j, r) {
			if err != nil {
				return err
			}
			got = append(got, rec)
		}
		if !slices.Equal(numbers(got), span(r.From, r.To)) {
			return fmt.Errorf("%v, want %d to %d", numbers(got), r.From, r.To)
		}
		return nil
	})
	c, next := j.NewCursor(1, event.AllTypes()), uint64(1)
	defer c.Close()
	beside(func() error {
		ch, err := c.Next(ctx)
		for _, rec := range ch.Records {
			if err == nil && rec.Seq != next {
				err = fmt.Errorf("a cursor gets record %d, want %d", rec.Seq, next)
			}
			next++
		}
		return err
	})
	for began := time.Now(); time.Since(began) < time.Duration(scaled(2000, 300))*time.Millisecond && !done.Load(); {
		appendAll(t, j, bw(1, 1)...)
	}
	done.Store(true)
	wg.Wait()
}
