package journal

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"torjournal/tor/event"
)

// A program that does not know the log has written to the file of a recorder that
// was killed. What that had in its log is lost, and told to be; none of it comes
// back behind what was written since.
func TestLogOvertaken(t *testing.T) {
	for _, n := range []int{1, 3, 40} {
		j := loggedJournal(t, Options{})
		for i := range 10 {
			appendAll(t, j, bw(i, 1)...)
		}
		taken, _ := readAll(t, j, Range{})
		killed := image(t, j)
		old, err := Open(fileOf(t, killed), Options{logless: true, walPages: noLog})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			appendAll(t, old, raw("650 NOTICE of the old program %d", i))
		}
		want, _ := readAll(t, old, Range{})
		if len(want) != len(taken)-10+n {
			t.Fatalf("the old program has %d records, there were %d: nothing is tested", len(want), len(taken))
		}
		content := image(t, old)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		path := fileOf(t, content)
		lost := n < 10
		if got, err := recordsIn(within(t), path, nil); err != nil || !sameRecords(got, want) {
			t.Errorf("%d: a reader finds %v, %v", n, numbers(got), err)
		}
		if _, err := Verify(path, nil); (err != nil) != lost || lost && !strings.Contains(err.Error(), "does not know the log") {
			t.Errorf("%d: Verify: %v", n, err)
		}
		var log bytes.Buffer // read when the journal is closed
		j, err = Open(path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, bw(1, 1)...)
		if got, gaps := readAll(t, j, Range{}); gaps != nil || len(got) != len(want)+1 || !sameRecords(got[:len(want)], want) {
			t.Errorf("%d: afterwards %v, gaps %v", n, numbers(got), gaps)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if _, err := Verify(path, nil); err != nil {
			t.Errorf("%d: afterwards: %v", n, err)
		}
		if told := strings.Contains(log.String(), "numbers mean others"); told != lost {
			t.Errorf("%d: the log of the program says\n%s", n, log.String())
		}
	}
}

// Damage of what a transaction has taken from the log is none.
func TestLogOfBeforeDamaged(t *testing.T) { plainAndEncrypted(t, testLogOfBeforeDamaged) }

func testLogOfBeforeDamaged(t *testing.T, key *Key) {
	j := loggedJournal(t, Options{Key: key, walPages: leastWAL})
	for i := range 2 * leastWAL {
		appendAll(t, j, bw(i, 1)...)
	}
	if err := j.inWriter(within(t), func(w *writer) error { return w.settleLog() }); err != nil {
		t.Fatal(err)
	}
	want, _ := readAll(t, j, Range{})
	intact := image(t, j)
	region, err := findLog(bytes.NewReader(intact))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < region.pages*region.pageSize; at += scaled(211, 1201) {
		bad := bytes.Clone(intact)
		bad[int(region.off)+at] ^= 1 << (at % 8)
		path := fileOf(t, bad)
		if got, err := recordsIn(within(t), path, key); err != nil || !sameRecords(got, want) {
			t.Fatalf("byte %d of page %d: %d records of %d, %v", at%region.pageSize, at/region.pageSize, len(got), len(want), err)
		}
		if _, err := Verify(path, key); err != nil {
			t.Fatalf("byte %d of page %d: %v", at%region.pageSize, at/region.pageSize, err)
		}
	}
}

// A salvage of a file whose log cannot be read says that records may be missing.
func TestSalvageTellsOfALostLog(t *testing.T) { plainAndEncrypted(t, testSalvageTellsOfALostLog) }

func testSalvageTellsOfALostLog(t *testing.T, key *Key) {
	j := loggedJournal(t, Options{Key: key})
	for i := range 8 {
		appendAll(t, j, bw(i, 1)...)
	}
	killed, all := image(t, j), j.Stats().Last
	region, err := findLog(bytes.NewReader(killed))
	if err != nil {
		t.Fatal(err)
	}
	newest := region.at(nextPage(t, j) + region.pages - 1)
	for name, tc := range map[string]struct {
		harm  func([]byte) []byte
		last  uint64
		whole bool
	}{
		"nothing":             {func(b []byte) []byte { return b }, all, true},
		"a bit of the newest": {func(b []byte) []byte { b[newest+80] ^= 1; return b }, all - 1, false},
		"cut in the log":      {func(b []byte) []byte { return b[:newest] }, all - 1, false},
		"cut in front of it":  {func(b []byte) []byte { return b[:region.off] }, all - 8, false},
	} {
		to := filepath.Join(t.TempDir(), "saved.db")
		s, err := Salvage(within(t), fileOf(t, tc.harm(bytes.Clone(killed))), to, SalvageOptions{Key: key})
		if err != nil || s.Last != tc.last || s.Whole != tc.whole {
			t.Errorf("%s: %+v, %v; want records up to %d, whole %t", name, s, err, tc.last, tc.whole)
		}
	}
}

// A vacuum of a running journal takes the log along, and what comes then is sealed
// with it.
func TestVacuumWithALog(t *testing.T) {
	j := loggedJournal(t, Options{})
	for round := range 3 {
		appendAll(t, j, bw(1, 5)...)
		if n, _ := inLog(t, j); round == 0 && n != 5 {
			t.Fatalf("%d records are in the log", n)
		}
		if _, err := j.Vacuum(within(t), Limits{}); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			appendAll(t, j, bw(i, 1)...)
		}
		appendAll(t, j, raw("650 CIRC %s", noise(1, 9000)))
		if err := j.Pack(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	c := j.NewCursor(1, event.AllTypes())
	defer c.Close()
	if recs, gaps, _ := drain(t, c); gaps != nil || !equalNumbers(recs, int(j.Stats().Last)) {
		t.Errorf("%v, gaps %v", numbers(recs), gaps)
	}
}

// What arrived hours apart does not become one batch by way of the log: what is
// evicted by age is evicted by batches.
func TestLogJoinsNothingThatIsFarApart(t *testing.T) {
	clock := &stepClock{now: noon}
	j := loggedJournal(t, Options{Now: clock.Now})
	appendAll(t, j, bw(1, 2)...)
	clock.step(3 * growSpan)
	appendAll(t, j, raw("650 CIRC %s", noise(1, 5000))) // too long for the log
	if err := j.inWriter(within(t), func(w *writer) error {
		for _, h := range w.tail.batches {
			if since, until := h.span(); until.Sub(since) > growSpan {
				t.Errorf("records %d to %d are one batch, from %v to %v", h.first, h.last, since, until)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
