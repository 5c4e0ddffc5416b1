package journal

import (
	"bytes"
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

	"torjournal/tor/event"
)

// inOutage makes a journal of five records whose file cannot be written while
// eight events come, the first three of them at once, and closes it so.
func inOutage(t *testing.T, kind failKind) (path string) {
	t.Helper()
	var failing atomic.Bool
	path = filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{walPages: noLog, outageRetry: time.Millisecond, wrapCommit: whileFailing(&failing, kind)})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, bw(1, 5)...)
	failing.Store(true)
	settle(t, j, bw(6, 3)...)
	settle(t, j, raw("650 CIRC 1 BUILT"), raw("650 NOTICE x"), raw("650 BW 1 1"), raw("650 BW 2 2"), raw("650 BW 3 3"))
	if err := j.Close(); err == nil || !strings.Contains(err.Error(), "8 events are lost") || !strings.Contains(err.Error(), "the journal will tell of them when it is opened for writing next") {
		t.Fatalf("Close: %v, want that 8 events are lost", err)
	}
	return path
}

// marks returns the counts and the wire forms of what tells of missing events.
func marks(recs []Record) (counts []uint64, wires []string) {
	for _, r := range recs {
		if n, ok := markCount(r); ok {
			counts, wires = append(counts, n), append(wires, string(r.Wire))
		}
	}
	return counts, wires
}

// What is missing when a recorder ends in an outage is journaled by the next
// one, once, before anything else: all of it, but for what is in the file
// though its commit failed.
func TestOutageOutlivesTheProcess(t *testing.T) {
	for kind, want := range map[failKind]struct {
		count uint64
		types string
		last  uint64
	}{failAbsent: {8, "BW,CIRC,NOTICE", 5}, failPresent: {5, "BW,CIRC,NOTICE", 8}} {
		path := inOutage(t, kind)
		if v, err := Verify(path, nil); err != nil || v.Last != want.last {
			t.Fatalf("%+v, %v", v, err)
		}
		for round := range 3 {
			j := openTest(t, path, Options{})
			appendAll(t, j, raw("650 BW 1%d 1", round))
			recs, gaps := readAll(t, j, Range{})
			counts, wires := marks(recs)
			if len(gaps) > 0 || !slices.Equal(counts, []uint64{want.count}) || !strings.Contains(wires[0], " TYPES="+want.types+" SINCE=") || !strings.Contains(wires[0], " ERROR=") {
				t.Errorf("%v, round %d: gaps %v, marks %q, want one of %d", kind, round, gaps, wires, want.count)
			}
			if n, ok := markCount(recs[want.last]); !ok || n != want.count {
				t.Errorf("%v, round %d: record %d is %q, not the mark", kind, round, want.last+1, recs[want.last].Wire)
			}
			closeTest(t, j)
		}
	}
}

// A recorder that cannot write either hands on what the one before it could
// not tell, together with what it misses itself.
func TestOutageOutlivesTwoProcesses(t *testing.T) {
	for _, kind := range []failKind{failAbsent, failPresent} {
		path := inOutage(t, failAbsent)
		var failing atomic.Bool
		failing.Store(true)
		j, err := Open(path, Options{walPages: noLog, outageRetry: time.Millisecond, wrapCommit: whileFailing(&failing, kind)})
		if err != nil {
			t.Fatal(err)
		}
		if j.Stats().Outage.IsZero() {
			t.Error("nobody can know of the outage")
		}
		settle(t, j, bw(100, 2)...)
		if err := j.Close(); err == nil {
			t.Error("Close: no error")
		}
		j = openTest(t, path, Options{})
		recs, _ := readAll(t, j, Range{})
		counts, wires := marks(recs)
		var sum uint64
		for _, n := range counts {
			sum += n
		}
		if sum != 10 {
			t.Errorf("%v: marks %q, want 10 missing", kind, wires)
		}
	}
}

// Who opens a journal for something else than recording leaves what it says
// of missing events to the next recorder, or tells it himself.
func TestNoteOutlivesUpkeep(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, path string) error{
		"vacuum": func(t *testing.T, path string) error {
			_, err := Vacuum(within(t), path, nil, Limits{})
			return err
		},
		"vacuum by age": func(t *testing.T, path string) error {
			_, err := Vacuum(within(t), path, nil, Limits{MaxAge: time.Hour})
			return err
		},
		"interrupted": func(t *testing.T, path string) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := Vacuum(ctx, path, nil, Limits{}); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("vacuum: %w", err)
			}
			return nil
		},
		"rewrite": func(t *testing.T, path string) error {
			var passes [][]uint64
			_, err := Rewrite(within(t), path, nil, Limits{}, masking(&passes))
			return err
		},
		"migrate": func(_ *testing.T, path string) error {
			_, err := Migrate(path)
			return err
		},
		"open for a moment": func(_ *testing.T, path string) error {
			opt, err := Options{}.withDefaults()
			if err != nil {
				return err
			}
			s, err := openStore(path, opt, false)
			if err != nil {
				return err
			}
			return s.close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := inOutage(t, failAbsent)
			if err := do(t, path); err != nil {
				t.Fatal(err)
			}
			j := openTest(t, path, Options{})
			recs, _ := readAll(t, j, Range{})
			if counts, wires := marks(recs); !slices.Equal(counts, []uint64{8}) {
				t.Errorf("marks %q, want one of 8", wires)
			}
		})
	}
}

// A note of a long outage fits its place, whatever the names of its types are,
// and what is no note is none.
func TestNoteFits(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testNoteFits(t, nil) })
	t.Run("encrypted", func(t *testing.T) { testNoteFits(t, testKey(t)) })
}

func testNoteFits(t *testing.T, key *Key) {
	n := &lossNote{Last: 7, Cause: strings.Repeat("no space ", 200)}
	for i := range 3 * otherNames {
		n.Rest.Missing.add(event.Type(fmt.Sprintf("FUTURE_%d_%s", i, strings.Repeat("X", 100))), 1)
	}
	for _, typ := range event.Types() {
		n.Rest.Missing.add(typ, 1<<40)
		n.Tried.Missing.add(typ, 1<<40)
	}
	file := make([]byte, 8<<10)
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{Key: key})
	c := j.store.cipher
	data, err := n.encode(c)
	if err != nil || len(data) > noteBytes {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if bytes.Contains(data, []byte(`"Missing"`)) != (key == nil) {
		t.Error("a note can be read without the key, or the test does not see it")
	}
	closeTest(t, j)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(file, whole)
	off, err := noteAt(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if readNote(bytes.NewReader(file), c) != nil {
		t.Error("a journal that was closed well has a note")
	}
	copy(file[off:], data)
	got := readNote(bytes.NewReader(file), c)
	if got == nil || got.after(7).Missing.total() != n.Rest.Missing.total() || got.after(6).Missing.total() != n.Rest.Missing.total()+n.Tried.Missing.total() {
		t.Errorf("it reads as %+v", got)
	}
	for i := range data {
		file[off+int64(i)] ^= 0x20
		if got := readNote(bytes.NewReader(file), c); got != nil {
			t.Fatalf("with byte %d wrong it reads as %+v", i, got)
		}
		file[off+int64(i)] ^= 0x20
	}
}
